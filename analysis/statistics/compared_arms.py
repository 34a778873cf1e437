"""Which arms are compared with which, and the factors in which they differ."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.arguments import check_columns, listed
from analysis.ledger.other_names import other_names
from cktf.errors import InputError
from cktf.names import BASELINE

Contrasts = Sequence[str | Sequence[str]]
"""Pairs of names of arms, and the word ``baseline``, which stands for every arm against the baseline."""


def compared_arms(pool: pd.DataFrame, contrasts: Contrasts = ()) -> tuple[pd.DataFrame, pd.DataFrame, list[Any]]:
    """Return all arms, the first arm of each comparison (a row each), and the ids of the arms that they face.

    ``contrasts`` are as in `effects`; without any, every arm is compared with its context's baseline, if it has one.

    Raises:
        InputError: If no context has both arms of a contrast.
    """
    arms = pool.drop_duplicates("arm_id").set_index("arm_id")
    baselines = {arms.at[arm_id, "context"]: str(arm_id) for arm_id in arms.index[arms["is_baseline"]]}
    others = other_names(pool) if contrasts else {}
    named: dict[str, dict[str, str]] = {context: {} for context in dict.fromkeys(arms["context"])}
    for arm_id, context, arm in zip(arms.index, arms["context"], arms["arm"], strict=True):
        named[context] = {**dict.fromkeys(others.get(str(arm_id), ()), str(arm_id)), **named[context], arm: str(arm_id)}
    pairs: dict[tuple[str, str], None] = {}
    for names in [names_of(contrast) for contrast in contrasts] or [[BASELINE]]:
        if names == [BASELINE]:
            compared = arms[~arms["is_baseline"] & arms["context"].isin(baselines)]
            pairs |= {(str(arm_id), baselines[context]): None for arm_id, context in compared["context"].items()}
            continue
        found = [(ids[names[0]], ids[names[1]]) for ids in named.values() if {*names} <= {*ids}]
        if not found:
            known = dict.fromkeys(name for ids in named.values() for name in ids)
            raise InputError(
                f"contrasts {', '.join(names)}: must be two arms that a context has; there are: {listed(known)}"
            )
        pairs |= dict.fromkeys((first, second) for first, second in found if first != second)  # else names of one arm
    order = {context: place for place, context in enumerate(named)}
    by_context = sorted(pairs, key=lambda pair: order[str(arms.at[pair[0], "context"])])
    return arms, arms.loc[[first for first, _ in by_context]], [second for _, second in by_context]


def check_against_baseline(effects: pd.DataFrame, trials: pd.DataFrame, *, what: str) -> None:
    """Raise an InputError unless effects that were given beside trials are those against their contexts' baselines."""
    check_columns(
        effects, ("context", "arm", "against", "effect"), what=what, source="effects, as analysis.effects gives them"
    )
    baselines = trials[trials["is_baseline"]].drop_duplicates("arm_id")
    known = set(zip(baselines["context"], baselines["arm"], strict=True))
    for context, against in zip(effects["context"], effects["against"], strict=True):
        if (context, against) not in known:
            raise InputError(f"{what} takes effects against the baseline alone; one of these is against {against!r}")


def names_of(contrast: str | Sequence[str]) -> list[str]:
    """Return a contrast as a list of two names, or of `BASELINE` alone."""
    return [contrast] if isinstance(contrast, str) else [*map(str, contrast)]


def differing_factors(arm: "pd.Series[Any]", baseline: "pd.Series[Any]") -> list[str]:
    """Return the paths of the factors in which an arm's level differs from the baseline's."""
    names = [str(name) for name in arm.index if str(name).startswith("param.")]
    levels = [
        [None if missing else level for level, missing in zip(side, side.isna(), strict=True)]
        for side in (arm[names], baseline[names])
    ]
    return [name.removeprefix("param.") for name, here, there in zip(names, *levels, strict=True) if here != there]
