"""The sentence that answers a study's question: what is decided, and what is not."""

from analysis.results import Results
from analysis.statistics.any_table import of_fixed_arms
from analysis.wording import comparison_names, counted, effect_text, number_text, quantity
from cktf.names import arm_label
from cktf.rows import Status
from cktf.verdicts import Verdict

MOST_DECIDED, MOST_OPEN = 6, 4
"""Largest number of comparisons that are named one by one: decided ones, and open ones."""


def answer_text(results: Results) -> str:
    """Return a sentence on what the study found; empty for a smoke run, or if there is no result."""
    effects, study = results.effects, results.facts.study
    if study.is_smoke:
        return ""
    if effects.empty:
        if results.leaderboard.empty:
            return ""
        best, scored = results.leaderboard.iloc[0], quantity(study.metric)
        score = f"{number_text(best['score'], scored.decimals)}{' ' + scored.unit if scored.unit else ''}"
        of, why = "", "by which it was selected"
        if study.further_metrics:  # arms were selected by all of them
            of, why = f" of {scored.name}", "one of several metrics"
        return f"Nothing is confirmed: {best['arm']} has the best search score{of}, {score}, {why}."
    measured = quantity(study.report_metric)
    unit = f" {measured.difference_unit.removeprefix('percentage ')}".rstrip()
    labels = map(arm_label, comparison_names(effects), effects["context"])
    effects = effects.assign(label=[*labels], size=effects["effect"].abs().fillna(0.0))
    is_open = effects["verdict"] == Verdict.UNDECIDED
    decided = effects[~is_open].sort_values("size", ascending=False, kind="stable")
    parts = []
    for _, effect in decided.head(MOST_DECIDED).iterrows():
        verb = "" if effect["verdict"] in (Verdict.HELPS, Verdict.HURTS, Verdict.FAILED) else "is "
        size = "" if effect["verdict"] == Verdict.FAILED else f": {effect_text(effect, measured.decimals)}{unit}"
        parts.append(f"{effect['label']} {verb}{effect['verdict']}{size}")
    if len(decided) > MOST_DECIDED:
        more = len(decided) - MOST_DECIDED
        parts.append(f"{more} more {'is' if more == 1 else 'are'} decided")
    if is_open.any():
        names, counts = [*effects.loc[is_open, "label"]], effects.loc[is_open, "n_arm"]
        listed = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
        listed = listed if len(names) <= MOST_OPEN else counted(len(names), "comparison")
        seeds = (f"{counts.min()} to " if counts.min() < counts.max() else "") + counted(counts.max(), "seed")
        parts.append(f"of {listed} nothing is decided at {seeds}")
    text = "; ".join(parts)
    unfinished = of_fixed_arms(results.trials)["status"].isin((Status.PLANNED, Status.RUNNING)).any()
    return f"So far, {text}." if unfinished else f"{text[0].upper() if not len(decided) else text[0]}{text[1:]}."
