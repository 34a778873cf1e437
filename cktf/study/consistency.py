"""Checks of a whole study: every path exists, every level makes a valid trial, no two arms are equal."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from cktf.errors import InputError, shown
from cktf.measures import OfPredictions
from cktf.names import BASELINE
from cktf.rows import Alternative
from cktf.settings import LARGEST_SEED
from cktf.study.designs import arms_in, candidates, every_arm, plan_arms
from cktf.study.domains import ORDERINGS, Domain, draw, drawing_order
from cktf.study.fractional import smallest_fraction
from cktf.study.paths import Location, exists, leaves, no_such_path, overlay, spelled, suggestion, value_at
from cktf.study.problems import explain
from cktf.study.spec import BY_PATH, DESIGNS, StudySpec
from cktf.study.yaml_text import in_one_line
from cktf.trainer.config import TrialConfig
from cktf.trial.content import trial_config

ONLY_WITH = {
    "search": ("sampler", "sampler_seed", "prune", "enqueue", "warm_start", "trials", "confirm"),
    "fractional": ("resolution",),
}
"""Design to the keys that are allowed only in a study of that design."""

MOST_CELLS = 10_000
"""Largest number of combinations of a grid; more could not be checked within seconds."""

Finding = tuple[Location, str]
"""Keys in the study file, and the problem there."""


def find_problems(spec: StudySpec) -> list[Finding]:
    """Return the problems of a study whose keys are each valid: those that the first failing step finds."""
    steps = (
        _check_keys,
        _check_names,
        _check_baselines,
        _check_search,
        _check_arms,
        _check_teachers,
        _check_contrasts,
        _check_keep,
        _check_measures,
        _check_reference,
    )
    return next((problems for step in steps if (problems := [*step(spec)])), [])


def _check_keys(spec: StudySpec) -> Iterator[Finding]:
    kinds = [key for key in DESIGNS if getattr(spec, key) is not None]
    if len(kinds) != 1:
        found = f"got {' and '.join(kinds)}" if kinds else "got none of them"
        yield (), f"a study has exactly one of {', '.join(DESIGNS)}; {found}"
    else:
        for kind, keys in ONLY_WITH.items():
            for key in keys:
                if key in spec.model_fields_set and kind != kinds[0]:
                    yield (key,), f"only a study with '{kind}:' has this key; this one has '{kinds[0]}:'"
        if spec.search is not None and spec.contexts is not None:
            yield ("contexts",), "a study with 'search:' has none; search in one, then compare the best in all"
    if spec.seeds_by_context and spec.contexts is None:
        yield ("seeds_by_context",), "only a study with 'contexts:' has this key"
    if spec.skip and (spec.contexts is None or spec.compare is None):
        yield ("skip",), "only a study with 'contexts:' and 'compare:' has this key"
    is_one_sided = spec.alternative != Alternative.TWO_SIDED
    if spec.margin is not None and not is_one_sided:
        yield ("margin",), f"only with 'alternative: better' or 'worse'; got {spec.margin:g}"
    if spec.delta is not None and is_one_sided:
        yield ("delta",), f"is of two-sided comparisons; with 'alternative: {spec.alternative}' there is 'margin:'"
    if spec.contrasts and spec.search is not None:
        yield ("contrasts",), "a study with 'search:' has none, for its arms have no names before it runs"
    if len(spec.metrics) > 1:
        if spec.search is None:
            got = shown(list(spec.metrics))
            yield ("metric",), f"must be one, but for 'search:'; others may stand under 'measures:'; got {got}"
        elif spec.sampler not in ("tpe", "nsgaii"):
            yield ("sampler",), f"must be tpe or nsgaii with several metrics; got {spec.sampler}"
        if spec.prune != "none":
            yield ("prune",), f"must be none with several metrics; got {spec.prune}"
    if spec.warm_start and spec.sampler in ("qmc", "random", "bruteforce"):
        yield ("sampler",), f"must be one that learns with 'warm_start:': tpe, gp, nsgaii, cmaes; got {spec.sampler}"
    if spec.race is not None and len(kinds) == 1:
        if spec.kind in ("search", "grid", "fractional"):
            why = "chooses its arms as results come" if spec.search else "needs all arms at all seeds"
            yield ("race",), f"a study with '{spec.kind}:' has none, for it {why}"
        if len(spec.seeds) != (last := spec.race.looks[-1]):
            yield ("seeds",), f"must be {last}, those of the last look of 'race:', or left out; got {len(spec.seeds)}"
    if spec.grid is not None:
        cells = math.prod(len(levels) for levels in spec.grid.values())
        if cells > MOST_CELLS:
            yield ("grid",), f"must have {MOST_CELLS} or fewer combinations of levels; got {cells}"
    if spec.fractional is not None:
        try:
            smallest_fraction(len(spec.fractional), spec.resolution)
        except InputError as error:
            yield ("fractional",), str(error)


def _check_names(spec: StudySpec) -> Iterator[Finding]:
    for where, path in _named_paths(spec):
        if path == "seed" or path.startswith("seed."):
            yield where, "the seed cannot be a factor; all arms share the study's 'seeds:'"
        elif not exists(path, TrialConfig):
            yield where, no_such_path(path, TrialConfig)
    for key in ("grid", "fractional", "search"):
        paths = list(getattr(spec, key) or {})
        for path in paths:
            outer = [other for other in paths if path.startswith(f"{other}.")]
            if outer:
                yield (key, path), f"lies within another factor, '{outer[0]}'; one value would hide the other"
    if BASELINE in (spec.compare or {}):
        yield ("compare", BASELINE), "this name is taken by the study's baseline"
    for key, noun in (("compare", "an arm"), ("contexts", "a context")):
        for name in getattr(spec, key) or {}:
            if name != name.strip() or not name or not name.isprintable():
                yield (key,), f"{noun}'s name must be one line of text without spaces around it; got {shown(name)}"
    yield from _check_skip(spec)


def _named_paths(spec: StudySpec) -> Iterator[tuple[Location, str]]:
    for key in BY_PATH:
        for path in getattr(spec, key) or {}:
            yield (key, path), path
    for key in ("contexts", "compare"):
        for name, patch in (getattr(spec, key) or {}).items():
            for path in leaves(patch):
                yield (key, name, *path.split(".")), path
    for path, domain in (spec.search or {}).items():
        for asked in domain.when:
            yield ("search", path, "when", asked), asked


def _check_skip(spec: StudySpec) -> Iterator[Finding]:
    contexts, arms = spec.contexts or {}, spec.compare or {}
    for context, skipped in spec.skip.items():
        if context not in contexts:
            yield ("skip", context), _unknown("context", context, contexts)
            continue
        for index, arm in enumerate(skipped):
            if arm == BASELINE:
                yield ("skip", context, index), "the baseline runs in every context; arms are compared with it"
            elif arm not in arms:
                yield ("skip", context, index), _unknown("arm", arm, arms)
        if arms.keys() <= set(skipped):
            yield ("skip", context), "leaves no arm to be compared with the baseline"


def _check_baselines(spec: StudySpec) -> Iterator[Finding]:
    """Yield problems of the baselines of contexts; the baseline of a study without contexts is checked already."""
    for context, baseline in spec.baselines.items() if spec.contexts else ():
        yield from _check_trial(baseline, ("contexts", context), "")


def _check_search(spec: StudySpec) -> Iterator[Finding]:
    if spec.search is None:
        return
    try:
        drawing_order(spec.search)
    except InputError as error:
        yield ("search",), str(error)
    for path, domain in spec.search.items():
        if spec.sampler == "bruteforce" and domain.num_values is None:
            yield ("search", path), "needs a 'step' here, for sampler bruteforce tries every value"
        # A value that applies only under a condition may be invalid with the baseline and valid where it applies.
        for edge in domain.edges:
            mapping = overlay(spec.baseline, {path: edge})
            yield from _check_trial(mapping, ("search", path), path, elsewhere=not domain.when)
        for asked in domain.conditions:
            # null is valid at any path, because the section above may be missing.
            if asked.symbol not in ORDERINGS and asked.literal is not None:
                mapping = overlay(spec.baseline, {asked.path: asked.literal})
                yield from _check_trial(mapping, ("search", path, "when", asked.path), asked.path, elsewhere=False)
    for index, values in enumerate(spec.enqueue):
        yield from _check_enqueued(spec, spec.search, values, ("enqueue", index))
    if len(spec.enqueue) > spec.trials:
        yield ("enqueue",), f"must be {spec.trials} or fewer, the study's trials; got {len(spec.enqueue)}"
    if spec.confirm_seeds and spec.confirm_seeds[-1] > LARGEST_SEED:
        yield ("seeds",), f"leave no room for the fresh seeds of 'confirm:', which follow them up to {LARGEST_SEED}"
    if spec.confirm is not None and spec.confirm.top > spec.trials:
        yield ("confirm", "top"), f"must be {spec.trials} or less, the study's trials; got {spec.confirm.top}"


def _check_enqueued(
    spec: StudySpec, search: Mapping[str, Domain], values: Mapping[str, Any], where: Location
) -> Iterator[Finding]:
    found: list[Finding] = []
    for path, value in values.items():
        if path not in search:
            found.append((where, _unknown("factor", path, search)))
        elif problem := search[path].problem(value):
            found.append(((*where, path), problem))
    yield from found
    if found:  # a trial of them would be told the same again
        return
    with suppress(KeyError, InputError):  # the sampler chooses what is left out; a circle is told of already
        drawn = draw(search, spec.baseline_config.model_dump(mode="json"), lambda path, _: values[path])
        yield from _check_trial(overlay(spec.baseline, drawn), where, "")


def _check_arms(spec: StudySpec) -> Iterator[Finding]:
    """Yield problems of a design's arms; a problem that only some contexts have names these contexts."""
    if spec.search is not None:
        return
    for check in (_check_trials, _check_different):
        contexts: dict[Finding, list[str]] = {}
        for context in spec.baselines:
            for finding in dict.fromkeys(check(spec, context)):
                contexts.setdefault(finding, []).append(context)
        for (where, text), names in contexts.items():
            named = f"in context {', '.join(names)}: " if len(names) < len(spec.baselines) else ""
            yield where, f"{named}{text}"
        if contexts:
            return


