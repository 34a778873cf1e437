"""Every argument of every public function is honoured or refused."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis import load
from analysis.statistics.over_contexts import over_contexts
from tests.analysis.ledgers import write_ablation, write_grid, write_search

CSV = "arm,seed,acc\n" + "".join(f"{arm},{seed},{seed + len(arm)}\n" for arm in ("none", "kd") for seed in range(3))

QUESTION = ("contrasts", "family", "alternative", "margin")
SHOWN_ELSEWHERE = {
    "effects": (*QUESTION, "is_extended", "unpaired", "cluster"),
    "collect": ("run", "out", "engine"),
    "read_csv": ("separator", "decimal", "encoding", "asked"),
    **dict.fromkeys(("read_wandb", "read_mlflow"), ("place", "metric", "name", "names", "asked")),
    "read_tensorboard": ("folder", "metric", "maximise", "names", "asked"),
    "read_ray_tune": ("asked",),
    "arms": ("baseline",),
    "confirmed": ("baseline",),
    "importance": ("seed", "metric", "factors", "log_factors", "maximise"),
    "interactions": ("baseline",),
    "shapley": ("trials", "factors", "metric", "baseline"),
    "ranks": ("baseline",),
    "load": ("place", "more"),
    "read_optuna": ("storage", "name", "metric", "maximise", "asked"),
    "write_report": ("run", "out", "engine"),
    "write_results": ("results", "out"),
}
"""Public functions whose arguments are places and names, and the tests of these modules show that each counts."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an ablation, a grid, a confirmed search and a CSV file."""
    folder = tmp_path_factory.mktemp("arguments")
    write_ablation(folder / "ablation").close_segment()
    write_grid(folder / "grid").close_segment()
    write_search(folder / "search", confirm=True).close_segment()
    (folder / "a.csv").write_text(CSV)
    return folder


def calls(place: Path) -> dict[str, Callable[..., Any]]:
    """Return each public function that takes more than places, called rightly but for what is given."""
    ablation, grid, search = (load(place / name) for name in ("ablation", "grid", "search"))
    searched = {"metric": "validation_accuracy", "maximise": True}
    right: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "arms": (analysis.arms, {"trials": ablation.trials}),
        "effects": (analysis.effects, {"trials": ablation.trials}),
        "best": (analysis.best, {"trials": ablation.trials, "metric": "test_accuracy", "maximise": True}),
        "ranks": (analysis.ranks, {"trials": ablation.trials, "effects": ablation.effects}),
        "interactions": (analysis.interactions, {"trials": grid.trials, "factors": grid.facts.study.factors}),
        "importance": (
            analysis.importance,
            {"trials": search.trials, "epochs": search.epochs, "study": search.facts.study},
        ),
        "confirmed": (analysis.confirmed, {"trials": search.trials, "effects": search.effects, **searched}),
        "read_csv": (analysis.read_csv, {"place": place / "a.csv", "metric": "acc", "baseline": "none"}),
        "read_ray_tune": (analysis.read_ray_tune, {"folder": place, "metric": "acc"}),
        "write_figure": (analysis.write_figure, {"results": grid, "name": "effects", "out": place / "figure.json"}),
    }
    return {name: lambda f=f, kept=kept, **given: f(**kept | given) for name, (f, kept) in right.items()}


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    *(
        (name, {"metric": metric}, f"metric '{metric}': ")
        for name in ("arms", "effects", "best", "ranks", "interactions", "confirmed")
        for metric in ("accuracy", "arm", "status")
    ),
    ("read_csv", {"metric": "score"}, "no column is called 'score' (--metric); there are: arm, seed, acc"),
    *(
        (name, {"maximise": maximise}, "maximise: must be True (larger is better) or False; got ")
        for name in ("effects", "best", "ranks", "confirmed", "read_csv", "read_ray_tune")
        for maximise in ("min", 1, np.nan)
    ),
    ("read_csv", {"status": "state"}, "no column is called 'state' (--status)"),
    *(
        (name, {"delta": delta}, f"delta {delta!r}: the smallest effect that matters is a finite number above 0")
        for name in ("effects", "read_csv")
        for delta in (0, -1.5, float("nan"), float("inf"), "1", True)
    ),
    *(
        ("importance", {"trials": trials}, told)
        for trials, told in (
            ({"arm": ["a"]}, "importance takes trials, as analysis.load gives them; got dict"),
            (pd.DataFrame({"arm": ["a"], "seed": [0]}), "importance takes trials, as analysis.load gives them; these"),
        )
    ),
    *(
        (name, {"trials": [1, 2]}, f"{name} takes a table of trials, or a plain one; got list")
        for name in ("arms", "effects", "best", "ranks", "interactions", "confirmed")
    ),
    ("effects", {"baseline": "nobody"}, "baseline 'nobody': no arms are called so; there are: baseline, temp"),
    ("read_csv", {"baseline": "nobody"}, "no arm is called 'nobody', which is to be the baseline; there are: none"),
    ("read_csv", {"arm": "method"}, "no column is called 'method' (--arm)"),
    ("read_csv", {"seed": "run"}, "no column is called 'run' (--seed)"),
    ("read_csv", {"context": "data"}, "no column is called 'data' (--context)"),
    ("read_csv", {"place": "nowhere.csv"}, "nowhere.csv"),
    ("arms", {"reference": {"": {"nobody": 1.0}}}, "reference: no arm is called 'nobody'"),
    *(
        (name, {"effects": effects}, told)
        for name in ("ranks", "confirmed")
        for effects, told in (
            ([1], f"{name} takes effects, as analysis.effects gives them; got list"),
            (pd.DataFrame({"a": [1]}), f"{name} takes effects, as analysis.effects gives them; these columns"),
        )
    ),
    ("ranks", {"metric": "test_loss", "maximise": False}, "metric 'test_loss': the effects are of 'test_accuracy'"),
    ("interactions", {"factors": ["nothing"]}, "factors: no arm has a factor 'nothing'; there are: objective"),
    ("interactions", {"factors": "objective"}, "factors: must be a list of paths; got 'objective'"),
    ("effects", {"looks": [5, 5]}, "looks: must be numbers of seeds, from 2 on and increasing; got [5, 5]"),
    ("effects", {"looks": "5, 8"}, "looks: must be numbers of seeds"),
    ("effects", {"looks": [3, 5], "spending": "much"}, "spending 'much': must be one of power2"),
    ("importance", {"study": "a study"}, "importance of trials takes their epochs and study"),
    ("importance", {"epochs": pd.DataFrame({"a": [1]})}, "importance takes epochs, as analysis.load gives them"),
    ("read_ray_tune", {"folder": "nowhere"}, "nowhere: no trial of Ray Tune lies there"),
    ("read_ray_tune", {"metric": "acc"}, "no trial of Ray Tune lies there"),
    ("write_figure", {"name": "cake"}, "no figure is called 'cake'"),
    ("write_figure", {"out": "a.gif"}, "the suffix of a figure's file is one of"),
    ("write_figure", {"factors": ["nothing"]}, "the study has no factor 'nothing'"),
]
"""Function, wrong argument, and what is said of it."""


