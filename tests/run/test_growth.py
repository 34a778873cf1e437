"""Studies that grow: what may be added, that nothing is trained again, and what the report says of it."""

import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from analysis.loading import load
from analysis.report.methods import methods_text
from cktf import driver as run_module
from cktf.driver import extend, launch
from cktf.errors import NotExtensible, StudyDiffers
from cktf.rows import EndRow, PlannedRow, StudyRow
from cktf.run.directory import STUDY, require_study
from cktf.run.growth import require_grown
from cktf.run.one_trial import find_trial
from cktf.run.progress import read_run
from cktf.storage import Storage
from cktf.study.designs import smoke_study
from cktf.study.load import dump_study, load_study
from cktf.study.spec import StudySpec
from tests.cli.commands import message_for
from tests.kinds import MakeSpec, RunToEnd
from tests.runs import begin, go_on, rows_of

OBJECTIVE = {"cross_entropy": {}, "kd": {"temperature": 4.0}, "dkd": {"temperature": 4.0}, "at": {}}
TAUGHT: dict[str, Any] = {"objective": OBJECTIVE, "teacher": {"model": "resnet8", "epochs": 1}}
MOMENTUM, RATE = "optimizer.momentum", "optimizer.learning_rate"
Ran = list[tuple[str, str, int]]
Run = Callable[[StudySpec], Ran]


@pytest.fixture
def ran(run_dir: str, run_to_end: RunToEnd) -> Run:
    """Return what launches or extends a study in a run, with made-up scores, and gives what it trains, in order."""

    def run(spec: StudySpec) -> Ran:
        planner, order = go_on(spec, run_dir, run_to_end, lambda row, _: 50.0 + row.seed + 3 * len(row.params))
        planned = (planner.state.trials[trial_id].planned for trial_id in order)
        return [(row.context, row.arm, row.seed) for row in planned]

    return run


def test_an_arm_and_a_seed_are_added_and_nothing_that_is_there_is_trained_again(
    make_spec: MakeSpec, run_dir: str, ran: Run
) -> None:
    assert len(ran(make_spec())) == 4
    more: dict[str, Any] = {"ablate": {RATE: [0.01], MOMENTUM: [0.0, 0.5]}, "seeds": 2}
    assert ran(make_spec(**more)) == [
        ("", arm, seed) for seed in (0, 1) for arm in ("learning_rate=0.01", "momentum=0.5")
    ]
    assert ran(make_spec(**more)) == [], "the same once more goes on with what is left"
    assert [arm for _, arm, seed in ran(make_spec(**{**more, "seeds": [0, 1, 7]})) if seed == 7] == [
        *("baseline", "learning_rate=0.01", "momentum=0", "momentum=0.5")
    ]
    ended = [row.trial_id for row in rows_of(run_dir, EndRow)]
    assert len(ended) == len({*ended}) == 12
    assert [row.added for row in rows_of(run_dir, StudyRow)] == [
        *("", "the arms learning_rate=0.01, momentum=0.5 (until then, 1 comparison was planned)", "", "the seed 7")
    ]
    assert require_study(Storage(run_dir)) == make_spec(**{**more, "seeds": [0, 1, 7]})


def test_the_report_has_what_was_added_and_says_when(make_spec: MakeSpec, run_dir: str, ran: Run) -> None:
    ran(make_spec(alternative="better"))
    text = methods_text(load(run_dir))
    assert "The question was fixed in the study file before its first result." in text
    assert "Added after" not in text
    ran(make_spec(alternative="better", ablate={MOMENTUM: [0.0, 0.5]}, seeds=2))
    results = load(run_dir)
    text = methods_text(results)
    assert "Added after the launch, when results may have been seen: 20" in text
    assert " UTC: the arm momentum=0.5 (until then, 1 comparison was planned). Families of comparisons are" in text
    assert "before its first result, but for what was added later." in text
    assert list(results.effects["arm"]) == ["momentum=0", "momentum=0.5"]
    assert set(results.effects["n_family"]) == {2}
    assert not results.facts.is_extended
    assert results.facts.afterthought == ""


