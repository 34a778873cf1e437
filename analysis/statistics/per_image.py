"""Which test images each trial has right."""

import base64
import binascii

import numpy as np
import pandas as pd

from analysis.ledger.epochs import CORRECT
from cktf.errors import InputError


def correct(trials: pd.DataFrame, context: str | None = None) -> pd.DataFrame:
    """Return which test images each trial has right.

    Args:
        trials: As `analysis.load` gives them.
        context: The only context; None: all of them, which then have to have equally many test images.

    Returns:
        Truth values, a row for each trial with such a record, by ``trial_id``, and a column for each image, in the
        order of the test split. Trials that did not read it, and those of older versions, are left out.

    Raises:
        InputError: If trials have different numbers of images, or a record is not of so many images.
    """
    if CORRECT not in trials:
        return pd.DataFrame(index=pd.Index([], name="trial_id", dtype="str"), dtype="bool")
    chosen = trials if context is None else trials[trials["context"] == context]
    chosen = chosen[chosen[CORRECT].fillna("").ne("")]
    if (counts := chosen.groupby("context", sort=False)["test_images"].unique()).explode().nunique() > 1:
        told = "; ".join(f"{', '.join(f'{n:.0f}' for n in found)} in {name!r}" for name, found in counts.items())
        raise InputError(f"trials have different numbers of test images, so choose a context: {told}")
    rows = []
    for trial_id, text, count in zip(*(chosen[name] for name in ("trial_id", CORRECT, "test_images")), strict=True):
        try:
            packed = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
        except (binascii.Error, ValueError):
            packed = np.zeros(0, np.uint8)
        if np.isnan(count) or len(packed) != -(-int(count) // 8):
            raise InputError(f"trial {trial_id!r}: {CORRECT} does not hold a bit for each of its {count:g} test images")
        rows.append(np.unpackbits(packed, count=int(count)))
    images = np.array(rows, dtype=np.bool_) if rows else np.zeros((0, 0), dtype=np.bool_)
    return pd.DataFrame(images, index=pd.Index(chosen["trial_id"], name="trial_id"))
