"""Tables of a search: its best arms, confirmed arms, Pareto front, importance of factors, and ablation path."""

from typing import Any

import pandas as pd

from analysis.report.table import NOTE, VERDICT, Columns, Table, cell, rows_of
from analysis.results import Results
from analysis.searches.confirmed import luck_text
from analysis.searches.importance import importance_text
from analysis.searches.path import path_text, step_name
from analysis.wording import (
    ABSENT,
    effect_text,
    interval_name,
    interval_text,
    number_text,
    quantity,
    signed_text,
    unit_text,
)

MOST_LEADERS = 10
"""Largest number of arms in the leaderboard."""

EVALUATORS = {"ped-anova": ("PED-ANOVA", "split"), "fanova": ("fANOVA", "share of variance")}
"""Method -> its name, and the kind of its numbers."""


def leaderboard(results: Results) -> list[Table]:
    """Return the table of a search's best arms, by the score that selected them; it is empty if none is complete."""
    measured = quantity(results.facts.study.metric)
    columns: Columns = {
        "arm": "arm",
        "seeds": "n",
        f"{measured.label}, search score": cell(number_text, "score", measured.decimals),
        NOTE: lambda _: "",
    }
    none = "No arm of the search has all of its seeds complete." if results.leaderboard.empty else ""
    rows = rows_of(results.leaderboard.head(MOST_LEADERS), columns)
    return [Table("Best arms by search score (selected on it: optimistic)", rows, none)]


def confirmed(results: Results) -> list[Table]:
    """Return the table of confirmed arms: score in the search, mean at fresh seeds, and effect; none without any."""
    if results.confirmed.empty:
        return []
    study = results.facts.study
    measured, reported = quantity(study.metric), quantity(study.report_metric)
    unit, of_difference = f" ({measured.unit})" if measured.unit else "", unit_text(measured)

    def effect(arm: "pd.Series[Any]") -> str:
        found = arm[["effect", "effect_low", "effect_high"]].rename({"effect_low": "low", "effect_high": "high"})
        return "baseline" if arm["is_baseline"] else effect_text(found, reported.decimals)

    columns: Columns = {
        "arm": "arm",
        "rank": cell(number_text, "rank", 0),
        f"search score{unit}": cell(number_text, "search_score", measured.decimals),
        "seeds": "n",
        f"mean [95% interval]{unit}": lambda arm: (
            number_text(arm["mean"], measured.decimals) + interval_text(arm["low"], arm["high"], measured)
        ),
        f"above fresh{of_difference}": cell(signed_text, "above_fresh", measured.decimals),
        f"luck of the selection{of_difference}": cell(signed_text, "selection_luck", measured.decimals),
        f"effect [{interval_name(results.against_baseline)}]{unit_text(reported)}": effect,
        VERDICT: lambda arm: arm["verdict"] or ABSENT,
    }
    remark = (
        f"Search score: {measured.name} in the search, which selected the arms. Mean: the same at fresh "
        f"seeds, with Student's 95% interval. Above fresh: the first minus the second. {luck_text(study)} "
        f"Effect: against the baseline at the same fresh seeds, on {reported.name}."
    )
    return [Table("Confirmed arms: search score and fresh seeds", rows_of(results.confirmed, columns), remark)]


def pareto(results: Results) -> list[Table]:
    """Return the table of the Pareto front of a search, with means at fresh seeds; none for a single metric."""
    found, directions = results.pareto, results.facts.study.directions
    if found.empty:
        return []
    measured, has_fresh = {name: quantity(name) for name in directions}, bool((found["n"] > 0).any())
    heads = [head for each in measured.values() for head in (f"{each.label}, search", "fresh seeds [95% interval]")]
    rows = [["arm", "seeds", *heads, "on the front"]]
    for _, arm in found.groupby("arm_id", sort=False):
        cells = []
        for each, (_, own) in zip(measured.values(), arm.iterrows(), strict=True):
            mean = number_text(own["mean"], each.decimals) + interval_text(own["low"], own["high"], each)
            cells += [number_text(own["search_score"], each.decimals), mean]
        own = arm.iloc[0]
        is_judged = own["n"] > 0 or not has_fresh
        verdict = ("yes" if own["is_on_front"] else "no") if is_judged else ABSENT
        rows.append([own["arm"], str(own["n"] or own["n_search"]), *cells, verdict])
    better = ", ".join(f"{'larger' if up else 'smaller'} {measured[name].name}" for name, up in directions.items())
    judged = "confirmed arm, by the means," if has_fresh else "arm of the search"
    reported = "; effects on what is reported are in the tables of effects and of further measures" if has_fresh else ""
    remark = (
        "Arms of the search that no other matches in all metrics and beats in one, and those that were confirmed; "
        f"{better} is better. Search: the scores that selected them, optimistic. Fresh seeds: means, with Student's "
        f"95% intervals, of what the search optimised{reported}. On the front: no other {judged} does so; intervals "
        "are not looked at."
    )
    return [Table("Pareto front", rows, remark)]


def importance(results: Results) -> list[Table]:
    """Return the table of every factor's importance by both evaluators; none where no importance is known."""
    found = results.importance
    if found["importance"].isna().all():
        return []
    metrics = list(dict.fromkeys(found["metric"]))
    heads = [
        f"{name}{part}" for name, kind in EVALUATORS.values() for part in (f", {kind} [95% interval]", ", first in %")
    ]
    several = len(metrics) > 1
    rows = [[*(["metric"] if several else []), "factor", *heads, NOTE]]
    factors = list(dict.fromkeys(zip(found["metric"], found["factor"], strict=True)))
    # Interactions have a row of fANOVA alone.
    every = pd.MultiIndex.from_tuples([(*pair, method) for pair in factors for method in EVALUATORS])
    found = found.set_index(["metric", "factor", "method"]).reindex(every).fillna({"reason": ""})
    by_key = dict(zip(every, found.to_dict("records"), strict=True))
    for metric, factor in factors:
        cells, notes = [], []
        for method, (name, _) in EVALUATORS.items():
            judged = by_key[metric, factor, method]
            low, high = (number_text(judged[end], 2) for end in ("low", "high"))
            share = number_text(judged["importance"], 2)
            cells += [share if share == ABSENT else f"{share} [{low}, {high}]", number_text(100 * judged["first"], 0)]
            notes += [f"{name}: {judged['reason']}"] if judged["reason"] else []
            is_below = judged["importance"] < judged["shadow"]
            notes += [f"{name}: below the shadow, {number_text(judged['shadow'], 2)}"] if is_below else []
        rows.append([*([quantity(metric).name] if several else []), factor, *cells, "; ".join(notes)])
    remark = (
        f"{importance_text(results.importance)} First: in what percentage of the samples a factor has the largest "
        "share."
    )
    return [Table("Importance of the factors", rows, remark)]


def path(results: Results) -> list[Table]:
    """Return the table of steps from the baseline to the best arm of a search, for each metric; none without steps."""
    found = results.path
    if found.empty:
        return []
    several = found["metric"].nunique() > 1
    rows = [[*(["metric"] if several else []), "step", "predicted score", "change [95% interval]"]]
    for _, step in found.iterrows():
        measured = quantity(step["metric"])
        change = "" if step["step"] == 0 else effect_text(step.rename({"change": "effect"}), measured.decimals)
        score = number_text(step["predicted"], measured.decimals)
        name = step_name(step, results.facts.study.factors)
        rows.append([*([measured.label] if several else []), name, score, change])
    title = (
        f"From the baseline to the best arm, predicted {'scores' if several else quantity(found['metric'][0]).label}"
    )
    return [Table(title, rows, path_text(found))]
