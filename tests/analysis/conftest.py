"""Run directories of small ledgers with known effects, and what writes them."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import vl_convert

import analysis.searches.importance  # noqa: F401  # so that its module is there to be patched
from cktf.ledger_lines import parse_row
from cktf.rows import EpochRow, PlannedRow
from tests.analysis.ledgers import (
    EPOCHS,
    LedgerWriter,
    write_ablation,
    write_contexts,
    write_fraction,
    write_grid,
    write_many_contexts,
    write_search,
)

NUM_RESAMPLES = 10
"""Of the importances' bootstrap: fewer than in a report, to save time."""


@pytest.fixture(autouse=True, scope="session")
def pictures() -> Iterator[dict[str, Any]]:
    """Let the drawing library draw the same specification once a session, and yield what it has drawn.

    Half of a report's time is its pictures, and many tests report the same run. A test that compares two drawings
    empties what is yielded.
    """
    drawn: dict[str, Any] = {}

    def once(name: str) -> Callable[..., Any]:
        draw = getattr(vl_convert, name)

        def convert(source: Any, **options: Any) -> Any:
            key = json.dumps([name, source, options])
            if key not in drawn:
                drawn[key] = draw(source, **options)
            return drawn[key]

        return convert

    with pytest.MonkeyPatch.context() as patched:
        for name in ("vegalite_to_svg", "svg_to_png", "svg_to_pdf"):
            patched.setattr(vl_convert, name, once(name))
        yield drawn


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let importances be resampled less often; intervals stay intervals."""
    # The module is hidden behind its function of the same name.
    monkeypatch.setattr(sys.modules["analysis.searches.importance"], "NUM_RESAMPLES", NUM_RESAMPLES)


@pytest.fixture(autouse=True)
def log_level_of_optuna() -> Iterator[None]:
    """Keep Optuna from announcing the studies that a test makes; its level is set anew for each."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(verbosity)


@pytest.fixture
def fraction(tmp_path: Path) -> Path:
    """Return the run directory of the half of four factors at four seeds."""
    return write_fraction(tmp_path / "run").close()


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """Return the run directory of a grid of three by two levels at five seeds."""
    return write_grid(tmp_path / "run").close()


@pytest.fixture
def grid_writer(tmp_path: Path) -> Callable[..., LedgerWriter]:
    """Return `write_grid` into the test's own run directory, its segment still open."""
    return lambda **options: write_grid(tmp_path / "run", **options)


@pytest.fixture
def ablation(tmp_path: Path) -> Path:
    """Return the run directory of an ablation of five arms at five seeds."""
    write_ablation(tmp_path / "run").close_segment()
    (tmp_path / "run" / "study.yaml").write_text("# Which parts help?\nbaseline: {epochs: 4}\n")
    return tmp_path / "run"


@pytest.fixture
def contexts(tmp_path: Path) -> Path:
    """Return the run directory of two methods and a baseline in two contexts at four seeds."""
    return write_contexts(tmp_path / "run").close()


@pytest.fixture
def many_contexts(tmp_path: Path) -> Callable[..., Path]:
    """Return `write_many_contexts` into the test's own run directory."""
    return lambda contexts, **options: write_many_contexts(tmp_path / "run", contexts, **options)


@pytest.fixture
def search(tmp_path: Path) -> Path:
    """Return the run directory of a search without confirmation."""
    return write_search(tmp_path / "run").close()


@pytest.fixture
def confirmed_search(tmp_path: Path) -> Path:
    """Return the run directory of a search whose best arm was confirmed at five fresh seeds."""
    return write_search(tmp_path / "run", confirm=True).close()


@pytest.fixture
def ledger(tmp_path: Path) -> LedgerWriter:
    """Return an empty ledger in the test's own run directory."""
    return LedgerWriter(tmp_path / "run")


@pytest.fixture
def ablation_writer(tmp_path: Path) -> Callable[..., LedgerWriter]:
    """Return `write_ablation` into the test's own run directory, its segment still open."""
    return lambda **options: write_ablation(tmp_path / "run", **options)


@pytest.fixture
def contexts_writer(tmp_path: Path) -> Callable[..., LedgerWriter]:
    """Return `write_contexts` into the test's own run directory, its segment still open."""
    return lambda **options: write_contexts(tmp_path / "run", **options)


@pytest.fixture
def search_writer(tmp_path: Path) -> Callable[..., LedgerWriter]:
    """Return `write_search` into the test's own run directory, its segment still open."""
    return lambda **options: write_search(tmp_path / "run", **options)


HEALTH = {
    "baseline": {"agreement": 80.0, "kl": 0.5, "cka.stage1": 0.6, "gap.cktf.stage1.teacher": 0.3},
    "theta=0.0": {"agreement": 80.0, "kl": 0.5, "cka.stage1": 0.4},
    "pairing=first": {"agreement": 83.0, "kl": 0.4, "cka.stage1": 0.6, "gap.cktf.stage1.teacher": 0.2},
}
"""Arm to the health of its distillation at the last epoch, without noise; theta 0 has no bank of stage 1."""


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """Return the run directory of an ablation at five seeds, its health measured at the second and the last epoch.

    At seed s of the arm in place a, agreement is higher by s, and number i by 0.01 * ((3 s + 5 a + i) mod 7).
    """
    ledger = write_ablation(tmp_path / "run", arms=HEALTH)
    planned = {row.trial_id: row for row in map(parse_row, ledger.lines) if isinstance(row, PlannedRow)}
    rows = [parse_row(line) for line in ledger.lines]
    ledger.lines.clear()
    for row in rows:
        if isinstance(row, EpochRow) and row.epoch in (2, EPOCHS):
            trial = planned[row.trial_id]
            place = list(HEALTH).index(trial.arm)
            health = {
                name: value
                + 0.01 * ((3 * trial.seed + 5 * place + index) % 7)
                + (trial.seed if name == "agreement" else 0)
                for index, (name, value) in enumerate(HEALTH[trial.arm].items())
            }
            if row.epoch == 2:
                health = {name: value / 2 for name, value in health.items()}
            row = replace(row, health=health)
        ledger.add(row)
    return ledger.close()
