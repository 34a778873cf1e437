"""How well the teachers do that students learn from, each on a validation split of its data set."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

from cktf.rows import STANDARD_ERRORS, TRAINED_HERE, TeacherRow

if TYPE_CHECKING:
    import pandas as pd

NEAR_CHANCE = f"no better than chance, within {STANDARD_ERRORS} standard errors"
"""Said of a teacher of which its validation split does not show that it knows anything."""


def teachers(rows: Iterable[TeacherRow], trials: "pd.DataFrame") -> "pd.DataFrame":
    """Return one row a teacher.

    Args:
        rows: What the ledger says of each.
        trials: Of the run.

    Returns:
        The columns of `cktf.rows.TeacherRow` but its time; ``contexts``, those whose trials name the teacher, joined by
        commas; and ``near_chance``.
    """
    import pandas as pd

    contexts: dict[str, set[str]] = {}
    if "teacher_id" in trials:
        for identity, context in zip(trials["teacher_id"], trials["context"], strict=True):
            contexts.setdefault(identity, set()).add(context)
    found = []
    for row in rows:
        values = asdict(row)
        del values["time"]
        named = ", ".join(sorted(filter(None, contexts.get(row.teacher_id, ()))))
        found.append({**values, "contexts": named, "near_chance": row.is_near_chance})
    frame = pd.DataFrame(found)
    whole = [name for name in ("validation_images", "num_classes", "seed") if name in frame]
    numbers = ("validation_accuracy", "validation_loss", "chance", "test_accuracy", "test_loss")
    kinds = dict.fromkeys(whole, "Int64") | {name: "float64" for name in numbers if name in frame}
    return frame.astype(kinds)


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
        tested = (
            "" if pd.isna(row["test_accuracy"]) else f", and a test accuracy of {row['test_accuracy']:.2f}%"
        )
        of_contexts = f" ({row['contexts']})" if row["contexts"] and len(found) > 1 else ""
        sentences.append(
            f"The teacher {row['model']} of {row['data']}{of_contexts}, {where}, has a validation accuracy of "
            f"{row['validation_accuracy']:.2f}% ({behind}){tested}."
        )
        if row["near_chance"] and not is_smoke:
            sentences.append(
                f"This is {NEAR_CHANCE}: what is learned from such a teacher says nothing of a good one."
            )
    return " ".join(sentences)
