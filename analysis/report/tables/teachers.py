"""How well every teacher does."""

from analysis.report.table import NOTE, Rows, Table
from analysis.report.teachers import NEAR_CHANCE
from analysis.results import Results
from analysis.wording import LOSS_DECIMALS, number_text, quantity
from cktf.names import arm_label


def tables(results: Results) -> list[Table]:
    """Return the table; none where nothing is known of any teacher."""
    if results.teachers.empty:
        return []
    remark = (
        "Each on a validation split of the data set whose classes it knows: one from a file on that of the study's "
        "first seed, one that was trained on that of its own training. Chance is the share of the split's largest "
        "class."
    )
    return [Table("Teachers", _rows(results), remark)]


def _rows(results: Results) -> Rows:
    """Return how well every teacher does."""
    decimals = quantity("validation_accuracy").decimals
    is_smoke = results.facts.study.is_smoke
    head = ["teacher", "data", "origin", "validation accuracy (%)", "loss", "images", "classes", "chance (%)"]
    rows = [[*head, "test accuracy (%)", NOTE]]
    counted = results.teachers.astype({"validation_images": float, "num_classes": float})  # which may be missing
    for _, teacher in counted.iterrows():
        counts = [number_text(teacher[name], 0) for name in ("validation_images", "num_classes")]
        rows.append(
            [
                arm_label(teacher["model"], teacher["contexts"]),
                teacher["data"],
                teacher["origin"],
                number_text(teacher["validation_accuracy"], decimals),
                number_text(teacher["validation_loss"], LOSS_DECIMALS),
                *counts,
                number_text(teacher["chance"], decimals),
                number_text(teacher["test_accuracy"], decimals),
                NEAR_CHANCE if teacher["near_chance"] and not is_smoke else "",
            ]
        )
    return rows
