"""What a study asks for: a baseline, what varies around it, and how much evidence is wanted."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails

from cktf.settings import Settings
from cktf.study.designs import BASELINE, candidates, plan_arms, trial_config
from cktf.study.domains import ORDERINGS, ChoiceDomain, Condition, Domain, drawing_order
from cktf.study.paths import exists, known_paths, leaves, overlay, suggestion, value_at
from cktf.study.problems import Location, explain, problem, refusal, shown, spelled
from cktf.trainer.config import TrialConfig

METRICS: dict[str, Literal["max", "min"]] = {"validation_accuracy": "max", "validation_loss": "min"}
"""What may decide a study, and which end is better: the validation columns of `cktf.rows.EpochResult`."""

DESIGNS = {
    "ablate": "one_at_a_time",
    "compare": "compare",
    "leave_one_out": "leave_one_out",
    "grid": "grid",
    "search": "search",
}
"""Key in the study file to the design's name. A study has exactly one of these keys."""

SEARCH_ONLY = ("sampler", "sampler_seed", "prune", "trials", "confirm")
"""Keys that only a search has."""

MOST_SEEDS = 1000
"""Seeds of one study; more is a slip of the keyboard."""


class Resources(Settings):
    """What one trial takes."""

    gpus: float | None = Field(default=None, ge=0)
    """Of one trial, all its workers together: below 1, trials of one worker share one; several workers need a
    whole one each, or none. None: one for each worker if the cluster has any."""

    cpus: float = Field(default=1.0, gt=0)
    """Processor cores of one trial, all its workers together."""

    workers: int = Field(default=1, ge=1)
    """Processes that train one student together, data parallel."""

    slots: int | None = Field(default=None, ge=1)
    """Most trials at the same time; None: as many as fit."""

    @model_validator(mode="after")
    def _whole_gpus(self) -> Self:
        shares_one = self.workers == 1 and self.gpus is not None and self.gpus < 1
        if self.gpus is not None and self.gpus % self.workers and not shares_one:
            allowed = (
                "a whole number, or a fraction below 1"
                if self.workers == 1
                else f"0 or a multiple of {self.workers}, so that each of the {self.workers} workers has whole ones"
            )
            raise refusal([problem(("gpus",), f"must be {allowed}; got {self.gpus:g}")])
        return self


class Confirm(Settings):
    """After a search: the best arms and the baseline again, on fresh seeds."""

    top: int = Field(default=3, ge=1)
    """How many of the best arms."""

    seeds: int = Field(default=5, ge=1, le=MOST_SEEDS)
    """How many seeds each; none of them is one that the search has used."""


def _listed(seeds: Any) -> Any:
    """Turn a number of seeds into the list of them."""
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        if not 1 <= seeds <= MOST_SEEDS:
            raise ValueError(f"must be between 1 and {MOST_SEEDS}, or a list of seeds; got {seeds}")
        return tuple(range(seeds))
    if not isinstance(seeds, list | tuple):
        raise ValueError(f"must be a whole number of seeds, or a list of them; got {seeds!r}")  # noqa: TRY004
    return seeds


Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0, lt=2**31)], ...],
    BeforeValidator(_listed),
    Field(min_length=1, max_length=MOST_SEEDS),
]
Levels = Annotated[list[Any], Field(min_length=1)]


