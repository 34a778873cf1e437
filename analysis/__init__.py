"""Ledger -> tables -> statistics -> figures -> page. Needs neither torch nor Ray, nor the half that trains.

From a notebook::

    import analysis

    results = analysis.load("runs/digits_ablation")
    results.trials                       # a data frame; results.epochs likewise
    results.effects                      # every arm against the baseline
    analysis.write_report("runs/digits_ablation")
    analysis.write_figure(results, "effects", "effects.pdf")

Pandas, scipy, Optuna and Altair are imported where they are first used, so ``import analysis`` is quick.
"""

from analysis.collect import collect
from analysis.comparisons import effects
from analysis.estimates import arms
from analysis.factorial import interactions
from analysis.importance import importance
from analysis.load import load
from analysis.plot import write_figure
from analysis.report import ReportPaths, write_report
from analysis.results import Results

__all__ = [
    "ReportPaths",
    "Results",
    "arms",
    "collect",
    "effects",
    "importance",
    "interactions",
    "load",
    "write_figure",
    "write_report",
]
