"""Results of which there is hardly anything: every figure and every table is made of them, or there is none."""

import json
from collections.abc import Callable

import pytest

from analysis import load
from analysis.figures import FIGURES, module_of
from analysis.figures.drawing import Drawing, themed
from analysis.figures.shown import panels_in
from analysis.report.drawing import RENDER
from analysis.report.tables import main_tables, side_tables
from analysis.report.write import DERIVED
from analysis.results import Results
from cktf.rows import EndRow, Stage, Status
from tests.analysis.ledgers import ARMS, EPOCHS, LedgerWriter, study_row, write_ablation, write_contexts

TEMPERATURE = "objective.cktf.temperature"


def nothing_planned(ledger: LedgerWriter) -> None:
    ledger.add(study_row(design="grid"))


def nothing_planned_in_a_search(ledger: LedgerWriter) -> None:
    ledger.add(study_row(design="search"))


def only_planned(ledger: LedgerWriter) -> None:
    ledger.add(study_row())
    for seed in range(2):
        ledger.plan("baseline", seed)
        ledger.plan("theta=0.0", seed, ARMS["theta=0.0"][0])


def one_trial(ledger: LedgerWriter) -> None:
    ledger.add(study_row())
    ledger.train(ledger.plan("baseline", 0), 80.0)


def one_arm(ledger: LedgerWriter) -> None:
    ledger.add(study_row())
    for seed in range(4):
        ledger.train(ledger.plan("baseline", seed), 80.0 + seed)


def one_seed(ledger: LedgerWriter) -> None:
    ledger.lines = write_ablation(ledger.run, seeds=1).lines


def no_factors(ledger: LedgerWriter) -> None:
    ledger.lines = write_ablation(ledger.run, seeds=3, factors=[]).lines


def no_factors_in_a_grid(ledger: LedgerWriter) -> None:
    ledger.lines = write_ablation(ledger.run, seeds=3, factors=[], design="grid").lines


def equal_scores(ledger: LedgerWriter) -> None:
    ledger.add(study_row())
    for seed in range(3):
        for arm in ARMS:
            ledger.train(ledger.plan(arm, seed, ARMS[arm][0]), 80.0)


def every_trial_failed(ledger: LedgerWriter) -> None:
    ledger.add(study_row())
    for arm in ARMS:
        ledger.train(ledger.plan(arm, 0, ARMS[arm][0]), 9.0, epochs=1, status=Status.FAILED, reason="nan", tests=False)


def the_baseline_failed(ledger: LedgerWriter) -> None:
    ledger.add(study_row())
    for seed in range(3):
        for arm in ARMS:
            status = Status.FAILED if arm == "baseline" else Status.COMPLETE
            ledger.train(ledger.plan(arm, seed, ARMS[arm][0]), 80.0 + seed, status=status)


def complete_without_epochs(ledger: LedgerWriter) -> None:
    ledger.add(study_row())
    for seed in range(3):
        for arm in ARMS:
            trial_id = ledger.plan(arm, seed, ARMS[arm][0])
            ledger.add(EndRow(trial_id=trial_id, status=Status.COMPLETE))


def _without_numbers(ledger: LedgerWriter) -> None:
    changed = []
    for line in ledger.lines:
        values = json.loads(line)
        for name in ("train_loss", "validation_accuracy", "validation_loss", "test_accuracy", "test_loss"):
            if name in values:
                values[name] = float("nan")
        changed.append(json.dumps(values))
    ledger.lines = changed


def scores_that_are_no_numbers(ledger: LedgerWriter) -> None:
    ledger.lines = write_ablation(ledger.run, seeds=3).lines
    _without_numbers(ledger)


def _search(ledger: LedgerWriter, trials: int, params: bool = True, **study: object) -> None:
    ledger.add(study_row(design="search", **study))
    for number in range(trials):
        levels = {TEMPERATURE: 0.1 * (number + 1)} if params else {}
        ledger.train(ledger.plan(f"search-{number}", 0, levels, Stage.SEARCH), 80.0 + number % 5, tests=False)


def search_of_one(ledger: LedgerWriter) -> None:
    _search(ledger, 1)


def search_without_parameters(ledger: LedgerWriter) -> None:
    _search(ledger, 12, params=False, factors=[])


def search_whose_factors_no_trial_has(ledger: LedgerWriter) -> None:
    _search(ledger, 12, params=False)