class StudySpec(Settings):
    """One study, checked: every path exists, every level makes a valid trial."""

    name: str = Field(min_length=1, pattern=r"^[^/\\]+$")
    """Name of the study; that of its file where the file gives none."""

    question: str = ""
    """The question it answers: the first comment line of its file."""

    baseline: dict[str, Any]
    """The trial that all else is compared with, as written: a `TrialConfig` without the seed."""

    ablate: dict[str, Levels] | None = Field(default=None, min_length=1)
    """One factor at a time: path to the levels that it takes beside the baseline's."""

    compare: dict[str, dict[str, Any]] | None = Field(default=None, min_length=1)
    """Named arms: each a partial configuration over the baseline; null takes an optional section away."""

    leave_one_out: dict[str, Any] | None = Field(default=None, min_length=1)
    """Path to the level that switches a component off; each arm switches off one."""

    grid: dict[str, Levels] | None = Field(default=None, min_length=1)
    """Path to levels; every combination is an arm."""

    search: dict[str, Domain] | None = Field(default=None, min_length=1)
    """Path to domain; arms are chosen as results come."""

    seeds: Seeds = ()
    """Replicates of every arm, given as their number or as a list; 5 for a design, 1 for a search."""

    metric: str = "validation_accuracy"
    """The column that decides."""

    resources: Resources = Resources()
    """What one trial takes."""

    keep: Literal["best", "all", "none"] = "best"
    """Whose student's weights are kept: of the best arm, of all, of none."""

    max_failures: int = Field(default=2, ge=0)
    """How often a trial is tried again whose worker died."""

    sampler: Literal["tpe", "gp", "nsgaii", "cmaes", "qmc", "random", "bruteforce"] = "tpe"
    """How a search chooses the next arm."""

    sampler_seed: int = Field(default=0, ge=0)
    """Of the sampler's own draws."""

    prune: Literal["none", "median", "percentile", "hyperband", "successive_halving"] = "none"
    """How a search ends a bad trial early."""

    trials: int = Field(default=40, ge=1)
    """Arms that a search tries."""

    confirm: Confirm | None = None
    """What follows a search; None: nothing."""

    @property
    def kind(self) -> str:
        """The key that says what varies: one of `DESIGNS`."""
        return next(key for key in DESIGNS if getattr(self, key) is not None)

    @property
    def design(self) -> str:
        """The design's name: ``one_at_a_time``, ``compare``, ``leave_one_out``, ``grid`` or ``search``."""
        return DESIGNS[self.kind]

    @cached_property
    def baseline_config(self) -> TrialConfig:
        """The baseline, checked and with all defaults, at seed 0."""
        return trial_config(self.baseline)

    @cached_property
    def factors(self) -> tuple[str, ...]:
        """Paths in the trial configuration that vary, in the file's order; of a search, in drawing order."""
        if self.search is not None:
            return drawing_order(self.search)
        if self.compare is not None:
            return tuple(dict.fromkeys(path for patch in self.compare.values() for path in leaves(patch)))
        return tuple(getattr(self, self.kind))

    @property
    def log_factors(self) -> tuple[str, ...]:
        """Those of them that are searched on a logarithmic scale."""
        return tuple(path for path, domain in (self.search or {}).items() if getattr(domain, "log", False))

    @property
    def maximise(self) -> bool:
        """True where a larger metric is better."""
        return METRICS[self.metric] == "max"

    @property
    def report_metric(self) -> str:
        """The test column that design and confirm trials report in place of the metric."""
        return self.metric.replace("validation_", "test_")

    @property
    def confirm_seeds(self) -> tuple[int, ...]:
        """The fresh seeds of the confirm stage; none where there is no such stage."""
        if self.confirm is None:
            return ()
        first = max(self.seeds) + 1
        return tuple(range(first, first + self.confirm.seeds))

    @model_validator(mode="before")
    @classmethod
    def _seeds_by_kind(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("seeds") is None:
            values = {**values, "seeds": 1 if values.get("search") is not None else 5}
        return values

    @field_validator("question")
    @classmethod
    def _in_one_line(cls, question: str) -> str:
        return " ".join(question.split())

    @field_validator("baseline")
    @classmethod
    def _valid_trial(cls, baseline: dict[str, Any]) -> dict[str, Any]:
        if "seed" in baseline:
            raise refusal(
                [problem(("seed",), "cannot be set here; the study's 'seeds:' name the replicates")]
            )
        try:
            TrialConfig.model_validate(baseline)
        except ValidationError as error:
            raise refusal([problem(where, text) for where, text in explain(error, TrialConfig)]) from None
        return baseline

    @field_validator("seeds")
    @classmethod
    def _different(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"the seeds must differ from each other; got {list(seeds)}")
        return seeds

    @field_validator("metric")
    @classmethod
    def _validation_only(cls, metric: str) -> str:
        if metric in METRICS:
            return metric
        reason = (
            ". The test split is read once, when all is decided, and never chooses"
            if "test" in metric
            else ""
        )
        allowed = ", ".join(METRICS)
        raise ValueError(f"must be one of {allowed}; got {metric!r}{reason or suggestion(metric, METRICS)}")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [*_check_kind(self)]
        if not problems:
            problems = [*_check_paths(self)]
        if not problems:
            problems = [*_check_search(self), *_check_levels(self)]
        if problems:
            raise refusal(problems)
        return self


def _check_kind(spec: StudySpec) -> Iterator[InitErrorDetails]:
    kinds = [key for key in DESIGNS if getattr(spec, key) is not None]
    if len(kinds) != 1:
        found = f"got {' and '.join(kinds)}" if kinds else "got none of them"
        yield problem((), f"a study has exactly one of {', '.join(DESIGNS)}; {found}")
    elif kinds != ["search"]:
        for key in SEARCH_ONLY:
            if key in spec.model_fields_set:
                yield problem((key,), f"only a study with 'search:' has this key; this one has '{kinds[0]}:'")


def _check_paths(spec: StudySpec) -> Iterator[InitErrorDetails]:
    for where, path in _named_paths(spec):
        if path == "seed" or path.startswith("seed."):
            yield problem(where, "the seed cannot be a factor; all arms share the study's 'seeds:'")
        elif not exists(path, TrialConfig):
            close = suggestion(path, known_paths(TrialConfig))
            yield problem(where, f"no such path in a trial's configuration{close}")
    for key in ("grid", "search"):
        paths = list(getattr(spec, key) or {})
        for path in paths:
            outer = [other for other in paths if path.startswith(f"{other}.")]
            if outer:
                yield problem(
                    (key, path), f"lies within another factor, '{outer[0]}'; one value would hide the other"
                )


def _named_paths(spec: StudySpec) -> Iterator[tuple[Location, str]]:
    for key in ("ablate", "leave_one_out", "grid", "search"):
        for path in getattr(spec, key) or {}:
            yield (key, path), path
    for name, patch in (spec.compare or {}).items():
        for path in leaves(patch):
            yield ("compare", name, *path.split(".")), path
    for path, domain in (spec.search or {}).items():
        for asked in domain.when:
            yield ("search", path, "when", asked), asked


def _check_search(spec: StudySpec) -> Iterator[InitErrorDetails]:
    if spec.search is None:
        return
    try:
        drawing_order(spec.search)
    except ValueError as error:
        yield problem(("search",), str(error))
    for path, domain in spec.search.items():
        if spec.sampler == "bruteforce" and not domain.is_finite:
            yield problem(("search", path), "needs a 'step' here, for sampler bruteforce tries every value")
        # What applies under a condition alone may clash with the baseline, and be right where it applies.
        for edge in domain.edges:
            mapping = overlay(spec.baseline, {path: edge})
            yield from _check_trial(mapping, ("search", path), path, elsewhere=not domain.when)
        for condition in domain.conditions:
            yield from _check_condition(spec, condition, ("search", path, "when", condition.path))
    if spec.confirm is not None and spec.confirm.top > spec.trials:
        yield problem(
            ("confirm", "top"), f"must be {spec.trials} or less, the study's trials; got {spec.confirm.top}"
        )


def _check_condition(spec: StudySpec, condition: Condition, where: Location) -> Iterator[InitErrorDetails]:
    """Yield what is wrong with a condition that no trial, or every trial, could meet."""
    # Nothing, null, may stand at any path: the section above it may be missing.
    if condition.symbol in ORDERINGS or condition.literal is None:
        return
    domain = (spec.search or {}).get(condition.path)
    if not isinstance(domain, ChoiceDomain):
        mapping = overlay(spec.baseline, {condition.path: condition.literal})
        yield from _check_trial(mapping, where, condition.path, elsewhere=False)
        return
    allowed = list(domain.choices)
    if domain.when:  # where it does not apply, it keeps the baseline's value
        allowed.append(value_at(spec.baseline_config.model_dump(mode="json"), condition.path))
    if condition.literal not in allowed:
        listed = ", ".join(map(str, domain.choices))
        close = suggestion(str(condition.literal), map(str, domain.choices))
        yield problem(where, f"must be one of its choices, {listed}; got {shown(condition.literal)}{close}")


def _check_levels(spec: StudySpec) -> Iterator[InitErrorDetails]:
    if spec.search is not None:
        return
    for name in spec.compare or {}:
        if name == BASELINE:
            yield problem(("compare", name), "this name is taken by the study's baseline")
        elif name.strip().splitlines() != [name]:
            yield problem(
                ("compare",), f"an arm's name must be one line of text, no spaces around it; got {name!r}"
            )
    # A wrong level of a grid is named once, not in each combination that has it.
    wrong_levels = [
        wrong
        for path, levels in (spec.grid or {}).items()
        for index, level in enumerate(levels)
        for wrong in _check_trial(
            overlay(spec.baseline, {path: level}), ("grid", path, index), path, elsewhere=False
        )
    ]
    wrong = wrong_levels or [
        wrong
        for candidate in candidates(spec)
        for wrong in _check_trial(candidate.mapping, candidate.where, candidate.factor)
    ]
    if wrong:
        yield from wrong
    elif spec.compare is not None:
        yield from _check_different(spec)
    elif len(plan_arms(spec)) == 1:
        yield problem((spec.kind,), "every arm equals the baseline, so there is nothing to compare")


def _check_different(spec: StudySpec) -> Iterator[InitErrorDetails]:
    """Yield the named arms that equal an earlier one: who gives a name expects to find it in the results."""
    names = {spec.baseline_config.arm_id: BASELINE}
    for candidate in candidates(spec):
        assert candidate.name is not None
        arm_id = trial_config(candidate.mapping).arm_id
        earlier = names.setdefault(arm_id, candidate.name)
        if earlier != candidate.name:
            yield problem(candidate.where, f"equals arm {earlier!r}")


def _check_trial(
    mapping: Mapping[str, Any], where: Location, path: str, *, elsewhere: bool = True
) -> Iterator[InitErrorDetails]:
    """Build a trial and yield what is wrong with it, at the place in the study that asks for it.

    Args:
        mapping: The trial's configuration.
        where: Keys in the study file that ask for it.
        path: The factor whose level stands at ``where``; empty where a whole configuration does.
        elsewhere: Whether a problem away from the path counts as well.
    """
    try:
        TrialConfig.model_validate(mapping)
    except ValidationError as error:
        keys = tuple(path.split(".")) if path else ()
        for location, text in explain(error, TrialConfig):
            if location[: len(keys)] == keys:
                yield problem((*where, *location[len(keys) :]), text)
            elif elsewhere:
                place = f"{spelled(location)}: " if location else ""
                yield problem(where, f"makes an invalid trial: {place}{text}")
