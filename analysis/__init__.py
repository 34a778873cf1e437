"""Ledger -> tables -> statistics -> figures -> page. Needs neither torch nor Ray, nor the half that trains.

From a notebook::

    import analysis

    results = analysis.load("runs/digits_ablation")
    results.trials                       # a data frame; results.epochs likewise
    results.effects                      # every arm against the baseline
    analysis.write_report("runs/digits_ablation")
    analysis.write_figure(results, "effects", "effects.pdf")

    both = analysis.load("runs/one_machine", "runs/another")
    foreign = analysis.read_csv("results.csv", metric="accuracy", arm="method", baseline="none")
    analysis.write_results(foreign, "foreign/report")
    analysis.effects(frame, metric="accuracy", baseline="none")    # any table of arm, seed and metric;
    analysis.interactions(frame, factors=["lr", "width"], metric="accuracy")    # likewise the other statistics

These names are imported where they are first used, so ``import analysis`` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.figures.drawing import Drawing
    from analysis.foreign.csv_file import read_csv
    from analysis.foreign.optuna_study import read_optuna
    from analysis.foreign.ray_tune import read_ray_tune
    from analysis.ledger.collect import collect
    from analysis.loading import load
    from analysis.plain_tables import arms, best, confirmed, importance, interactions, ranks
    from analysis.report.drawing import write_figure
    from analysis.report.write import ReportPaths, write_report, write_results
    from analysis.results import Results
    from analysis.statistics.effects import effects

__all__ = [
    "Drawing",
    "ReportPaths",
    "Results",
    "arms",
    "best",
    "collect",
    "confirmed",
    "effects",
    "importance",
    "interactions",
    "load",
    "ranks",
    "read_csv",
    "read_optuna",
    "read_ray_tune",
    "write_figure",
    "write_report",
    "write_results",
]

_HOMES = {
    "figures.drawing": ("Drawing",),
    "foreign.csv_file": ("read_csv",),
    "foreign.optuna_study": ("read_optuna",),
    "foreign.ray_tune": ("read_ray_tune",),
    "ledger.collect": ("collect",),
    "loading": ("load",),
    "plain_tables": ("arms", "best", "confirmed", "importance", "interactions", "ranks"),
    "report.drawing": ("write_figure",),
    "report.write": ("ReportPaths", "write_report", "write_results"),
    "results": ("Results",),
    "statistics.effects": ("effects",),
}
"""Module to the names of `__all__` that are in it."""

if not TYPE_CHECKING:  # or a type checker would take any name for one of these

    def __getattr__(name: str) -> Any:
        """Return one of `__all__`, and import its module."""
        for module, names in _HOMES.items():
            if name in names:
                return getattr(import_module(f"analysis.{module}"), name)
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names of the module, those that are not imported yet among them."""
    return sorted({*globals(), *__all__})
