"""How well the teachers do that students learn from, each on a validation split of its data set."""

from typing import TYPE_CHECKING

from cktf.rows import STANDARD_ERRORS, TRAINED_HERE

if TYPE_CHECKING:
    import pandas as pd

NEAR_CHANCE = f"no better than chance, within {STANDARD_ERRORS} standard errors"
"""Said of a teacher of which its validation split does not show that it knows anything."""


def teachers_text(found: "pd.DataFrame", *, is_smoke: bool) -> str:
    """Return sentences on how well each teacher does; empty where nothing is known of any.

    Args:
        found: As `teachers` returns it.
        is_smoke: Whether the teachers saw a few generated images, of which nobody expects them to know anything.
    """
    import pandas as pd

    sentences = []
    for _, row in found.iterrows():
        where = "trained for this study" if row["origin"] == TRAINED_HERE else f"read from {row['origin']}"
        images = "" if pd.isna(row["validation_images"]) else f"n = {row['validation_images']} images"
        chance = "" if pd.isna(row["chance"]) else f"chance {row['chance']:.2f}%"
        loss = "not finite" if pd.isna(row["validation_loss"]) else f"{row['validation_loss']:.4g}"
        behind = ", ".join(text for text in (images, chance, f"loss {loss}") if text)
        tested = "" if pd.isna(row["test_accuracy"]) else f", and a test accuracy of {row['test_accuracy']:.2f}%"
        of_contexts = f" ({row['contexts']})" if row["contexts"] and len(found) > 1 else ""
        sentences.append(
            f"The teacher {row['model']} of {row['data']}{of_contexts}, {where}, has a validation accuracy of "
            f"{row['validation_accuracy']:.2f}% ({behind}){tested}."
        )
        if row["near_chance"] and not is_smoke:
            sentences.append(f"This is {NEAR_CHANCE}: what is learned from such a teacher says nothing of a good one.")
    return " ".join(sentences)
