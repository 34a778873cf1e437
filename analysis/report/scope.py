"""What the effects of a study speak of, and of what not: one sentence."""

from typing import TYPE_CHECKING

from analysis.results import Results
from analysis.statistics.any_table import complete, reported

if TYPE_CHECKING:
    import pandas as pd

TEACHER = "config.teacher."
"""Begins the columns of trials that say which teacher a trial has."""


def scope_text(results: Results) -> str:
    """Return for which population the effects hold: seeds, on these images, of this pool, taught by this teacher.

    A test over seeds knows of no other chance than that of the seeds: the same images score all trials, the same pool
    and the same teacher are behind them. Nothing is returned where there are no effects.
    """
    if results.effects.empty:
        return ""
    if results.facts.foreign:
        return (
            "The effects speak of further runs like those in the table, at other seeds. On which images they were "
            "scored, of which training pool and taught by whom is not known here; they speak of no others."
        )
    trials = complete(reported(results.trials), results.facts.study.report_metric)
    in_each = " in each context" if len(results.contexts) > 1 else ""
    taught = _taught(trials, in_each)
    others = "images, pools, teachers or data sets" if taught else "images, pools or data sets"
    return (
        "The effects speak of trainings by this recipe on random splits of this training pool"
        f"{taught}, scored on {_images(trials)}; not of other {others}."
    )


def _taught(trials: "pd.DataFrame", in_each: str) -> str:
    """Return by how many teachers; nothing where no trial has one, or it is not known."""
    columns = [str(name) for name in trials.columns if str(name).startswith(TEACHER)]
    if f"{TEACHER}model" not in columns:
        return ""
    of_teachers = trials[trials[f"{TEACHER}model"].notna()][["context", *columns]].astype("str")
    counts = of_teachers.drop_duplicates()["context"].value_counts()
    if counts.empty:
        return ""
    least, most = counts.min(), counts.max()
    number = "one teacher" if most == 1 else f"{most} teachers" if least == most else f"{least} to {most} teachers"
    return f", taught by {number}{in_each}"


def _images(trials: "pd.DataFrame") -> str:
    """Return which test images, with their number where it is known and the same in all contexts."""
    counts = sorted(trials["test_images"].dropna().unique()) if "test_images" in trials else []
    if len(counts) == 1:
        return f"these {counts[0]:,.0f} test images"
    return f"these test images ({counts[0]:,.0f} to {counts[-1]:,.0f})" if counts else "these test images"