def _check_trials(spec: StudySpec, context: str) -> Iterator[Finding]:
    for candidate in candidates(spec, context):
        path = candidate.paths[0] if spec.ablate or spec.leave_one_out else ""  # other designs set several factors
        yield from _check_trial(candidate.mapping, candidate.where, path)


def _check_different(spec: StudySpec, context: str) -> Iterator[Finding]:
    """Yield arms that equal one of an earlier context, and arms of `compare` that equal another of their own context.

    One training cannot belong to two contexts, and a named arm is expected in the results. Other equal arms are left
    out silently, unless nothing is left to compare, or two levels of a fraction train alike.
    """
    contexts = list(spec.baselines)
    others = {arm.arm_id: arm for other in contexts[: contexts.index(context)] for arm in arms_in(spec, other)}
    own = arms_in(spec, context)
    if equal := others.get(own[0].arm_id):
        yield ("contexts", context), f"equals arm {shown(equal.name)} in context {shown(equal.context)}"
        return
    runs = [trial_config(run.mapping).model_dump(mode="json") for run in candidates(spec, context) if spec.fractional]
    for path, levels in (spec.fractional or {}).items():
        if len({in_one_line(value_at(run, path)) for run in runs}) == 1:
            yield ("fractional", path), f"must be two levels that differ; got {shown(levels)}"
    names = {arm.arm_id: arm.name for arm in own}
    for candidate in candidates(spec, context):
        arm_id = trial_config(candidate.mapping).arm_id
        if equal := others.get(arm_id):
            yield candidate.where, f"equals arm {shown(equal.name)} in context {shown(equal.context)}"
        elif candidate.name not in (None, names[arm_id]):
            yield candidate.where, f"equals arm {shown(names[arm_id])}"
    if len(own) == 1 and spec.compare is None and spec.fractional is None:
        yield (spec.kind,), "every arm equals the baseline, so there is nothing to compare"


