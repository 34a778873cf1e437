"""How the intervals and the open verdicts of a table of effects are read: sentences."""

from analysis.results import Results
from analysis.statistics.verdicts import ASSURANCE, FEWEST_FOR_A_NUMBER, LEVEL, POWER, Verdict


def reading_text(results: Results) -> str:
    """Return which interval belongs to which verdict."""
    count, delta = len(results.effects), results.facts.study.delta
    sentences = []
    if count == 1:
        sentences.append("Helps or hurts goes with a 95% interval that leaves out 0.")
    else:
        sentences += [
            "An interval, and an unadjusted p, hold for one comparison alone, so an interval may leave out 0 where the "
            "verdict is undecided.",
            f"Simultaneous intervals ({100 - 100 * LEVEL / count:.4g}% each; thin in the forest) hold all together in "
            f"{1 - LEVEL:.0%} of studies: where one leaves out 0, the effect is told from 0.",
        ]
    if delta is not None:
        adjusted = "" if count == 1 else ", before the adjustment"
        sentences.append(f"Equivalent goes with a 90% interval within ±delta{adjusted}.")
    return " ".join(sentences)


def open_text(results: Results) -> str:
    """Return what the verdict of an undecided arm adds; nothing where no arm is undecided, or none was tested."""
    effects, delta = results.effects, results.facts.study.delta
    is_open = effects["verdict"].eq(Verdict.UNDECIDED) & effects["detectable"].notna()
    if not is_open.any():
        return ""
    level = f"{LEVEL}/{len(effects)}" if len(effects) > 1 else f"{LEVEL}"
    if delta is None:
        return (
            f"Detectable: the effect that so many seeds tell from 0 with {POWER:.0%} power, at the strictest level of "
            f"Holm's method, {level}, if the differences vary as they did; what effect was seen does not enter."
        )
    text = (
        "More seeds: with so many, an effect of delta is told from 0, and one of 0 called equivalent, with "
        f"{POWER:.0%} power at level {level}, the standard deviation taken at its upper {ASSURANCE:.0%} bound"
    )
    if (effects["n_pairs"][is_open] < FEWEST_FOR_A_NUMBER).any():
        text += f"; below {FEWEST_FOR_A_NUMBER} pairs a range, from its lower bound to its upper one"
    return f"{text}. What effect was seen does not enter."
