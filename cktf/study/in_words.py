"""Descriptions of what a study will run, and warnings for its user."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cktf.names import BASELINE, short_name
from cktf.rows import Family
from cktf.study.designs import Arm, arms_in, compared_arms, is_crossed, replicates
from cktf.study.paths import leaves
from cktf.study.spec import StudySpec
from cktf.study.yaml_text import in_one_line

Row = tuple[str, ...]


def plan_in_words(spec: StudySpec, arms: Sequence[Arm]) -> str:
    """Return the number of trials of a study in words."""
    seeds = _counted(len(spec.seeds), "seed")
    if spec.search is None:
        names, contexts = len({arm.name for arm in arms}), len(spec.baselines)
        words = _counted(names, "arm")
        if spec.contexts is not None:
            words += f" x {_counted(contexts, 'context')}"
        if len(arms) < names * contexts:
            words += f" ({len(arms)} in all)"
        num_trials = sum(len(replicates(spec, arm.config, 0)) for arm in arms) * len(spec.seeds)
        if spec.teacher_seeds:
            once = sum(not is_crossed(spec, arm.config) for arm in arms)
            words += f" x {_counted(len(spec.teacher_seeds), 'teacher')}" + (f" ({once} without one)" if once else "")
        seeds += " at most" if spec.race else ""
        return f"{words} x {seeds} = {_counted(num_trials, 'trial')}"
    sizes = [domain.num_values for domain in spec.search.values()]
    most = math.prod(size for size in sizes if size is not None)
    if None in sizes or most >= spec.trials:
        words = _counted(spec.trials, "arm")
    else:
        why = f"for the factors have no more values together ('trials: {spec.trials}')"
        words = f"{_counted(most, 'arm')} at most, {why},"
    if spec.teacher_seeds:
        words += f" x {_counted(len(spec.teacher_seeds), 'teacher')}"
    words += f" x {seeds} by {spec.sampler}, pruned by {spec.prune}"
    if spec.confirm:
        best = f"the best {spec.confirm.top}" if len(spec.metrics) == 1 else f"at most {spec.confirm.top} of the front"
        words += f"; then {best} and the baseline x {_counted(spec.confirm.seeds, 'fresh seed')}"
    return words


def kept_in_words(spec: StudySpec, arms: Sequence[Arm]) -> str:
    """Return which students a run stores when it ends, and by which key."""
    seeds = spec.confirm_seeds or spec.seeds
    per_arm = len(seeds) * max(len(replicates(spec, arm.config, seeds[0])) for arm in arms)
    listed = spec.keep if isinstance(spec.keep, tuple) else ()
    count = sum(bool({*arm.names} & {*listed}) for arm in arms)
    each = f" of {_counted(len(spec.baselines), 'context')}" if len(spec.baselines) > 1 else ""
    words = {
        "best": f"of the arm with the best {spec.metrics[0]}{each}, about {_counted(per_arm, 'student')} an arm",
        "all": "of every complete trial",
        "none": "none",
    }
    found = words[spec.keep] if isinstance(spec.keep, str) else f"of {_counted(count, 'arm')}: {', '.join(listed)}"
    return f"weights stored ('keep'): {found}"


def comparisons_of(spec: StudySpec, arms: Sequence[Arm]) -> tuple[int, int] | None:
    """Return the numbers of comparisons in the (largest) family and of seeds; None if nothing is compared."""
    if spec.search is not None:
        return (spec.confirm.top, spec.confirm.seeds) if spec.confirm else None
    counts = Counter(arm.context for arm, _ in compared_arms(spec, arms))
    most = max(counts.values(), default=0) if spec.family == Family.CONTEXT else counts.total()
    return (most, len(spec.seeds)) if most else None


def tables_of(spec: StudySpec, arms: Sequence[Arm]) -> Iterator[tuple[Row, list[Row]]]:
    """Yield heads and rows of the tables that show what varies: a search's domains, or contexts and arms."""
    if spec.search is not None:
        rows: list[Row] = [
            (path, in_one_line(domain.model_dump(mode="json", by_alias=True, exclude_defaults=True)))
            for path, domain in spec.search.items()
        ]
        yield ("factor", "domain"), rows
        return
    if spec.contexts is not None:
        head: Row = ("context", "what it sets", "arms that are skipped")
        rows = [
            (context, _levels_in_words(leaves(patch)), ", ".join(spec.skip.get(context, ())))
            for context, patch in spec.contexts.items()
        ]
        if spec.seeds_by_context:
            head = (*head, f"seed {spec.seeds[0]} is")
            rows = [(*row, f"{spec.training_seed(spec.seeds[0], row[0])}") for row in rows]
        yield head, rows
    levels = {arm.name: _levels_in_words(arm.params) for arm in arms}
    yield ("arm", "what differs from the baseline"), list(levels.items())


def _levels_in_words(levels: Mapping[str, Any]) -> str:
    return ", ".join(f"{path}: {in_one_line(level)}" for path, level in levels.items()) or "nothing"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def confounded_in_words(spec: StudySpec) -> Iterator[str]:
    """Yield the size of a fraction, whether the baseline is in it, and its confounded effects."""
    if spec.fraction is None or spec.fractional is None:
        return
    arms = arms_in(spec, next(iter(spec.baselines)))
    beside = "one of them" if len(arms) == spec.fraction.num_runs else "beside them"
    yield (
        f"fraction of resolution {spec.fraction.resolution}: {spec.fraction.num_runs} of "
        f"{2**spec.fraction.num_factors} combinations, the {BASELINE} {beside}"
    )
    factors = [short_name(path, spec.factors) for path in spec.fractional]
    for group in spec.fraction.aliases():
        effects = [" x ".join(factors[position] for position in effect) for effect in group]
        yield f"confounded: {', '.join(effects)}"


def shared_seeds_in_words(spec: StudySpec) -> Iterator[str]:
    """Yield a remark on several contexts that share their seeds."""
    if len(spec.baselines) > 1 and not spec.seeds_by_context:
        yield (
            "contexts share their seeds, so what a seed brings by chance may come in all of them, and what is said "
            "over contexts errs more often; 'seeds_by_context: true', before the first launch, gives each its own"
        )


def alike_in_words(spec: StudySpec, arms: Sequence[Arm]) -> Iterator[str]:
    """Yield the names of each arm that has several, and why it is trained once."""
    why = "a smoke run makes them one" if spec.smoke else "nothing that is switched on reads what sets them apart"
    for arm in arms:
        if arm.aliases:
            within = f" in {arm.context}" if arm.context else ""
            yield f"these are one arm{within}, trained once, since {why}: {'; '.join(arm.names)}"
