"""Contexts, skipped arms and references that do not fit a study: each is refused with the message that mends it."""

from collections.abc import Callable
from typing import Any

import pytest

from cktf.study.designs import plan_arms
from cktf.study.in_words import comparisons_of
from cktf.study.load import Study
from cktf.study.problems import StudyError
from cktf.study.spec import StudySpec

Make = Callable[..., StudySpec]
Refused = Callable[..., str]

CONTEXTS: dict[str, Any] = {"small": {"student": {"model": "resnet8"}}, "large": {"student": {"model": "resnet14"}}}
COMPARE: dict[str, Any] = {"kd": {"objective": {"kd": {"weight": 1.0}}}, "longer": {"epochs": 3}}
KEYS: dict[str, Any] = {"contexts": CONTEXTS, "compare": COMPARE}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"contexts": {}}, "contexts: must have 1 or more entries; got {}"),
        ({"contexts": {"a": 3}}, "contexts.a: must be a mapping of keys to values; got 3"),
        ({"contexts": {"a": {"epohs": 1}}}, "contexts.a.epohs: no such path. Did you"),
        ({"contexts": {"a": {"seed": 1}}}, "contexts.a.seed: the seed cannot be a factor"),
        ({"contexts": {"a": {"epochs": 0}}}, "contexts.a.epochs: must be 1 or more; got 0"),
        ({"contexts": {"a": {"teacher": None}}}, "contexts.a: objective.cktf needs a teacher"),
        ({"contexts": {"a": {"student": None}}}, "contexts.a.student: must be a mapping of keys to values"),
        ({"contexts": {"a\tb": {}}}, "contexts: a context's name must be one line of text without spaces around it"),
        ({"contexts": {"": {}}}, "contexts: a context's name must be one line of text"),
        ({"contexts": {"a": {}, "b": {}}}, "contexts.b: in context b: equals arm 'baseline' in context 'a'"),
        (
            {"contexts": {"a": {}, "b": {"data": {"root": "elsewhere"}}}},
            "contexts.b: in context b: equals arm 'baseline' in context 'a'",
        ),
        (
            {"contexts": {"a": {"epochs": 3}, "b": {"batch_size": 32}}},
            "compare.longer: in context a: equals arm 'baseline'",
        ),
        (
            {"contexts": {"a": {"objective": {"cktf": None}, "teacher": None}, "b": {"teacher": {"epochs": 2}}}},
            "compare.kd: in context a: objective.kd needs a teacher",
        ),
        ({"skip": {"smal": ["kd"]}}, "skip.smal: no such context. Did you mean 'small'? Known here: small, large"),
        ({"skip": {"small": ["kdd"]}}, "skip.small[0]: no such arm. Did you mean 'kd'? Known here: kd, longer"),
        ({"skip": {"small": ["baseline"]}}, "skip.small[0]: the baseline runs in every context"),
        ({"skip": {"small": ["kd", "longer"]}}, "skip.small: leaves no arm to be compared with the baseline"),
        ({"skip": {"small": "kd"}}, "skip.small: must be a list; got 'kd'"),
        ({"contexts": None, "skip": {"small": ["kd"]}}, "skip: only a study with 'contexts:' and 'compare:'"),
        (
            {"compare": None, "ablate": {"epochs": [3]}, "skip": {"small": ["epochs=3"]}},
            "skip: only a study with 'contexts:' and 'compare:' has this key",
        ),
        (
            {"compare": None, "search": {"epochs": {"int": [1, 4]}}},
            "contexts: a study with 'search:' has none; search in one,",
        ),
        # A factor that hides what contexts differ in would make one training of two.
        (
            {"compare": None, "ablate": {"student.model": ["resnet20"]}},
            "ablate.student.model[0]: in context large: equals arm 'student.model=resnet20' in context 'small'",
        ),
        (
            {"compare": None, "ablate": {"student.model": ["resnet14"], "epochs": [1]}},
            "contexts.large: in context large: equals arm 'student.model=resnet14' in context 'small'",
        ),
        (
            {"compare": None, "ablate": {"epochs": [3]}, "contexts": {"a": {}, "b": {"epochs": 3, "batch_size": 32}}},
            "ablate: in context b: every arm equals the baseline",
        ),
        # What is wrong in every context is told once, and without their names.
        ({"compare": {"a": {"epochs": 0}}}, "study.yaml, line 28: compare.a.epochs: must be 1 or more; got 0"),
        ({"compare": None, "grid": {"epochs": [0, 3], "batch_size": [8]}}, ": grid.epochs: must be 1 or more; got 0"),
    ],
)
def test_contexts_that_do_not_fit_are_refused(refused: Refused, keys: dict[str, Any], message: str) -> None:
    said = refused(**{key: value for key, value in {**KEYS, **keys}.items() if value is not None})
    assert message in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"values": {"kd": 1.0}}, "reference.source: is required, and missing"),
        ({"source": "", "values": {"kd": 1.0}}, "reference.source: "),
        ({"values": {}}, "reference.values: must have 1 or more entries; got {}"),
        ({"values": {"small": {"kd": "x"}}}, "reference.values.small"),
        ({"values": {"small": {"kd": {"value": 1.0, "sd": 0, "n": 5}}}}, "reference.values.small"),
        ({"values": {"kd": 1.0}}, "reference.values: must be of one of the study's contexts: small, large"),
        ({"teacher": 75.0}, "reference.teacher: must be of one of the study's contexts: small, large"),
        ({"values": {"smal": {"kd": 1.0}}}, "reference.values.smal: must be of one"),
        ({"teacher": {"smal": 75.0}}, "study's contexts: small, large. Did you mean 'small'?"),
        (
            {"values": {"small": {"kdd": 1.0}}},
            "reference.values.small.kdd: no such arm. Did you mean 'kd'? Known here: baseline, kd, longer",
        ),
        (
            {"values": {"large": {"longer": 1.0}}},
            "reference.values.large.longer: no such arm. Known here: baseline, kd",
        ),
        ({"metric": "test_loss"}, "metric: must be test_accuracy, which this study reports; got 'test_loss'"),
        ({"unit": "%"}, "reference.unit: unknown key. Known here: source, metric, values, teacher"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused(refused: Refused, keys: dict[str, Any], message: str) -> None:
    reference = {"source": "Some 2023", "values": {"small": {"kd": 1.0}}, **keys}
    if "is required" in message:
        del reference["source"]
    assert message in refused(**KEYS, skip={"large": ["longer"]}, reference=reference)


def test_a_reference_without_contexts_names_arms_alone(make: Make, refused: Refused) -> None:
    reference: dict[str, Any] = {"source": "Some 2023", "values": {"baseline": 70, "theta=0": 71.5}, "teacher": 75}
    ablate = {"objective.cktf.theta": [0.0]}
    assert make(ablate=ablate, reference=reference).reference is not None
    reference["values"] = {"small": {"baseline": 70.0}}
    message = "reference.values.small: must be of one of the study's contexts: none, for this study has none"
    assert message in refused(ablate=ablate, reference=reference)
    reference["values"] = {"theta=1": 70.0}
    assert "reference.values.theta=1: no such arm. Did you mean 'theta=0'? Known here: baseline, theta=0" in refused(
        ablate=ablate, reference=reference
    )


def test_a_study_of_a_loss_has_references_of_that_loss(make: Make) -> None:
    reference = {"source": "Some 2023", "metric": "test_loss", "values": {"baseline": 0.7}}
    assert make(ablate={"epochs": [1]}, metric="validation_loss", reference=reference)


def test_what_every_context_sets_may_be_missing_in_the_baseline(
    make: Make, refused: Refused, baseline: dict[str, Any]
) -> None:
    del baseline["student"], baseline["teacher"]["model"]
    teacher = {"teacher": {"model": "resnet20"}}
    contexts = {name: {**patch, **teacher} for name, patch in CONTEXTS.items()}
    spec = make(contexts=contexts, compare=COMPARE)
    assert [config.student.model for config in spec.baseline_configs.values()] == ["resnet8", "resnet14"]
    del contexts["large"]["student"]
    assert "contexts.large.student: is required, and missing" in refused(contexts=contexts, compare=COMPARE)
    assert "baseline.student: is required, and missing" in refused(compare=COMPARE)


def test_what_is_wrong_in_the_baseline_stands_there_even_where_it_is_incomplete(
    refused: Refused, baseline: dict[str, Any]
) -> None:
    del baseline["student"]
    baseline["epochs"] = 0
    (line,) = refused(**KEYS).splitlines()
    assert line.endswith("baseline.epochs: must be 1 or more; got 0")


def test_names_that_cannot_be_seen_whole_are_refused(make: Make) -> None:
    values = make(compare={"kd": {"epochs": 3}}).model_dump(exclude_unset=True)
    for name in ("kd ", "k\u200bd"):
        with pytest.raises(StudyError, match="an arm's name must be one line of text without spaces around it"):
            Study(**{**values, "compare": {name: {"epochs": 3}}})


NAMED: dict[str, Any] = {"compare": COMPARE}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"contrasts": [["kd", "longr"]]},
            "contrasts[0][1]: no such arm. Did you mean 'longer'? Known here: baseline,",
        ),
        ({"contrasts": [["kd", "longer", "kd"]]}, "contrasts[0]: must have 2 or fewer entries"),
        ({"contrasts": [["kd", "kd"]]}, "contrasts[0]: must be two arms that train differently; got ['kd', 'kd']"),
        ({"contrasts": [["kd"]]}, "contrasts[0]: must be two arms, or baseline for every arm against it; got 'kd'"),
        ({"contrasts": "kd"}, "contrasts: must be a list of pairs of arms, and of the word baseline; got 'kd'"),
        ({"contrasts": [["kd", "longer"], ["longer", "kd"]]}, "contrasts[1]: stands there twice, in whichever order"),
        ({"contrasts": [["baseline", "kd"], "baseline"]}, "contrasts[0]: stands there twice, in whichever order"),
        (
            {"contexts": CONTEXTS, "skip": {"small": ["kd"], "large": ["longer"]}, "contrasts": [["kd", "longer"]]},
            "contrasts[0]: must be two arms that run in one context; got ['kd', 'longer']",
        ),
        (
            {"compare": None, "search": {"epochs": {"int": [1, 4]}}, "contrasts": [["kd", "longer"]]},
            "contrasts: a study with 'search:' has none",
        ),
        ({"family": "arm"}, "family: must be one of study, context; got 'arm'"),
        ({"alternative": "greater"}, "alternative: must be one of two_sided, better, worse; got 'greater'"),
        ({"margin": 0.5}, "margin: only with 'alternative: better' or 'worse'; got 0.5"),
        ({"alternative": "better", "delta": 0.5}, "delta: is of two-sided comparisons; with 'alternative: better'"),
        ({"expect_sd": 0}, "expect_sd: must be greater than 0; got 0"),
    ],
)
def test_questions_that_do_not_fit_are_refused(refused: Refused, keys: dict[str, Any], message: str) -> None:
    said = refused(**{key: value for key, value in {**NAMED, **keys}.items() if value is not None})
    assert message in said.replace('"', "'")


def test_contrasts_are_counted_where_both_arms_run(make: Make) -> None:
    def counted(**keys: Any) -> tuple[int, int] | None:
        spec = make(contexts=CONTEXTS, compare=COMPARE, skip={"small": ["kd"]}, **keys)
        return comparisons_of(spec, plan_arms(spec))

    pairs = [["kd", "longer"], ["longer", "baseline"]]
    assert counted(seeds=4) == (3, 4)
    assert counted(seeds=4, contrasts=pairs) == (3, 4)
    assert counted(seeds=4, contrasts=["baseline", *pairs]) == (4, 4)
    assert counted(seeds=4, contrasts=["baseline", *pairs], family="context") == (3, 4)