def _check_contrasts(spec: StudySpec) -> Iterator[Finding]:
    if not spec.contrasts:
        return
    arms = plan_arms(spec)
    named = [{name: arm for arm in arms if arm.context == context for name in arm.names} for context in spec.baselines]
    known = dict.fromkeys(name for own in named for name in own)
    met: set[frozenset[str]] = set()
    for index, names in enumerate(spec.contrasts):
        where: Location = ("contrasts", index)
        unknown = [place for place, name in enumerate(names) if name not in known]
        for place in unknown:
            yield (*where, place), _unknown("arm", names[place], known)
        if unknown:
            continue
        both = [[own[name] for name in names] for own in named if {*names} <= {*own}]
        if len(names) == 1 and names[0] != BASELINE:
            yield where, f"must be two arms, or {BASELINE} for every arm against it; got {shown(names[0])}"
        elif frozenset(names) in met or (names[0] == BASELINE and len(names) == 2 and (BASELINE,) in spec.contrasts):
            yield where, f"stands there twice, in whichever order; got {shown(list(names))}"
        elif not both:
            yield where, f"must be two arms that run in one context; got {shown(list(names))}"
        elif len(names) == 2 and all(first is second for first, second in both):
            yield where, f"must be two arms that train differently; got {shown(list(names))}"
        met.add(frozenset(names))


