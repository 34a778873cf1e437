"""Quantities, numbers, p values and intervals as people read them."""

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.arguments import check_maximise
from cktf.epoch_result import MEASURE
from cktf.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Quantity:
    """A measured quantity as people read it.

    Attributes:
        name: Name in words.
        unit: Unit of a value; empty for a pure number.
        difference_unit: Unit of a difference of two values.
        decimals: Digits after the point that are worth printing.
        bounds: Smallest and largest possible value; None if there are none, or they are unknown.
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
        """Name of a difference of two values, and its unit: an axis title."""
        return f"effect on {self.name}{unit_text(self)}"


_SHARE = ("%", "percentage points", 2, (0.0, 100.0))

_MEASURES = {
    "top5": Quantity("top-5 accuracy", *_SHARE),
    "nll": Quantity("negative log-likelihood", "nats", "nats"),
    "ece": Quantity("calibration error", *_SHARE),
    "balanced_accuracy": Quantity("balanced accuracy", *_SHARE),
    "agreement": Quantity("agreement with the teacher", *_SHARE),
    "parameters": Quantity("parameters", decimals=0),
    "flops": Quantity("FLOPs of an image", decimals=0),
    "bytes": Quantity("size", "bytes", "bytes", 0),
    "latency": Quantity("latency", "ms", "ms", 3),
    "images_per_second": Quantity("images per second", decimals=0),
}
"""Measures that are built in; see `cktf.measures`."""

_KNOWN = {
    f"{split}_{kind}": Quantity(f"{split} {kind}", *detail)
    for split in ("train", "validation", "test")
    for kind, detail in (("accuracy", _SHARE), ("loss", ()))
}

_SMALLER_IS_BETTER = {
    *("ace", "aic", "bce", "bic", "bits", "bpb", "bpc", "bpd", "brier", "ce", "cer", "cost", "costs", "deviance"),
    *("distance", "divergence", "duration", "ece", "eer", "energy", "err", "errors", "errs", "far", "fid", "flops"),
    *("fnr", "fpr", "frr", "jsd", "kid", "kl", "kld", "losses", "lpips", "macs", "mape", "mce", "memory", "mmd"),
    *("misclassification", "ms", "msle", "parameters", "params", "penalty", "perplexities", "ppl", "residual"),
    *("residuals", "risk", "rmsle", "rss", "runtime", "sec", "seconds", "secs", "smape", "sse", "ter", "time"),
    *("times", "violations", "wer", "xent"),
}
"""Words in a metric's name that suggest that smaller is better."""

_ENDINGS = ("loss", "error", "perplexity", "entropy", "latency", "regret", "mse", "mae", "nll")
"""Endings of words that suggest the same: ``testloss``."""

FOREIGN = "metric."
"""Prefix of the column of a foreign metric, which is not built in and whose unit is unknown."""


def quantity(column: str) -> Quantity:
    """Return the quantity in a column; an unknown one is named by its column."""
    if column.startswith(MEASURE):
        name = column.removeprefix(MEASURE)
        split = next((f"{split} " for split in ("validation", "test") if name.startswith(f"{split}_")), "")
        measure = name[len(split) :]
        known = _MEASURES.get(measure) or Quantity(measure.replace("_", " "))
        return replace(known, name=split + known.name)
    return _KNOWN.get(column) or Quantity(column.removeprefix(FOREIGN).replace("_", " "))


def larger_is_better(metric: str, maximise: bool | None) -> bool:
    """Return whether a larger value of a metric is better.

    Args:
        metric: Its name.
        maximise: The user's choice; None: unspecified, so that the name decides.

    Raises:
        ValueError: If ``maximise`` is neither true nor false; or it is None, and the name suggests a loss, an error, a
            time or the like.
    """
    if maximise is not None:
        check_maximise(maximise)
        return bool(maximise)
    # Camel case is split: testLoss, MSEOfTest, top1Error.
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", metric.removeprefix(FOREIGN))
    words = [word.lower() for word in re.findall(r"[^\W\d_]+", parted)]
    telling = [word for word in words if word in _SMALLER_IS_BETTER or word.endswith(_ENDINGS)]
    if telling:
        raise InputError(
            f"--metric {metric}: not said whether a larger or a smaller value is better, and its word {telling[0]!r} "
            "speaks for a smaller one; say --minimise or --maximise (in Python: maximise=False or True)"
        )
    return True


