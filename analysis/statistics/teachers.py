"""How well each teacher does on a validation split of its data set."""

from collections.abc import Iterable
from dataclasses import asdict

import pandas as pd

from cktf.rows import TeacherRow


def teachers(rows: Iterable[TeacherRow], trials: pd.DataFrame) -> pd.DataFrame:
    """Return one row a teacher.

    Args:
        rows: What the ledger says of each.
        trials: Of the run.

    Returns:
        The columns of `cktf.rows.TeacherRow` but its time; ``contexts``, those whose trials name the teacher, joined by
        commas; and ``near_chance``.
    """
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
