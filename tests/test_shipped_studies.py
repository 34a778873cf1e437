"""The studies in search_spaces/: each works from end to end, and the paper's numbers in them are the paper's."""

import math
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import pytest
import torch

from cktf.data import load_dataset, split
from cktf.names import BASELINE
from cktf.run.preflight import require_runnable
from cktf.study import designs
from cktf.study.designs import MANY_SMOKE_ARMS, Arm, every_arm, plan_arms, smoke_study
from cktf.study.load import load_study
from cktf.study.sections import Published
from cktf.study.spec import StudySpec
from cktf.trainer.train import TrainOptions
from cktf.trial.content import trial_config
from cktf.trial.run import run_trial
from tests.kinds import parts

STUDIES = {file.stem: file for file in (Path(__file__).parents[1] / "search_spaces").glob("*.yaml")}

TRAINED_BY = {
    "tiny_imagenet_table1": ["cifar100_table1"],
    "cifar100_cktf_ablation": ["digits_contrast", "digits_ablation", "fashion_mnist_ablation"],
}
"""Study to others that train arms of the same names."""


@pytest.mark.parametrize("name", sorted(STUDIES))
def test_every_arm_of_a_shipped_study_is_built_and_trained(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CKTF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CKTF_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(designs, "SMOKE_EPOCHS", 1)  # a second one shows nothing that is a study's own
    spec = smoke_study(load_study(STUDIES[name]))
    trained = arms_to_train(spec, elsewhere := {each for other in TRAINED_BY.get(name, ()) for each in names_of(other)})
    levels = {level for arm in trained for level in levels_of(arm)}
    for arm in every_arm(spec):
        assert arm.name in elsewhere or levels_of(arm) <= levels or arm.name in {each.name for each in trained}
    assert {method_of(arm.context) for arm in trained} == {method_of(context) for context in spec.baselines}
    for arm in trained:
        *_, last = run_trial(arm.config, TrainOptions(read_test=True), device=torch.device("cpu"))
        assert last.epoch == arm.config.total_epochs
        assert math.isfinite(last.train_loss)
        assert last.test_accuracy is not None
    if name in TRAINED_BY:  # networks of 64 pixels are built for half a second each
        for arm in in_turns(every_arm(spec), list(spec.baselines)):
            require_runnable(spec, arm)
    else:
        require_runnable(spec)  # which builds the other arms, and of a search its edges
    assert [*tmp_path.iterdir()] == [], "neither generated images nor their teachers are kept"


def names_of(name: str) -> set[str]:
    return {arm.name for arm in every_arm(load_study(STUDIES[name]))}


def levels_of(arm: Arm) -> set[tuple[str, str, str]]:
    """Return the levels of an arm's factors; of numbers that are not 0 one is as good as another."""
    numbers = {path: type(level) in (int, float) and level != 0 for path, level in arm.params.items()}
    return {(arm.context, path, "a number" if numbers[path] else str(level)) for path, level in arm.params.items()}


def method_of(context: str) -> str:
    """Return a context's name without the data set that may follow it."""
    return context.partition(",")[0]


def in_turns(arms: Iterable[Arm], contexts: Sequence[str]) -> list[Arm]:
    """Return each arm in one context, or in any that has it; the contexts take turns."""
    by_name: dict[str, dict[str, Arm]] = {}
    for arm in arms:
        by_name.setdefault(arm.name, {})[arm.context] = arm
    return [
        there.get(contexts[number % len(contexts)]) or next(iter(there.values()))
        for number, there in enumerate(by_name.values())
    ]


def arms_to_train(spec: StudySpec, elsewhere: Collection[str]) -> Sequence[Arm]:
    """Return arms with all levels, or of a study of many contexts each arm in one, taking turns, and one of each.

    Args:
        spec: The study.
        elsewhere: Names of arms that another study trains already, so that of each context one is enough.
    """
    arms = plan_arms(spec)
    contexts = list(spec.baselines)
    if len(arms) <= MANY_SMOKE_ARMS or len(contexts) == 1:
        seen: set[tuple[str, str, str]] = set()
        chosen = []
        for arm in arms:
            is_new = bool(spec.compare) or not levels_of(arm) <= seen
            if arm.name == BASELINE or (is_new and arm.name not in elsewhere):
                seen |= levels_of(arm)
                chosen.append(arm)
        return chosen
    chosen = in_turns((arm for arm in arms if arm.name not in elsewhere), contexts)
    for number, method in enumerate(dict.fromkeys(map(method_of, contexts))):
        if all(method_of(arm.context) != method for arm in chosen):
            here = [arm for arm in arms if method_of(arm.context) == method]
            chosen.append(here[number % len(here)])
    return sorted(chosen, key=lambda arm: contexts.index(arm.context))  # so that a teacher serves several


def published(name: str) -> tuple[dict[str, dict[str, float | Published]], dict[str, float]]:
    """Return a study's reference values and those of its teachers."""
    spec = load_study(STUDIES[name])
    assert spec.reference
    assert "2303.07599" in spec.reference.source
    return spec.reference.by_context(), spec.reference.teachers()


@pytest.mark.parametrize("name", ["digits_ablation", "digits_recipe", "digits_transfer"])
def test_the_numbers_of_digits_that_comments_state_are_those_of_the_split(name: str) -> None:
    data = trial_config(load_study(STUDIES[name]).baseline).data
    labels = load_dataset(data).train_labels
    few, whole = (
        len(split(labels, data.model_copy(update={"train_fraction": fraction}), seed=0).train_index)
        for fraction in (data.train_fraction, 1.0)
    )
    said = re.findall(r"# (\d+) images .*?all ([\d,]+)", STUDIES[name].read_text(), re.DOTALL)
    assert said == [(f"{few}", f"{whole:,}")]


def test_the_first_half_of_table_1_is_that_of_the_paper() -> None:
    values, teachers = published("cifar100_table1")
    assert [len(arms) for arms in values.values()] == [17, 16, 17, 17, 17, 17, 17]
    assert "fsp" not in values["WRN-40-2/WRN-40-1"]
    # Row by row as it is printed, where the study has it column by column.
    rows = {
        "baseline": [73.26, 73.54, 69.06, 69.06, 71.14, 72.5, 70.36],
        "kd": [74.92, 73.54, 70.66, 70.67, 73.08, 73.33, 72.98],
        "fitnet": [73.58, 72.24, 69.21, 68.99, 71.06, 73.5, 71.02],
        "vid": [74.11, 73.3, 70.38, 70.16, 72.61, 73.09, 71.23],
        "ab": [72.5, 72.38, 69.47, 69.53, 70.98, 73.17, 70.94],
        "crd": [75.48, 74.14, 71.16, 71.46, 73.48, 75.51, 73.94],
        "cktf": [75.85, 74.49, 71.2, 71.8, 73.84, 75.74, 74.31],
        "crd+kd": [75.64, 74.38, 71.63, 71.56, 73.75, 75.46, 74.29],
        "cktf+kd": [75.89, 74.94, 71.86, 71.66, 74.07, 75.97, 74.55],
    }
    for arm, row in rows.items():
        assert [values[context][arm] for context in values] == row, arm
    assert list(teachers.values()) == [75.61, 75.61, 72.34, 74.31, 74.31, 79.42, 74.64]
    assert values["WRN-40-2/WRN-16-2"]["fsp"] == 72.91


def test_the_second_half_of_table_1_is_that_of_the_paper() -> None:
    values, teachers = published("tiny_imagenet_table1")
    assert [len(arms) for arms in values.values()] == [16] * 4
    rows = {
        "baseline": [54.61, 58.6, 58.01, 58.01],
        "kd": [55.55, 62.51, 58.92, 58.63],
        "at": [53.55, 61.4, 59.16, 58.92],
        "sp": [55.09, 61.61, 55.91, 57.17],
        "nst": [51.08, 58.47, 59.23, 47.83],
        "crd": [56.99, 62.04, 60.02, 59.31],
        "cktf": [57.57, 63.01, 60.39, 59.42],
        "cktf+kd": [58.76, 63.97, 62.31, 61.51],
    }
    for arm, row in rows.items():
        assert [values[context][arm] for context in values] == row, arm
    assert list(teachers.values()) == [61.62, 61.35, 65.38, 65.34]


@pytest.mark.parametrize(
    ("data", "table", "pair"),
    [
        ("CIFAR-100", "cifar100_table1", "ResNet-32x4/ResNet-8x4"),
        ("Tiny-ImageNet", "tiny_imagenet_table1", "VGG-19/VGG-8"),
    ],
)
def test_the_methods_of_table_2_are_alone_what_they_are_in_table_1(data: str, table: str, pair: str) -> None:
    values, teachers = published("table2_cktf_on_top")
    alone, its_teachers = published(table)
    contexts = [context for context in values if context.endswith(f", {data}")]
    assert len(contexts) == 10
    assert {teachers[context] for context in contexts} == {its_teachers[pair]}
    arms = {arm.name: arm.config for arm in plan_arms(load_study(STUDIES[table])) if arm.context == pair}
    baselines = load_study(STUDIES["table2_cktf_on_top"]).baseline_configs
    for context in contexts:
        method = context.partition(",")[0]
        config, in_table_1 = baselines[context], arms[method.lower()]
        assert values[context] == {"baseline": alone[pair][method.lower()]}
        assert getattr(config.objective, method.lower()) == getattr(in_table_1.objective, method.lower())
        assert (config.data, config.teacher, config.student) == (
            in_table_1.data, in_table_1.teacher, in_table_1.student,
        )  # fmt: skip
        is_first_seven = method not in ("AB", "FT", "NST")
        assert parts(config).cktf.pairing == ("smallest" if data == "CIFAR-100" and is_first_seven else "last")
        assert parts(config).cktf.temperature == parts(arms["cktf"]).cktf.temperature
        assert config.batch_size == (32 if (data, method) == ("Tiny-ImageNet", "NST") else 64)


def test_cktf_on_top_is_the_sum_of_all_pairs() -> None:
    spec = load_study(STUDIES["table2_cktf_on_top"])
    second = [parts(arm.config).cktf for arm in plan_arms(spec) if arm.name == "with CKTF"]
    assert len(second) == 20
    assert {(cktf.weight, cktf.beta, cktf.theta) for cktf in second} == {(0.8, 1.0, 1.0)}


def test_the_ablation_begins_at_the_paper_s_recipe_and_numbers() -> None:
    values, teachers = published("cifar100_cktf_ablation")
    assert values == {"": {"baseline": 75.85, "cktf.weight=0": 73.26, "kd.weight=1": 75.89, "theta=0": 75.48}}
    assert teachers == {"": 75.61}
    table = load_study(STUDIES["cifar100_table1"])
    (recipe,) = (arm for arm in plan_arms(table) if (arm.context, arm.name) == ("WRN-40-2/WRN-16-2", "cktf"))
    baseline = load_study(STUDIES["cifar100_cktf_ablation"]).baseline_config
    assert parts(baseline).cktf == parts(recipe.config).cktf
    assert baseline.model_dump(exclude={"objective"}) == recipe.config.model_dump(exclude={"objective"})


@pytest.mark.parametrize(("name", "temperature"), [("cifar100_table1", 0.1), ("tiny_imagenet_table1", 0.07)])
def test_table_1_is_run_with_the_published_weights(name: str, temperature: float) -> None:
    weights = {
        "fitnet": 100, "at": 1000, "sp": 3000, "cc": 0.02, "vid": 1, "rkd": 1, "pkt": 30000, "ab": 1, "ft": 200,
        "nst": 50, "crd": 0.8,
    }  # fmt: skip
    first = {arm.name: arm.config for arm in reversed(plan_arms(load_study(STUDIES[name])))}
    for method, weight in weights.items():
        assert getattr(first[method].objective, method).weight == weight
        assert parts(first[method]).cross_entropy.weight == 1
    kd = parts(first["kd"])
    assert (kd.cross_entropy.weight, kd.kd.weight, kd.kd.temperature) == (0.1, 0.9, 4)
    cktf = parts(first["cktf+kd"]).cktf
    assert (cktf.beta, cktf.theta, cktf.temperature, cktf.negatives) == (0.8, 0.1, temperature, 16384)
    assert (cktf.dim, cktf.momentum, cktf.pairing) == (128, 0.5, "last")
    assert parts(first["crd+kd"]).crd.temperature == temperature
    for config in first.values():
        assert (config.epochs, config.optimizer.learning_rate, config.optimizer.decay) == (240, 0.05, 0.1)
        assert [round(part * config.epochs) for part in config.optimizer.milestones] == [150, 180, 210]
    assert first["nst"].batch_size == (32 if name == "tiny_imagenet_table1" else 64)


def test_the_numbers_of_the_newer_methods_are_those_of_their_sources() -> None:
    spec = load_study(STUDIES["cifar100_modern"])
    assert spec.reference
    values, teachers = spec.reference.by_context(), spec.reference.teachers()
    # Row by row, as the sources have them; None: no source.
    rows = {
        "baseline": [73.26, 71.98, 69.06, 71.14, 72.5, 70.36, 70.5, 71.82, 70.5],
        "kd": [74.92, 73.54, 70.66, 73.08, 73.33, 72.98, 74.07, 74.45, 74.83],
        "kd standardized": [76.11, 74.37, 71.43, 74.17, 76.62, 74.36, None, 75.56, None],
        "dkd": [76.23, 74.81, 71.97, 74.11, 76.32, 74.68, 76.45, 77.07, 76.7],
        "dkd standardized": [None, None, None, None, 77.01, None, None, 77.37, None],
        "dist": [None, 74.43, 71.75, None, 76.31, None, 76.34, 77.35, None],
        "ofd": [None, 74.33, 70.98, None, 74.95, None, 75.98, 76.82, None],
        "reviewkd": [76.12, 75.09, None, None, 75.63, None, 77.45, None, 77.14],
        "simkd": [None, 75.56, None, None, 78.08, None, 77.18, None, None],
    }
    for arm, row in rows.items():
        assert [values[context].get(arm) for context in values] == row, arm
    assert {arm for arms in values.values() for arm in arms} == {*rows}
    assert [teachers[context] for context in values] == [75.61, 75.61, 72.34, 74.31, 79.42, 74.64, 79.42, 79.42, 75.61]