LOSS_DECIMALS = 3
"""Digits after the point of a loss, and of a measure of health."""

UNSCALED = Quantity("").decimals
"""Digits after the point of quantities that may be small throughout: losses, and others of no known unit."""

ROUNDING = 1e-12
"""Smaller numbers are shown as zero: a difference of equal means may be as large, by rounding."""

ABSENT = "–"
"""Text in place of a number that cannot be computed."""


def number_text(value: float | None, decimals: int) -> str:
    """Return a number as text with so many decimals; `ABSENT` for None and NaN."""
    return ABSENT if value is None or np.isnan(value) else _digits(value, decimals)


def _digits(value: float, decimals: int, sign: str = "") -> str:
    """Return a number with so many decimals; where these are of an unknown scale, a small one with three digits."""
    is_small = decimals >= UNSCALED and ROUNDING < abs(value) < 10 ** (1 - decimals)
    text = f"{value:{sign}.3g}".replace("e-0", "e-") if is_small else f"{value:{sign}.{decimals}f}"
    return text.replace("-", "−")


def brief(value: float) -> float:
    """Return a number with eight significant digits, which is more than figures and pages show."""
    return float(f"{value:.8g}")


def interval_text(low: float, high: float, measured: Quantity) -> str:
    """Return the interval of a mean in brackets, cut at the quantity's bounds; empty if there is none."""
    if np.isnan(low):
        return ""
    ends = (number_text(measured.cut(end), measured.decimals) for end in (low, high))
    return f" [{', '.join(ends)}]"


def signed_text(value: float, decimals: int) -> str:
    """Return a difference with its sign."""
    return ABSENT if np.isnan(value) else _digits(value, decimals, "+")


def interval_name(estimates: "pd.DataFrame") -> str:
    """Return the name of the intervals of a table, with the confidence that all of them have: ``95% interval``."""
    return f"{max(estimates['confidence'], default=0.95):.0%} interval"


def simultaneous_text(effects: "pd.DataFrame", level: float) -> str:
    """Return the confidence of each simultaneous interval, or its range where families differ in size: ``98.75%``."""
    sizes = effects["n_family"].min(), effects["n_family"].max()
    return " to ".join(dict.fromkeys(f"{100 - 100 * level / size:.4g}%" for size in sizes))


def unit_text(measured: Quantity) -> str:
    """Return the unit of a difference, as the head of a column has it."""
    return f" ({measured.difference_unit})" if measured.difference_unit else ""


def p_text(p: float) -> str:
    """Return a p value as text, with two or three decimals and never as zero."""
    if np.isnan(p):
        return ABSENT
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def p_words(p: float) -> str:
    """Return a p value in a sentence: ``p = 0.03``."""
    text = p_text(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def effect_text(effect: "pd.Series[Any]", decimals: int) -> str:
    """Return an effect with its interval: ``+1.20 [+0.40, +2.00]``."""
    if np.isnan(effect["effect"]):
        return ABSENT
    text = signed_text(effect["effect"], decimals)
    if np.isnan(effect["low"]):
        return text
    return f"{text} [{signed_text(effect['low'], decimals)}, {signed_text(effect['high'], decimals)}]"


def comparison_names(effects: "pd.DataFrame") -> "list[str]":
    """Return the name of each comparison: its arm if it is with the baseline, else both sides."""
    sides = zip(effects["arm"], effects["against"], effects["against_baseline"], strict=True)
    return [arm if is_plain else f"{arm} against {against}" for arm, against, is_plain in sides]


def capitalised(text: str) -> str:
    """Return a text that begins a sentence; a first word with a capital in it, as FLOPs or mIoU, stays as it is."""
    first = text.partition(" ")[0]
    return text[:1].upper() + text[1:] if first == first.lower() else text


def counted(count: int, noun: str) -> str:
    """Return a number of things: ``1 trial``, ``2 trials``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
