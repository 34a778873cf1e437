"""What ``import cktf`` gives: the way from a study to its results, in Python."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cktf
from cktf.driver import extended
from cktf.errors import InputError, UserError
from cktf.study.problems import StudyError
from cktf.trainer.config import TrialConfig

ROOT = Path(__file__).parents[1]
BASELINE: dict[str, Any] = {
    "data": {"name": "digits", "train_fraction": 0.1},
    "student": {"model": "resnet5"},
    "objective": {"cross_entropy": {"weight": 1.0}},
    "epochs": 2,
}
YAML = """\
# Does momentum matter?
baseline:
  data: {name: digits, train_fraction: 0.1}
  student: {model: resnet5}
  objective: {cross_entropy: {weight: 1.0}}
  epochs: 1
ablate: {optimizer.momentum: [0.0]}
seeds: 2
resources: {gpus: 0, slots: 1}
"""


def study(**keys: Any) -> cktf.Study:
    return cktf.Study(baseline=BASELINE, **(keys or {"ablate": {"optimizer.momentum": [0.0]}, "seeds": 2}))


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a folder, as a notebook does that is there."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = [{str(folder)!r}, {str(ROOT)!r}]\n{code}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("ray_on_this_machine")
def test_the_example_of_a_notebook_runs_from_the_study_to_the_effects(tmp_path: Path) -> None:
    file = tmp_path / "momentum.yaml"
    file.write_text(YAML)
    loaded = cktf.load_study(file)
    epochs = list(cktf.train(loaded.arm("baseline"), loaded.train_options(), seed=1))
    assert [epoch.epoch for epoch in epochs] == [1]
    run = tmp_path / "run"
    assert cktf.launch(loaded, run).complete == 4
    assert cktf.resume(run).complete == 4
    results = cktf.load(run)
    assert list(results.effects["arm"]) == ["momentum=0"]
    of_one_trial = results.epochs.merge(results.trials.query("arm == 'baseline' and seed == 1")[["trial_id"]])
    # Ray gives a trial one thread, so that last bits differ.
    assert list(of_one_trial["train_loss"]) == pytest.approx([epoch.train_loss for epoch in epochs], rel=0.01)


def test_nothing_heavy_is_loaded_until_it_is_used(tmp_path: Path) -> None:
    heavy = "ray", "torch", "optuna", "pandas", "pydantic", "pyarrow", "cktf.driver", "cktf.study", "analysis"
    done = python(
        f"import cktf\nprint([name for name in {heavy} if name in sys.modules])\n"
        "print(all(name in dir(cktf) for name in cktf.__all__), cktf.load_study.__name__, 'ray' in sys.modules)",
        tmp_path,
    )
    assert done.stdout.splitlines()[-1] == "True load_study False", done.stderr
    assert done.stdout.startswith("[]")


@pytest.mark.parametrize("name", cktf.__all__)
def test_every_name_is_there_each_time_it_is_asked_for(name: str) -> None:
    assert callable(getattr(cktf, name))
    assert getattr(cktf, name) is getattr(cktf, name)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'cktf' has no attribute 'lanch'"):
        getattr(cktf, "lanch")  # noqa: B009  # mypy knows that it is not there


def test_a_study_of_python_is_checked_as_one_of_a_file() -> None:
    made = study()
    assert (made.name, made.seeds) == ("study", (0, 1))
    with pytest.raises(StudyError, match=r"^baseline\.epochs: must be 1 or more; got 0$"):
        cktf.Study(baseline={**BASELINE, "epochs": 0}, ablate={"batch_size": [4]})
    with pytest.raises(StudyError, match=r"^ablate\.batchsize: .*batch_size"):
        study(ablate={"batchsize": [4]})
    with pytest.raises(StudyError, match=r"baseline: is required, and missing"):
        cktf.Study.model_validate({})


def test_an_arm_is_found_by_its_name_within_its_context() -> None:
    assert isinstance(study().arm("baseline"), TrialConfig)
    assert study().arm("momentum=0").optimizer.momentum == 0
    several = study(contexts={"a": {}, "b": {"batch_size": 8}}, compare={"slow": {"epochs": 1}}, seeds=1)
    assert several.arm("slow", "b").batch_size == 8
    for (name, context), said in {
        ("slow", None): "context: must be one of a, b; got null",
        ("slow", "c"): "context: must be one of a, b; got 'c'",
        ("fast", "a"): "arm: must be one of baseline, slow; got 'fast'",
        ("s\x1b", "a"): r"arm: must be one of baseline, slow; got 's\x1b'",
    }.items():
        with pytest.raises(StudyError) as caught:
            several.arm(name, context)
        assert str(caught.value) == said


@pytest.mark.parametrize("seed", [-1, 2**31, 1.5, "3", True])
def test_a_seed_that_is_none_is_refused(seed: Any) -> None:
    with pytest.raises(InputError, match=r"^seed: must be a whole number from 0 to 2147483647; got "):
        next(cktf.train(study().arm("baseline"), seed=seed))


def test_a_seed_may_be_one_of_numpys() -> None:
    config = study().arm("baseline")
    seeds: tuple[Any, ...] = (np.int64(3), 3)
    losses = [next(cktf.train(config, seed=seed)).train_loss for seed in seeds]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("place", ["analysis.py", "analysis/__init__.py", "analysis/other.py"])
def test_another_module_called_analysis_is_named(place: str, tmp_path: Path) -> None:
    file = tmp_path / place
    file.parent.mkdir(exist_ok=True)
    file.write_text("")
    is_hidden = place != "analysis/other.py"  # a folder that is no package hides nothing
    for before in ("", "import analysis\n"):
        done = python(
            f"{before}import cktf\nfrom cktf.errors import UserError\n"
            "try:\n    cktf.load('nowhere')\nexcept UserError as error:\n    print(error)",
            tmp_path,
        )
        assert done.stdout.startswith(f"{file}: this module is called analysis and hides ") is is_hidden
        assert done.stdout.count("\n") == 1, done.stderr


def test_a_number_of_things_to_add_that_is_none_is_refused() -> None:
    for keys in ({"seeds": -1}, {"trials": -3}, {"seeds": 1.5}):
        with pytest.raises(UserError, match="must be a whole number, 0 or more; got "):
            extended(study(), **keys)
