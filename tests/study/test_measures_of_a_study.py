"""Measures that a study names: how they are written, and which may be its metric."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from cktf.epoch_result import MEASURE
from cktf.measures.registry import MEASURES
from cktf.plugins import file_plugin
from cktf.study.designs import plan_arms
from cktf.study.load import dump_study, read_study
from cktf.study.problems import StudyError
from tests.kinds import MakeSpec
from tests.study.texts import TEXT, refused

METRIC = b"""
from cktf.measures import OfPredictions
class Half(OfPredictions):
    factor: float = 0.5
    def __call__(self, predictions):
        return self.factor * predictions.logits.mean()
METRICS = {"half": Half}
"""


def test_measures_are_a_list_or_a_mapping_and_are_dumped_to_be_read_again() -> None:
    spec = read_study(TEXT + "measures: [top5, {ece: {bins: 10}}, flops]\n", "x.yaml")
    assert spec.measures == {"top5": {}, "ece": {"bins": 10}, "flops": {}}
    assert read_study(TEXT + "measures: {top5: , ece: {bins: 10}, flops: {}}\n", "x.yaml") == spec
    assert read_study(dump_study(spec), "x.yaml") == spec
    assert spec.train_options().measures == spec.measures


def test_they_change_no_identity() -> None:
    plain, measured = (read_study(TEXT + more, "x.yaml") for more in ("", "measures: [ece]\nkeep_logits: true\n"))
    assert [arm.arm_id for arm in plan_arms(plain)] == [arm.arm_id for arm in plan_arms(measured)]
    assert plain.metric_is_of_every_epoch


def test_a_measure_of_a_plugin_changes_no_identity(plain_registries: None) -> None:  # noqa: ARG001
    text = TEXT + "plugins: [half.py]\nmeasures: [{half: {factor: 2}}]\nmetric: validation_half\n"
    found = [read_study(text, "x.yaml", find=partial(file_plugin, source=source)) for source in (METRIC, METRIC + b"#")]
    ids = {tuple(arm.arm_id for arm in plan_arms(spec)) for spec in (*found, read_study(TEXT, "x.yaml"))}
    assert len(ids) == 1
    assert (found[0].maximise, found[0].columns[1]) == (True, "measure.test_half")
    assert found[0].plugins != found[1].plugins
    with pytest.raises(StudyError, match=r"measures\.half\.factor: must be a finite number; got 'x'"):
        read_study(text.replace("factor: 2", "factor: x"), "x.yaml", find=lambda name: file_plugin(name, METRIC))


@pytest.mark.parametrize(
    ("name", "said"),
    [("ece", "'ece' is the name of a built-in measure"), ("accuracy", "'accuracy' is"), ("test_x", "'test_x' is")],
)
def test_a_plugin_s_measure_has_a_name_of_its_own(name: str, said: str, plain_registries: None) -> None:  # noqa: ARG001
    source = METRIC.replace(b'"half"', f'"{name}"'.encode())
    with pytest.raises(StudyError, match=f"half.py: METRICS: {said}"):
        read_study(TEXT + "plugins: [half.py]\n", "x.yaml", find=lambda file: file_plugin(file, source))


def test_what_is_no_measure_is_told(plain_registries: None) -> None:  # noqa: ARG001
    source = METRIC.replace(b"(OfPredictions)", b"")
    with pytest.raises(
        StudyError, match=r"half: must be a subclass of cktf\.measures\.OfPredictions or OfStudent; got"
    ):
        read_study(TEXT + "plugins: [half.py]\n", "x.yaml", find=lambda file: file_plugin(file, source))


@pytest.mark.parametrize(
    ("more", "metric", "reported", "maximise"),
    [
        ("measures: [ece]\nmetric: validation_ece", "validation_ece", "test_ece", False),
        ("measures: [top5]\nmetric: validation_top5", "validation_top5", "test_top5", True),
        ("measures: [flops]\nmetric: flops", "flops", "flops", False),
        ("measures: [images_per_second]\nmetric: images_per_second", "images_per_second", "images_per_second", True),
    ],
)
def test_any_single_measure_may_decide(more: str, metric: str, reported: str, maximise: bool) -> None:
    spec = read_study(TEXT + more, "x.yaml")
    assert (spec.metric, spec.report_metric, spec.maximise) == (metric, reported, maximise)
    assert spec.columns == (MEASURE + metric, MEASURE + reported)


REFUSED = {
    "measures: [ecce]": r"x.yaml, line 14: measures.ecce: unknown measure. Did you mean 'ece'",
    "measures: [{ece: {bin: 3}}]": r"measures.ece.bin: unknown key.*Known here: bins",
    "measures: {ece: {bins: 0}}": r"line 14: measures.ece.bins: must be 1 or more; got 0",
    "measures: ece": r"measures: must be a list of measures",
    "measures: [ece, ece]": "measures: names 'ece' twice",
    "metric: validation_ece": r"metric: must be one of validation_accuracy, validation_loss; got 'validation_ece'.*"
    r"A measure is named under 'measures:' too",
    "measures: [ece]\nmetric: test_ece": r"validation_ece; got 'test_ece'.* the test split never chooses",
    "measures: [ece]\nmetric: validation_ec": r"Did you mean 'validation_ece'",
    "measures: [class_accuracy]\nmetric: validation_class_accuracy": r"must be one of validation_accuracy, "
    r"validation_loss; got",
    "measures: [ece]\nmetric: validation_ece\nreference: {source: a, values: {baseline: 3}}": r"reference.metric: must "
    r"be test_ece",
}


@pytest.mark.parametrize("more", REFUSED)
def test_what_is_wrong_is_told_in_one_line(more: str) -> None:
    said = refused(TEXT + more + "\n")
    assert re.search(REFUSED[more], said), said
    assert len(said.splitlines()) == 1


def test_agreement_needs_a_teacher_in_every_arm() -> None:
    text = TEXT.replace("    cktf: {beta: 0.8, theta: 0.1, temperature: 0.1, negatives: 64}\n", "")
    text = text.partition("ablate:")[0] + "compare: {alone: {teacher: null}}\nmeasures: [agreement]\n"
    for arm in ("{teacher: null}", "{source: {name: fashion_mnist, side: 8}}"):
        said = refused(text.replace("{teacher: null}", arm))
        assert "measures.agreement: needs a teacher of the data's classes in every arm; there is none in alone" in said
    assert read_study(TEXT + "measures: [agreement]\n", "x.yaml").reads_teacher


def test_a_search_may_minimise_a_measure_and_prunes_by_one_of_every_epoch_alone(
    make_search: MakeSpec, make_result: Callable[..., Any]
) -> None:
    with pytest.raises(StudyError, match="prune: compares epochs, and flops, the metric, is measured after the last"):
        make_search(measures=["flops"], metric="flops", prune="median")
    assert make_search(measures=["ece"], metric="validation_ece", prune="median").metric_is_of_every_epoch
    assert make_result(1, 50.0, measures={"flops": 7.0}).value("measure.flops") == 7.0


def test_only_the_split_at_the_beginning_of_a_metric_is_another_in_the_report(
    make_search: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make_search(measures=["ece"], metric="validation_ece").columns[1] == "measure.test_ece"
    monkeypatch.setitem(MEASURES, "cross_validation_gap", MEASURES["flops"])  # a measure that has no split
    spec = make_search(measures=["cross_validation_gap"], metric="cross_validation_gap")
    assert spec.columns == ("measure.cross_validation_gap", "measure.cross_validation_gap")


def test_a_search_may_have_several_metrics(make_search: MakeSpec) -> None:
    names = ["validation_ece", "flops", "validation_accuracy"]
    spec = make_search(measures=["flops", "ece"], metric=names, sampler="tpe")
    assert spec.metrics == ("validation_ece", "flops", "validation_accuracy")
    assert spec.columns == ("measure.validation_ece", "measure.test_ece")
    assert spec.directions == {"measure.validation_ece": False, "measure.flops": False, "validation_accuracy": True}
    assert not spec.maximise
    assert read_study(dump_study(spec), "written.yaml").metrics == spec.metrics
    assert make_search(metric=["validation_loss"]) == make_search(metric="validation_loss")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"sampler": "gp"}, "sampler: must be tpe or nsgaii with several metrics; got gp"),
        ({"prune": "median"}, "prune: must be none with several metrics; got median"),
        ({"metric": ["flops", "flops"]}, "metric: must be metrics that differ"),
        ({"metric": ["flops", "test_accuracy"]}, "metric: must be one of .* got 'test_accuracy'"),
        ({"metric": []}, "metric: .* must have 1 or more entries"),
    ],
)
def test_what_several_metrics_do_not_go_with_is_refused(keys: dict[str, Any], said: str, make_search: MakeSpec) -> None:
    with pytest.raises(StudyError, match=said):
        make_search(**{"measures": ["flops"], "metric": ["validation_accuracy", "flops"], "sampler": "tpe"} | keys)


def test_a_design_has_one_metric(make_spec: MakeSpec) -> None:
    with pytest.raises(StudyError, match="metric: must be one, but for 'search:'; others may stand under 'measures:'"):
        make_spec(metric=["validation_accuracy", "validation_loss"])