def search_of_one_level(ledger: LedgerWriter) -> None:
    ledger.add(study_row(design="search", factors=[TEMPERATURE]))
    for number in range(12):
        trial_id = ledger.plan(f"search-{number}", 0, {TEMPERATURE: 0.1}, Stage.SEARCH)
        ledger.train(trial_id, 80.0, tests=False)


def search_with_scores_that_are_no_numbers(ledger: LedgerWriter) -> None:
    _search(ledger, 12)
    _without_numbers(ledger)


def search_of_which_all_were_pruned(ledger: LedgerWriter) -> None:
    ledger.add(study_row(design="search"))
    for number in range(12):
        trial_id = ledger.plan(f"search-{number}", 0, {TEMPERATURE: 0.1 * number + 0.1}, Stage.SEARCH)
        ledger.train(trial_id, 80.0, epochs=EPOCHS - 2, status=Status.PRUNED, tests=False)


def confirmed_before_any_result(ledger: LedgerWriter) -> None:
    _search(ledger, 12)
    ledger.plan("search-1", 100, {TEMPERATURE: 0.2}, Stage.CONFIRM)


def a_context_without_results(ledger: LedgerWriter) -> None:
    ledger.lines = write_contexts(ledger.run, seeds=2).lines
    for arm in ("baseline", "kd"):
        ledger.plan(arm, 0, context="letters")


def contexts_of_one_seed(ledger: LedgerWriter) -> None:
    ledger.lines = write_contexts(ledger.run, seeds=1).lines


def health_that_no_version_knows(ledger: LedgerWriter) -> None:
    lines = write_ablation(ledger.run, seeds=2).lines
    for line in lines:
        values = json.loads(line)
        if values["kind"] == "epoch":
            values["health"] = {"margin.stage1": 0.5 * values["epoch"], "agreement": 80.0, "": 1.0}
        ledger.lines.append(json.dumps(values))


def health_that_is_no_number(ledger: LedgerWriter) -> None:
    lines = write_ablation(ledger.run, seeds=2).lines
    ledger.lines = [line.replace('"health":{}', '"health":{"agreement":NaN,"kl":null}') for line in lines]


WAYS = [
    nothing_planned,
    nothing_planned_in_a_search,
    only_planned,
    one_trial,
    one_arm,
    one_seed,
    no_factors,
    no_factors_in_a_grid,
    equal_scores,
    every_trial_failed,
    the_baseline_failed,
    complete_without_epochs,
    scores_that_are_no_numbers,
    search_of_one,
    search_without_parameters,
    search_whose_factors_no_trial_has,
    search_of_one_level,
    search_with_scores_that_are_no_numbers,
    search_of_which_all_were_pruned,
    confirmed_before_any_result,
    a_context_without_results,
    contexts_of_one_seed,
    health_that_no_version_knows,
    health_that_is_no_number,
]


@pytest.fixture(scope="module")
def results_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[LedgerWriter], None]], Results]:
    """Return what gives the results of a ledger; what is derived of them is computed once."""
    known: dict[str, Results] = {}

    def make(write: Callable[[LedgerWriter], None]) -> Results:
        name = write.__name__
        if name not in known:
            ledger = LedgerWriter(tmp_path_factory.mktemp(name) / "run")
            write(ledger)
            known[name] = load(ledger.close())
        return known[name]

    return make


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_figure_is_drawn_or_does_not_apply(
    results_of: Callable[..., Results], way: Callable[[LedgerWriter], None], name: str
) -> None:
    results, figure = results_of(way), module_of(name)
    record = figure.record(results)
    if record is not None:
        drawing = Drawing(FIGURES[name].title, record.caption, themed(figure.chart(record)))
        json.dumps(drawing.specification, allow_nan=False)
        assert RENDER["svg"](drawing).startswith(b"<svg")


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_table_is_made(results_of: Callable[..., Results], way: Callable[[LedgerWriter], None]) -> None:
    results = results_of(way)
    for name in DERIVED:
        getattr(results, name)
    for table in [*main_tables(results), *side_tables(results).values()]:
        assert not table.why_not
        assert table.rows[0]


def test_a_number_that_is_not_known_has_a_panel_of_its_own_name(results_of: Callable[..., Results]) -> None:
    record = module_of("health").record(results_of(health_that_no_version_knows))
    panels = panels_in(record.rows)
    assert panels[0] == "agreement (%)"
    assert "margin: stage1" in panels
