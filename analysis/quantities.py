"""What columns are called, in which unit they stand, and which of two values is the better one."""

import math
import re
from dataclasses import dataclass

from analysis.arguments import check_maximise
from cktf.errors import InputError


@dataclass(frozen=True)
class Quantity:
    """A measured quantity as people read it.

    Attributes:
        name: In words.
        unit: Of a value; empty for a pure number.
        difference_unit: Of a difference of two values.
        decimals: Digits after the point that are worth printing.
        bounds: Smallest and largest value that there may be; None where there are none, or they are not known.
    """

    name: str
    unit: str = ""
    difference_unit: str = ""
    decimals: int = 4
    bounds: tuple[float, float] | None = None

    def cut(self, value: float) -> float:
        """Return the end of an interval as it is shown: cut at the bounds; NaN stays NaN."""
        least, most = self.bounds or (-math.inf, math.inf)
        return min(max(value, least), most)

    @property
    def label(self) -> str:
        """Name and unit: an axis title or a column's head."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def effect_label(self) -> str:
        """What a difference of two values is called, and its unit: an axis title."""
        unit = f" ({self.difference_unit})" if self.difference_unit else ""
        return f"effect on {self.name}{unit}"


_KNOWN = {
    f"{split}_{kind}": Quantity(f"{split} accuracy", "%", "percentage points", 2, (0.0, 100.0))
    if kind == "accuracy"
    else Quantity(f"{split} loss")
    for split in ("train", "validation", "test")
    for kind in ("accuracy", "loss")
}


SMALLER_IS_BETTER = {
    *("ace", "aic", "bce", "bic", "bits", "bpb", "bpc", "bpd", "brier", "ce", "cer", "cost"),
    *("costs", "crossentropy", "deviance", "distance", "divergence", "duration", "ece"),
    *("eer", "energy", "entropy", "err", "error", "errors", "errs", "far", "fid", "flops"),
    *("fnr", "fpr", "frr", "jsd", "kid", "kl", "kld", "latency", "loss", "losses", "lpips"),
    *("macs", "mae", "mape", "mce", "memory", "misclassification", "mmd", "ms", "mse"),
    *("msle", "nll", "parameters", "params", "penalty", "perplexities", "perplexity", "ppl"),
    *("regret", "residual", "residuals", "risk", "rmse", "rmsle", "rss", "runtime", "sec"),
    *("seconds", "secs", "smape", "sse", "ter", "time", "times", "violations", "wer", "xent"),
}
"""Words of a metric's name that say, or may well say, that less is better."""

_COMPOUNDS = ("loss", "error", "perplexity", "entropy", "latency", "regret", "mse", "mae", "nll")
"""What a word may end in that says so as well: ``testloss``."""

FOREIGN = "metric."
"""Before the name of a foreign metric: its column is none of ours, and its unit was not stated."""


def quantity(column: str) -> Quantity:
    """Return the quantity in a column; an unknown one is named by its column."""
    return _KNOWN.get(column) or Quantity(column.removeprefix(FOREIGN).replace("_", " "))


def larger_is_better(metric: str, maximise: bool | None) -> bool:
    """Return whether a larger value of a metric is better.

    Args:
        metric: Its name.
        maximise: What was said; None: nothing, so that the name has to say it.

    Raises:
        ValueError: If what was said is neither true nor false; or nothing was said, and the name speaks of a loss, an
            error, a time or the like.
    """
    if maximise is not None:
        check_maximise(maximise)
        return bool(maximise)
    # Camel case is parted: testLoss, MSEOfTest, top1Error.
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", metric.removeprefix(FOREIGN))
    words = [word.lower() for word in re.findall(r"[^\W\d_]+", parted)]
    telling = [word for word in words if word in SMALLER_IS_BETTER or word.endswith(_COMPOUNDS)]
    if telling:
        raise InputError(
            f"--metric {metric}: not said whether a larger or a smaller value is better, and its word {telling[0]!r} "
            "speaks for a smaller one; say --minimise or --maximise (in Python: maximise=False or True)"
        )
    return True
