"""Tables of the teachers' accuracies, and of the measures of health that differ most from the baseline's."""

import pandas as pd

from analysis.report.table import NOTE, Columns, Table, cell, rows_of
from analysis.results import Results
from analysis.statistics.health import PREFIX, moved_most, number_label
from analysis.wording import LOSS_DECIMALS, effect_text, number_text, p_text, quantity
from cktf.names import arm_label
from cktf.rows import STANDARD_ERRORS, TRAINED_HERE

NEAR_CHANCE = f"no better than chance, within {STANDARD_ERRORS} standard errors"

MOST_MOVED = 3
"""Number of measures of health that are listed for each arm."""


def teachers(results: Results) -> list[Table]:
    """Return the table of the teachers' accuracies; none where no teacher is known."""
    if results.teachers.empty:
        return []
    decimals, is_smoke = quantity("validation_accuracy").decimals, results.facts.study.is_smoke
    trained = {"seed": "teacher_seed", "epochs": "epochs"}
    columns: Columns = {
        "teacher": lambda teacher: arm_label(teacher["model"], teacher["contexts"]),
        "data": "data",
        "origin": "origin",
        "validation accuracy (%)": cell(number_text, "validation_accuracy", decimals),
        "loss": cell(number_text, "validation_loss", LOSS_DECIMALS),
        **{head: cell(number_text, name, 0) for head, name in trained.items() if name in results.teachers},
        "images": cell(number_text, "validation_images", 0),
        "classes": cell(number_text, "num_classes", 0),
        "chance (%)": cell(number_text, "chance", decimals),
        "test accuracy (%)": cell(number_text, "test_accuracy", decimals),
        NOTE: lambda teacher: NEAR_CHANCE if teacher["near_chance"] and not is_smoke else "",
    }
    remark = (
        "Each on a validation split of the data set whose classes it knows: one from a file on that of the study's "
        "first seed, one that was trained on that of its own training. Chance is the share of the split's largest "
        "class."
    )
    counts = [name for name in ("validation_images", "num_classes", *trained.values()) if name in results.teachers]
    counted = results.teachers.astype(dict.fromkeys(counts, float))  # counts may be missing
    return [Table("Teachers", rows_of(counted, columns), remark)]


def teachers_text(found: pd.DataFrame, *, is_smoke: bool) -> str:
    """Return sentences on the teachers' accuracies; empty where no teacher is known.

    In a smoke run, whose teachers saw a few generated images, there is no warning of an accuracy near chance.
    """
    sentences = []
    for _, row in found.iterrows():
        known = row.notna()
        where = "trained for this study" if row["origin"] == TRAINED_HERE else f"read from {row['origin']}"
        where += f" from the weights {row['weights']}" if row.get("weights") else ""
        where += f" with seed {row['teacher_seed']}" if known.get("teacher_seed") else ""
        behind = [f"n = {row['validation_images']} images"] if known["validation_images"] else []
        behind += [f"chance {row['chance']:.2f}%"] if known["chance"] else []
        behind += [f"loss {row['validation_loss']:.4g}" if known["validation_loss"] else "loss not finite"]
        tested = f", and a test accuracy of {row['test_accuracy']:.2f}%" if known["test_accuracy"] else ""
        of_contexts = f" ({row['contexts']})" if row["contexts"] and len(found) > 1 else ""
        sentences.append(
            f"The teacher {row['model']} of {row['data']}{of_contexts}, {where}, has a validation accuracy of "
            f"{row['validation_accuracy']:.2f}% ({', '.join(behind)}){tested}."
        )
        if row["near_chance"] and not is_smoke:
            sentences.append(f"This is {NEAR_CHANCE}: what is learned from such a teacher says nothing of a good one.")
    return " ".join(sentences)


def health(results: Results) -> list[Table]:
    """Return the table of each arm's measures of health that moved most; none if none differs from the baseline's."""
    moved = moved_most(results.health, MOST_MOVED)
    if moved.empty:
        return []
    columns: Columns = {
        "arm": lambda found: arm_label(found["arm"], found["context"]),
        "number": lambda found: number_label(PREFIX + found["measure"]),
        "pairs": "n_pairs",
        "baseline": cell(number_text, "baseline_mean", LOSS_DECIMALS),
        "mean": cell(number_text, "mean", LOSS_DECIMALS),
        "difference [interval]": lambda row: effect_text(row, LOSS_DECIMALS),
        "p (Holm)": cell(p_text, "p_holm"),
    }
    levels = sorted({f"{100 * confidence:.4g}%" for confidence in moved["confidence"]})
    of_each = f"{', '.join(levels)} each" if len(levels) < 4 else f"{levels[0]} to {levels[-1]}"
    remark = (
        f"Of each arm the {MOST_MOVED} numbers of the distillation's health (see the figure) whose difference from "
        "the baseline, paired by seed, is largest relative to its standard error, where they were measured last. "
        f"Their intervals are Student's, those of the selected: {of_each}, so that of those shown 5% "
        "miss on average (false-coverage rate over an arm's numbers, Benjamini and Yekutieli 2005). p (Holm) is "
        f"adjusted over all {len(results.health)} differences of all arms: it says which number has moved."
    )
    return [Table("What else moved", rows_of(moved, columns), remark)]
