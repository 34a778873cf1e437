"""Tables of the settings in which arms differ, of the components of each arm, and of what each component adds."""

from typing import Any

from analysis.report.recipe import setting_name, settings_of
from analysis.report.table import Columns, Table, cell, rows_of
from analysis.results import Results
from analysis.statistics.any_table import of_fixed_arms, reported
from analysis.statistics.levels import factor_label, in_groups
from analysis.statistics.over_contexts import shared_names
from analysis.statistics.shapley import ALL, OFF
from analysis.wording import ABSENT, effect_text, interval_name, number_text, p_text, quantity, unit_text
from cktf.names import arm_label

ON, NOT_ON = "✓", "–"

MOST_COMPONENTS = 12
"""Columns of components beyond which a table can no longer be read."""

MOST_ARMS, MOST_SETTINGS = 8, 40
"""Arms beside the baseline, and rows, beyond which a table of settings can no longer be read."""


def settings(results: Results) -> list[Table]:
    """Return the table of the settings in which the arms of a context differ; none if they do not, or are not known.

    A setting is one row, or one for each context where it is not the same in all.
    """
    arms = of_fixed_arms(results.trials).drop_duplicates("arm_id")
    words, names = settings_of(arms), arms["arm_id"].map(shared_names(arms))
    others = [*dict.fromkeys(names[~arms["is_baseline"]])]
    shown = others[:MOST_ARMS]
    has_baseline = bool(arms["is_baseline"].any())
    found: dict[str, dict[str, list[str]]] = {}
    for context, of_context in arms[arms["is_baseline"] | names.isin(shown)].groupby("context", sort=False):
        baseline, here = of_context.index[of_context["is_baseline"]], words.loc[of_context.index]
        places = dict(zip(names[of_context.index], of_context.index, strict=True))
        for setting in here.columns[here.nunique() > 1]:
            values = here[setting].replace("", ABSENT)
            plain = values[baseline[0]] if len(baseline) else None
            cells = [values[places[name]] if name in places else "" for name in shown]
            row = [plain or ""] * has_baseline + ["" if cell == plain else cell for cell in cells]
            found.setdefault(setting, {})[str(context)] = row
    rows = []
    for setting, of_contexts in found.items():
        name, (first, *more) = setting_name(setting), of_contexts.values()
        if len(of_contexts) == arms["context"].nunique() and all(row == first for row in more):
            rows.append([name, *first])
        else:
            rows += [[arm_label(name, context), *row] for context, row in of_contexts.items()]
    if not rows:
        return []
    remarks = {
        "An empty cell is as the baseline's.": has_baseline,
        f"{ABSENT}: not set.": any(ABSENT in row for row in rows),
        f"Of {len(others)} arms the first {len(shown)} are shown, and the settings in which these differ.": (
            len(others) > len(shown)
        ),
        f"Of {len(rows)} rows the first {MOST_SETTINGS} are shown.": len(rows) > MOST_SETTINGS,
    }
    head = ["setting", *["baseline"] * has_baseline, *shown]
    remark = " ".join(text for text, is_so in remarks.items() if is_so)
    return [Table("Settings of the arms", [head, *rows[:MOST_SETTINGS]], remark)]


def components(results: Results) -> list[Table]:
    """Return the table of the arms, which components are on in each, and their effects in each context.

    A level that is 0, false or unset is off. If a component has one other level, a tick stands for it, otherwise the
    level itself. There is no table for fewer than two components, or for more than `MOST_COMPONENTS`.
    """
    arms = reported(results.trials).drop_duplicates("arm_id")
    named = [factor for factor in results.facts.study.factors if f"param.{factor}" in arms]
    levels = {factor: in_groups(arms[f"param.{factor}"]).astype(object).fillna("") for factor in named}
    columns = {factor: of_arms for factor, of_arms in levels.items() if of_arms.nunique() > 1}
    if not 1 < len(columns) <= MOST_COMPONENTS or results.against_baseline.empty or results.arms.empty:
        return []
    measured = quantity(results.facts.study.report_metric)
    arms = arms.assign(name=arms["arm_id"].map(shared_names(results.arms)))
    effects = results.against_baseline.set_index("arm_id")
    head = [factor_label(factor, columns) for factor in columns]
    unit = unit_text(measured)
    contexts = results.contexts
    interval = interval_name(effects)
    rows = [["arm", *head, *(f"{arm_label('effect', context)} [{interval}]{unit}" for context in contexts)]]
    for name, of_name in arms.groupby("name", sort=False):
        first = of_name.index[0]
        cells = [
            NOT_ON if of_arms[first] in OFF else ON if len({*of_arms} - OFF) == 1 else of_arms[first]
            for of_arms in columns.values()
        ]
        of_context = dict(zip(of_name["context"], of_name["arm_id"], strict=True))
        figures = [_effect(of_context.get(context), effects, arms, measured.decimals) for context in contexts]
        rows.append([str(name), *cells, *figures])
    remark = f"{ON}: on; {NOT_ON}: 0, false or unset. Effects are against the baseline, each interval of its own."
    return [Table("Components of the arms", rows, remark)]


def _effect(arm_id: Any, effects: Any, arms: Any, decimals: int) -> str:
    if arm_id in effects.index:
        return effect_text(effects.loc[arm_id], decimals)
    is_baseline = arms.loc[arms["arm_id"] == arm_id, "is_baseline"]
    return "baseline" if len(is_baseline) and is_baseline.iloc[0] else ABSENT


def shapley(results: Results) -> list[Table]:
    """Return the table of what each component of a full grid of two levels adds; none for other designs."""
    found = results.shapley
    if found.empty:
        return []
    measured = quantity(results.facts.study.report_metric)
    columns: Columns = {
        "component": lambda row: arm_label(row["factor"], row["context"]),
        "on": "level",
        "off": "off",
        f"adds [95% interval]{unit_text(measured)}": lambda row: effect_text(row, measured.decimals),
        "p": cell(p_text, "p"),
        "p (Holm)": lambda row: ABSENT if row["factor"] == ALL else p_text(row["p_holm"]),
        "seeds": cell(number_text, "n_seeds", 0),
        "note": "reason",
    }
    remark = (
        "Shapley values: the mean of what switching a component on adds, over all orders in which components can be "
        "switched on, within each seed; Student's t over seeds, p adjusted by Holm's method over the components. At a "
        "seed that has all arms they sum to what all of them add together, for which two arms suffice. They hold for "
        "these levels: another off or on gives others."
    )
    return [Table("What each component adds", rows_of(found, columns), remark)]
