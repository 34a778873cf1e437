"""The effects of every arm on each further measure, each measure a family of comparisons of its own."""

from collections.abc import Mapping

import pandas as pd

from analysis.statistics.columns import typed
from analysis.statistics.effects import COLUMNS, effects
from analysis.statistics.over_images import ACCURACY
from cktf.epoch_result import MEASURE


def measure_effects(
    trials: pd.DataFrame, measures: Mapping[str, bool], *, besides: str, is_extended: bool = False
) -> pd.DataFrame:
    """Return every arm's effect on each further measure, against its context's baseline, paired by seed.

    p is adjusted by Holm's method over the comparisons of one measure, but not over measures: with several measures,
    more than 5% of studies without any effect find one somewhere. The study's question is about its metric.

    Args:
        trials: As `analysis.load` gives them.
        measures: Column -> whether a larger value is better; those of the validation split are left out.
        besides: The metric that the study reports, which is left out too. If it is not the test accuracy, and there
            are measures, the test accuracy is one of them.
        is_extended: Argument of `analysis.statistics.effects.effects`.

    Returns:
        The rows of `analysis.statistics.effects.effects`, measure by measure.
    """
    judged = {name: larger for name, larger in measures.items() if not name.startswith(f"{MEASURE}validation_")}
    judged = ({ACCURACY: True} | judged) if judged else {}
    frames = [
        effects(trials, metric=name, maximise=larger, is_extended=is_extended)
        for name, larger in judged.items()
        if name != besides and name in trials and trials[name].notna().any()
    ]
    return pd.concat(frames, ignore_index=True) if frames else typed([], COLUMNS)
