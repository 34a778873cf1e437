"""What columns are called, and in which unit they stand."""

import math
from dataclasses import dataclass


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


FOREIGN = "metric."
"""Before the name of a foreign metric: its column is none of ours, and its unit was not stated."""


def quantity(column: str) -> Quantity:
    """Return the quantity in a column; an unknown one is named by its column."""
    return _KNOWN.get(column) or Quantity(column.removeprefix(FOREIGN).replace("_", " "))