def test_a_context_is_added(make_spec: MakeSpec, run_dir: str, ran: Run) -> None:
    compare = {"slow": {"optimizer": {"learning_rate": 0.001}}}
    contexts: dict[str, Any] = {"a": {}, "b": {"batch_size": 16}}
    assert len(ran(make_spec(compare=compare, contexts={"a": {}}, seeds=2, family="context"))) == 4
    grown = make_spec(compare=compare, contexts={"b": contexts["b"], "a": {}}, seeds=2, family="context")
    assert {context for context, _, _ in ran(grown)} == {"b"}
    assert rows_of(run_dir, StudyRow)[-1].added == "the context b (until then, 1 comparison was planned)"
    effects = load(run_dir).effects
    assert list(zip(effects["context"], effects["n_family"], strict=True)) == [("a", 1), ("b", 1)]


def test_a_contrast_of_old_arms_is_an_afterthought(make_spec: MakeSpec, run_dir: str, ran: Run) -> None:
    two: dict[str, Any] = {"ablate": {MOMENTUM: [0.0, 0.5]}, "seeds": 2}
    ran(make_spec(**two))
    pair = ["momentum=0", "momentum=0.5"]
    assert ran(make_spec(**two, contrasts=["baseline", pair])) == []
    added = "the comparison momentum=0 with momentum=0.5 (until then, 2 comparisons were planned)"
    assert rows_of(run_dir, StudyRow)[-1].added == added
    results = load(run_dir)
    assert len(results.effects) == 3
    assert "changed between launches" in results.facts.afterthought
    with pytest.raises(NotExtensible, match=r"contrasts: must have the comparison momentum=0 with momentum=0\.5 too"):
        ran(make_spec(**two))


def test_old_arms_are_called_as_the_larger_study_calls_them(make_spec: MakeSpec, run_dir: str, ran: Run) -> None:
    """A further factor makes a longer name necessary, by which contrasts and references mean old arms as well."""
    ran(make_spec(TAUGHT, ablate={"objective.kd.temperature": [8.0]}, seeds=2))
    assert {row.arm for row in rows_of(run_dir, PlannedRow)} >= {"baseline", "temperature=8"}
    factors = {"objective.kd.temperature": [8.0], "objective.dkd.temperature": [2.0]}
    contrasts = ["baseline", ["kd.temperature=8", "dkd.temperature=2"]]
    assert {arm for _, arm, _ in ran(make_spec(TAUGHT, ablate=factors, contrasts=contrasts, seeds=2))} == {
        "dkd.temperature=2"
    }
    results = load(run_dir)
    assert set(results.trials["arm"]) == {"baseline", "kd.temperature=8", "dkd.temperature=2"}
    assert len(results.effects) == 3
    begin(require_study(Storage(run_dir)), run_dir)
    assert set(load(run_dir).trials["arm"]) == set(results.trials["arm"]), "a resume keeps the names"
    _, state = read_run(run_dir)
    assert {trial.planned.arm for trial in state.trials.values()} == set(results.trials["arm"])
    assert find_trial(state, None, "kd.temperature=8", 1).planned.arm_id in set(results.effects["arm_id"])


def test_a_new_arm_that_trains_like_an_old_one_is_another_name_of_it(
    make_spec: MakeSpec, run_dir: str, ran: Run
) -> None:
    off = {**TAUGHT, "objective": {**OBJECTIVE, "at": {"weight": 0.0}}}
    hot = {"objective": {"kd": {"temperature": 8.0}}}
    ran(make_spec(off, compare={"hot": hot}, seeds=2))
    alike = {"objective": {"kd": {"temperature": 8.0}, "at": {"power": 4.0}}}
    assert ran(make_spec(off, compare={"alike": alike, "hot": hot}, seeds=2)) == []
    trials = load(run_dir).trials
    (names,) = {text for text in trials["aliases"] if text}
    assert [each["arm"] for each in json.loads(names)] == ["alike"]
    state = read_run(run_dir)[1]
    assert find_trial(state, None, "alike", 0) == find_trial(state, None, "hot", 0)
    assert set(trials["arm"]) == {"baseline", "hot"}


