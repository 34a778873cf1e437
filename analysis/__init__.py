"""Ledger -> tables -> statistics -> figures -> page. Needs neither torch nor Ray, nor the half that trains.

From a notebook::

    import analysis

    results = analysis.load("runs/digits_ablation")
    results.trials                       # a data frame; results.epochs likewise
    results.effects                      # every arm against the baseline
    analysis.write_report("runs/digits_ablation")
    analysis.write_figure(results, "effects", "effects.pdf")

    both = analysis.load("runs/one_machine", "runs/another")
    foreign = analysis.csv_file("results.csv", metric="accuracy", arm="method", baseline="none")
    analysis.write_results(foreign, "foreign/report")
    analysis.effects(frame, metric="accuracy", baseline="none")    # any table of arm, seed and metric

Pandas, scipy, Optuna and Altair are imported where they are first used, so ``import analysis`` is quick.
"""

from analysis.foreign.csv_file import csv_file
from analysis.foreign.optuna_study import optuna_study
from analysis.foreign.ray_tune import ray_tune
from analysis.ledger.collect import collect
from analysis.load import load
from analysis.report.drawing import write_figure
from analysis.report.write import ReportPaths, write_report, write_results
from analysis.results import Results
from analysis.searches.importance import importance
from analysis.statistics.arms import arms
from analysis.statistics.effects import effects
from analysis.statistics.interactions import interactions

__all__ = [
    "ReportPaths",
    "Results",
    "arms",
    "collect",
    "csv_file",
    "effects",
    "importance",
    "interactions",
    "load",
    "optuna_study",
    "ray_tune",
    "write_figure",
    "write_report",
    "write_results",
]
