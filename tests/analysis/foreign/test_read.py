"""What a command line says of foreign results."""

import pytest

from analysis.foreign import read
from analysis.report.write import report_on
from cktf.errors import InputError
from cktf.foreign_options import KINDS, TAKES, Options


@pytest.mark.parametrize(
    ("kind", "options", "told"),
    [
        ("tsv", {}, "--from 'tsv': no such kind of results; there are: csv, wandb, mlflow, tensorboard, optuna, "),
        ("optuna", {"step": "a"}, "--step: results --from optuna do not take it; they take --study, --metric, "),
        ("mlflow", {"best": True}, "--best: results --from mlflow do not take it; they take --study, --metric, "),
        ("csv", {"metric": "a", "minimise": True, "maximise": True}, "--minimise, --maximise: they exclude each"),
        ("ray-tune", {"metric": "a", "status": "s"}, "--status: results --from ray-tune do not take it"),
        ("ray-tune", {}, "--metric: results --from ray-tune do not say which of their numbers is compared"),
    ],
)
def test_options_that_do_not_fit_are_told(kind: str, options: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError) as error:
        read(kind, "nowhere", Options(**options))  # type: ignore[arg-type]
    assert str(error.value).startswith(told)


def test_every_option_is_of_some_kind() -> None:
    named = {
        "study",
        "metric",
        "minimise",
        "maximise",
        "arm",
        "seed",
        "context",
        "names",
        "step",
        "best",
        "baseline",
        "delta",
        "contrast",
        "family",
        "alternative",
        "margin",
        "unpaired",
        "cluster",
        "status",
        "separator",
        "decimal",
        "encoding",
    }
    assert {name for taken in TAKES.values() for name in taken} == named
    assert set(vars(Options())) == named


@pytest.mark.parametrize(
    ("places", "out", "kind", "told"),
    [
        (["a"], "o", None, "--metric: only foreign results take it (--from); a run says it itself"),
        (["a", "b"], "o", "csv", "--from csv reads one place; got a, b"),
        (["a"], None, "csv", "--out is missing: the report of foreign results has no place of its own"),
    ],
)
def test_places_that_do_not_fit_are_told(places: list[str], out: str | None, kind: str | None, told: str) -> None:
    with pytest.raises(ValueError) as error:
        report_on(places, out, kind, Options(metric="x"))
    assert str(error.value) == told


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_place_is_told_as_such(kind: str) -> None:
    options = Options(metric="accuracy")
    with pytest.raises(InputError, match=f"the place of the results is empty; name .* of --from {kind}"):
        read(kind, " ", options)