def test_a_grid_gains_a_factor_whose_levels_have_that_of_the_baseline(
    make_spec: MakeSpec, run_dir: str, ran: Run
) -> None:
    assert len(ran(make_spec(grid={MOMENTUM: [0.0, 0.9]}, seeds=2))) == 4
    assert len(ran(make_spec(grid={MOMENTUM: [0.0, 0.9], "batch_size": [32, 16]}, seeds=2))) == 4
    results = load(run_dir)
    assert "momentum=0, batch_size=32" in set(results.trials["arm"])
    assert len(results.interactions) == 3
    with pytest.raises(NotExtensible, match=r"grid, baseline, contexts: must .*momentum=0, batch_size=32"):
        ran(make_spec(grid={MOMENTUM: [0.0, 0.9], "batch_size": [16, 8]}, seeds=2))


def test_a_search_grows_by_trials_and_confirming_seeds_alone(make_search: MakeSpec, run_dir: str, ran: Run) -> None:
    keys: dict[str, Any] = {"trials": 2, "confirm": {"top": 1, "seeds": 2}}
    assert len(ran(make_search(**keys))) == 2 + 4
    ran(make_search(trials=3, confirm={"top": 1, "seeds": 3}))
    assert rows_of(run_dir, StudyRow)[-1].added == "the seed 3; 1 more trial"
    for change, said in {
        "trials": (2, "trials: must be 3 or more; got 2"),
        "confirm": ({"top": 2, "seeds": 3}, "confirm: must be .*, as it was; got"),
        "sampler_seed": (1, "sampler_seed: must be 0, as it was; got 1"),
    }.items():
        with pytest.raises(NotExtensible, match=said[1]):
            ran(make_search(**{"trials": 3, "confirm": {"top": 1, "seeds": 3}, change: said[0]}))


@pytest.mark.parametrize(
    ("baseline", "keys", "said"),
    [
        ({"batch_size": 16}, {}, "ablate, baseline, contexts: must give the arms baseline, momentum=0 as before"),
        ({}, {"ablate": {MOMENTUM: [0.5]}, "seeds": 2}, "must give the arm momentum=0 as before"),
        ({}, {"contexts": {"a": {}}}, "must give the arms baseline, momentum=0 as before"),
        ({}, {"seeds": [1, 2]}, "seeds: must have the seed 0 too"),
        ({}, {"metric": "validation_loss"}, "metric: must be 'validation_accuracy', as it was; got"),
        ({}, {"delta": 1.0}, r"delta: must be 0\.5, as it was; got 1\.0"),
        ({}, {"family": "context"}, "family: must be 'study', as it was; got 'context'"),
        (
            {},
            {"grid": {MOMENTUM: [0.0, 0.9]}, "seeds": 2},
            "ablate: must be .*, as it was; got null; grid: must be null, as it",
        ),
        ({}, {"seeds": 2, "teacher_once": True}, "teacher_once: must be false, as it was; got true"),
        ({}, {"race": {"looks": [2, 3]}, "seeds": 3}, "race: a race does not grow, for its last look, at 3 seeds"),
    ],
)
def test_a_study_that_does_not_contain_the_one_of_the_run_is_refused(
    make_spec: MakeSpec, tmp_path: Path, baseline: dict[str, Any], keys: dict[str, Any], said: str
) -> None:
    stored = make_spec(delta=0.5)
    with pytest.raises(NotExtensible, match=said):
        require_grown(make_spec(baseline, **{"delta": 0.5, **keys}), stored, Storage(tmp_path))