def _check_keep(spec: StudySpec) -> Iterator[Finding]:
    if isinstance(spec.keep, str):
        return
    if spec.search is not None:
        yield ("keep",), "must be best, all or none here, for the arms of a search have no names before it runs"
        return
    known = dict.fromkeys(name for arm in plan_arms(spec) for name in arm.names)
    for index, name in enumerate(spec.keep):
        if name not in known:
            yield ("keep", index), _unknown("arm", name, known)


def _check_measures(spec: StudySpec) -> Iterator[Finding]:
    if spec.prune != "none" and not spec.metric_is_of_every_epoch:
        said = f"compares epochs, and {spec.metrics[0]}, the metric, is measured after the last one alone"
        yield ("prune",), f"{said}; 'none' is left"
    measures = spec.built_measures.items()
    reading = [name for name, each in measures if isinstance(each, OfPredictions) and each.needs_teacher]
    if without := [
        arm.label
        for arm in (every_arm(spec) if reading else ())
        if not arm.config.teachers_by_key or arm.config.task == "transfer" or arm.config.has_other_classes
    ]:
        others = " and others" if len(without) > 3 else ""
        said = f"needs a teacher of the data's classes in every arm; there is none in {', '.join(without[:3])}{others}"
        yield ("measures", reading[0]), said


def _check_teachers(spec: StudySpec) -> Iterator[Finding]:
    if spec.teacher_seeds is None:
        return
    for where, path in _named_paths(spec):
        if path == "teacher.seed":
            yield where, "cannot be set beside 'teacher_seeds:', which has the seeds of all teachers"
    arms = every_arm(spec)
    trained = [arm for arm in arms if arm.config.teacher and arm.config.teacher.checkpoint is None]
    may_switch_on = spec.search is not None  # its factors may be weights of objectives that the baseline has not
    if several := [arm.label for arm in arms if arm.config.teachers]:
        yield ("teacher_seeds",), f"is of one teacher, and arm {several[0]} has 'teachers:'; set each one's seed there"
    elif any(arm.config.teacher and arm.config.teacher.seed for arm in arms):
        yield ("teacher_seeds",), "has the seeds of all teachers, so 'teacher.seed' cannot be set beside it"
    elif not any(may_switch_on or arm.config.runs_teacher(is_measured=spec.reads_teacher) for arm in trained):
        yield ("teacher_seeds",), "no arm has a teacher that is trained here and that an objective reads"


def _check_reference(spec: StudySpec) -> Iterator[Finding]:
    reference = spec.reference
    if reference is None:
        return
    if reference.metric != spec.report_metric:
        said = f"must be {spec.report_metric}, which this study reports; got {shown(reference.metric)}"
        yield ("reference", "metric"), said
    teachers: dict[str, dict[str, float]] = {context: {} for context in reference.teachers()}
    for key, found in (("values", reference.by_context()), ("teacher", teachers)):
        for context, arms in found.items():
            where: Location = ("reference", key, *filter(None, [context]))
            if context not in spec.baselines:
                named = ", ".join(spec.contexts or ()) or "none, for this study has none"
                yield where, f"must be of one of the study's contexts: {named}{suggestion(context, spec.baselines)}"
                continue
            known = [arm.name for arm in arms_in(spec, context)]
            for arm in (name for name in arms if name not in known):
                yield (*where, arm), _unknown("arm", arm, known)


def _unknown(noun: str, name: str, known: Iterable[str]) -> str:
    names = [*known]
    return f"no such {noun}{suggestion(name, names) or '.'} Known here: {', '.join(names)}"


def _check_trial(
    mapping: Mapping[str, Any], where: Location, path: str, *, elsewhere: bool = True
) -> Iterator[Finding]:
    """Yield the problems of a trial's configuration.

    ``where`` are the keys in the study that set the factor at ``path`` or, if ``path`` is empty, the whole
    configuration. Problems outside the factor are left out unless ``elsewhere``.
    """
    try:
        TrialConfig.model_validate(mapping)
    except ValidationError as error:
        keys = tuple(path.split(".")) if path else ()
        for location, text in explain(error, TrialConfig):
            if location[: len(keys)] == keys:
                yield (*where, *location[len(keys) :]), text
            elif elsewhere:
                place = f"{spelled(location)}: " if location else ""
                yield where, f"makes an invalid trial: {place}{text}"