@pytest.mark.parametrize(("name", "given", "told"), REFUSED)
def test_an_argument_that_cannot_be_honoured_is_refused(
    name: str, given: dict[str, Any], told: str, place: Path, request: pytest.FixtureRequest
) -> None:
    functions = getattr(request.module, "_calls", None) or calls(place)
    request.module._calls = functions  # the ledgers are read once
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        functions[name](**given)
    assert told in str(error.value)


def test_every_argument_of_every_public_function_is_among_these() -> None:
    shown: dict[str, set[str]] = {}
    for name, given, _ in REFUSED:
        shown.setdefault(name, set()).update(given)
    named: list[str] = vars(analysis)["__all__"]
    functions = {name: getattr(analysis, name) for name in named if not isinstance(getattr(analysis, name), type)}
    for name, function in functions.items():
        taken = set(inspect.signature(function).parameters)
        assert taken - {"results"} <= shown.get(name, set()) | set(SHOWN_ELSEWHERE.get(name, ())), name


def test_arguments_that_can_be_honoured_are(place: Path) -> None:
    ablation = load(place / "ablation")
    trials, effects = ablation.trials, ablation.effects
    of_numpy: Any = np.False_
    for maximise in (False, of_numpy):
        turned = analysis.effects(trials, maximise=maximise)
        swapped = {"helps": "hurts", "hurts": "helps", "undecided": "undecided"}
        assert turned["verdict"].tolist() == effects["verdict"].map(swapped).tolist()
    half: Any = np.float32(0.5)
    assert set(analysis.effects(trials, delta=half)["delta"]) == {0.5}
    loss = analysis.effects(trials, metric="test_loss", maximise=False)
    assert set(loss["metric"]) == {"test_loss"}
    assert analysis.arms(trials, metric="test_loss")["mean"].tolist() != ablation.arms["mean"].tolist()
    named = analysis.arms(trials, reference={"": {"baseline": 91.0}}).set_index("arm")["reference"]
    assert named.dropna().to_dict() == {"baseline": 91.0}
    worst = analysis.best(trials, metric="test_accuracy", maximise=False)
    assert worst.loc[worst["is_best"], "arm"].tolist() != ablation.best.loc[ablation.best["is_best"], "arm"].tolist()
    one_factor = load(place / "grid").facts.study.factors[:1]
    with_two = load(place / "grid").interactions
    assert len(analysis.interactions(load(place / "grid").trials, factors=one_factor)) < len(with_two)
    assert over_contexts(effects, maximise=True).empty
