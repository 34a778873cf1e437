"""Ledger -> tables -> statistics -> figures -> report page. Needs neither torch, nor Ray, nor the training code.

From a notebook::

    import analysis

    results = analysis.load("runs/digits_ablation")
    results.trials                       # a data frame; results.epochs likewise
    results.effects                      # every arm against the baseline, or the contrasts that the study names
    results.effects_against("kd")        # every other arm against this one
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
    from analysis.figures.drawing import Drawing as Drawing
    from analysis.foreign.csv_file import read_csv as read_csv
    from analysis.foreign.mlflow_runs import read_mlflow as read_mlflow
    from analysis.foreign.optuna_study import read_optuna as read_optuna
    from analysis.foreign.ray_tune import read_ray_tune as read_ray_tune
    from analysis.foreign.tensorboard_events import read_tensorboard as read_tensorboard
    from analysis.foreign.wandb_file import read_wandb as read_wandb
    from analysis.ledger.collect import collect as collect
    from analysis.loading import load as load
    from analysis.report.drawing import write_figure as write_figure
    from analysis.report.write import ReportPaths as ReportPaths
    from analysis.report.write import write_report as write_report
    from analysis.report.write import write_results as write_results
    from analysis.results import Results as Results
    from analysis.searches.confirmed import confirmed as confirmed
    from analysis.searches.importance import importance as importance
    from analysis.statistics.arms import arms as arms
    from analysis.statistics.best import best as best
    from analysis.statistics.effects import effects as effects
    from analysis.statistics.interactions import interactions as interactions
    from analysis.statistics.ranks import ranks as ranks
    from analysis.statistics.shapley import shapley as shapley

_MODULES = {
    **{"Drawing": "figures.drawing", "Results": "results", "collect": "ledger.collect", "load": "loading"},
    **{"write_figure": "report.drawing"},
    **dict.fromkeys(("ReportPaths", "write_report", "write_results"), "report.write"),
    **{"read_csv": "foreign.csv_file", "read_optuna": "foreign.optuna_study", "read_ray_tune": "foreign.ray_tune"},
    **{"read_mlflow": "foreign.mlflow_runs", "read_wandb": "foreign.wandb_file"},
    **{"read_tensorboard": "foreign.tensorboard_events"},
    **{name: f"statistics.{name}" for name in ("arms", "best", "effects", "interactions", "ranks", "shapley")},
    **{name: f"searches.{name}" for name in ("confirmed", "importance")},
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __all__ = [*_MODULES]

    def __getattr__(name: str) -> Any:
        """Return one of `__all__`, and import its module."""
        if name not in _MODULES:
            raise AttributeError(f"module 'analysis' has no attribute {name!r}")
        return getattr(import_module(f"analysis.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """Return the names that the module offers, whether imported yet or not."""
    return sorted({*globals(), *_MODULES})