def test_the_refusal_of_a_changed_study_names_the_way(
    make_spec: MakeSpec, run_dir: str, console: Console, tmp_path: Path
) -> None:
    begin(make_spec(), run_dir)
    larger = make_spec(ablate={MOMENTUM: [0.0, 0.5]}, seeds=2)
    with pytest.raises(StudyDiffers, match=r"differs in: ablate; .* 'cktf extend .*run --study FILE' to add arms"):
        launch(larger, run_dir, console=console)
    out = message_for("extend", run_dir, "--set", "epochs=3", cwd=tmp_path)
    assert "--set: replaces values of the file of --study" in out
    (tmp_path / "other.yaml").write_text(dump_study(make_spec({"batch_size": 16})))
    out = message_for("extend", run_dir, "--study", "other.yaml", cwd=tmp_path)
    assert "ablate, baseline, contexts: must give the arms baseline, momentum=0 as before" in out
    with pytest.raises(NotExtensible, match="--study: has all that the study shall have"):
        extend(run_dir, study=larger, seeds=1, console=console)


def test_a_killed_extension_is_resumed_and_says_once_what_it_added(
    make_spec: MakeSpec, run_dir: str, ran: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(make_spec())
    larger = make_spec(ablate={MOMENTUM: [0.0, 0.5]}, seeds=2)
    for where, name in ((Storage, "write"), (run_module, "Planner")):  # between row and file; before any plan
        monkeypatch.setattr(where, name, lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ran(larger)
        monkeypatch.undo()
    assert {arm for _, arm, _ in ran(require_study(Storage(run_dir)))} == {"momentum=0.5"}
    assert methods_text(load(run_dir)).count("the arm momentum=0.5") == 1


@pytest.mark.usefixtures("plain_registries")
def test_a_plugin_of_the_larger_study_is_copied(tmp_path: Path, run_dir: str, make_spec: MakeSpec) -> None:
    begin(make_spec(), run_dir)
    (tmp_path / "mine.py").write_text((resources.files("cktf.templates") / "metric.py").read_text())
    (tmp_path / "larger.yaml").write_text(Path(run_dir, STUDY).read_text() + "plugins: [mine.py]\n")
    larger = load_study(tmp_path / "larger.yaml")
    require_grown(larger, make_spec(), Storage(run_dir))
    begin(larger, run_dir)
    assert Path(run_dir, "plugins", "mine.py").is_file()
    assert "mine.py" in rows_of(run_dir, StudyRow)[-1].plugins


@pytest.mark.usefixtures("plain_registries")
def test_a_plugin_of_the_run_is_not_replaced_by_another_file_with_the_same_part(
    tmp_path: Path, run_dir: str, make_spec: MakeSpec
) -> None:
    source = (resources.files("cktf.templates") / "objective.py").read_text()
    study = dump_study(make_spec(compare={"other": {"optimizer": {"momentum": 0.0}}}, seeds=1))
    for name, code in (("mine", source), ("changed", f"{source}# changed"), ("renamed", source)):
        (tmp_path / f"{name}.py").write_text(code)
        (tmp_path / f"{name}.yaml").write_text(f"{study}plugins: [{name}.py]\n")
    begin(load_study(tmp_path / "mine.yaml"), run_dir)
    with pytest.raises(NotExtensible, match=r"plugins: must have the file or module mine\.py too"):
        extend(run_dir, study=load_study(tmp_path / "changed.yaml"))
    require_grown(load_study(tmp_path / "renamed.yaml"), require_study(Storage(run_dir)), Storage(run_dir))


def test_a_smoke_run_is_extended_by_the_small_version_of_a_study(
    make_spec: MakeSpec, run_dir: str, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(smoke_study(make_spec(seeds=5)), run_dir)
    extended: list[StudySpec] = []
    monkeypatch.setattr(run_module, "_carry_out", lambda spec, *_, **__: extended.append(spec))
    larger = make_spec(ablate={MOMENTUM: [0.0, 0.5]}, seeds=5)
    extend(run_dir, study=larger, console=console)
    assert extended == [smoke_study(larger)]
