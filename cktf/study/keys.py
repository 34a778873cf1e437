"""The keys of a study file: a baseline, the factors that vary around it, seeds, and how trials are run."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    FieldSerializationInfo,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)

from cktf.errors import InputError, shown
from cktf.measures.registry import built, directions, with_settings
from cktf.plugins import Plugin
from cktf.rows import Alternative, Family, Scalar
from cktf.settings import Seed, Settings
from cktf.storage import PATIENCE
from cktf.study.domains import Domain
from cktf.study.named_parts import measure_problems, registered
from cktf.study.paths import stands_in, suggestion
from cktf.study.problems import explain, refusal
from cktf.study.sections import (
    Confirm,
    Contrasts,
    Levels,
    RaceConfig,
    Reference,
    Resources,
    Seeds,
    TwoLevels,
)
from cktf.trainer.config import TrialConfig
from cktf.trainer.health import HealthConfig

METRICS: dict[str, Literal["max", "min"]] = {"validation_accuracy": "max", "validation_loss": "min"}
"""Metrics that may decide a study, each with its better direction: validation columns of `cktf.epoch_result`.

Measures that the study names may decide it too, such as ``validation_ece`` or ``flops``."""

MOST_TRIALS = 1_000_000
"""Largest number of arms of a search; with more, identities might collide."""


Measures = Annotated[
    dict[str, dict[str, Any]],
    BeforeValidator(with_settings, json_schema_input_type=list[str | dict[str, dict[str, Any] | None]]),
]
"""Name of a measure to its settings."""


class StudyKeys(Settings):
    """The keys of one study, each checked by itself."""

    plugins: tuple[Plugin, ...] = ()
    """Python modules whose objectives, networks, data sets and augmentations this study names: files that end in `.py`,
    relative to the study's file, or installed modules. Their code is run, also by `cktf validate`. A trial that uses
    something of one is identified by its code too."""

    name: str
    """Name of the study; by default that of its file."""

    question: str = ""
    """The question it answers: the first comment line of its file."""

    contexts: dict[str, dict[str, Any]] | None = Field(default=None, min_length=1)
    """Context to a partial configuration that is merged into the baseline before an arm's own change. Every arm runs in
    every context and is compared with the baseline of the same one. None: one context without a name."""

    baseline: dict[str, Any]
    """The trial that all arms are compared with: a `TrialConfig` without the seed. Settings that every context has may
    be left out."""

    ablate: dict[str, Levels] | None = Field(default=None, min_length=1)
    """One factor at a time: path to its levels besides the baseline's."""

    compare: dict[str, dict[str, Any]] | None = Field(default=None, min_length=1)
    """Named arms: each a partial configuration over the baseline; null removes an optional section."""

    leave_one_out: dict[str, Any] | None = Field(default=None, min_length=1)
    """Path to the level that switches a component off; each arm switches one off."""

    grid: dict[str, Levels] | None = Field(default=None, min_length=1)
    """Path to levels; every combination is an arm."""

    fractional: dict[str, TwoLevels] | None = Field(default=None, min_length=1)
    """Path to two levels; arms are a fraction of the combinations (see `cktf.study.fractional`). The combination of all
    first levels is always in it; if these are the baseline's levels, the baseline is part of the fraction, else it is
    an arm beside it."""

    resolution: int = Field(default=4, ge=3, le=5)
    """Lowest resolution allowed; the smallest fraction that has it is taken. 3: main effects are confounded with
    interactions of two factors; 4: such interactions only with one another; 5: neither."""

    search: dict[str, Domain] | None = Field(default=None, min_length=1)
    """Path to domain; arms are chosen as results come."""

    skip: dict[str, list[str]] = Field(default_factory=dict)
    """Context to the arms of `compare` that do not run in it, for instance because they cannot be built there."""

    seeds: Seeds = Field(default_factory=tuple)  # always filled in, by `_seeds_by_kind`
    """Seeds of every arm, as their number or a list; by default 5 for a design, 1 for a search, those of the last look
    for a race."""

    seeds_by_context: bool = False
    """Whether each context has seeds of its own (see `StudySpec.training_seed`), so that a lucky seed does not
    affect all contexts alike; arms of one context still share theirs. Recommended for new studies with contexts; it
    cannot be changed once a run has begun."""

    race: RaceConfig | None = None
    """Interim looks, paid for by alpha spending; `{}` takes the defaults. None: every arm gets all seeds and is judged
    only once."""

    teacher_seeds: Seeds | None = None
    """Seeds of teachers, as their number or a list, crossed with the students' seeds: every arm with a teacher that is
    trained here runs with each of them at each seed. None: one teacher, of `teacher.seed`, serves all seeds."""

    measures: Measures = Field(default_factory=dict)
    """Further measures of each student (see `cktf.measures`), as a list of names and of names with settings:
    `[top5, {ece: {bins: 10}}]`. They change no training and no trial's identity."""

    metric: str | Annotated[tuple[str, ...], Field(min_length=1, max_length=3)] = "validation_accuracy"
    """Metric that decides: `validation_accuracy`, `validation_loss` or a measure, such as `validation_ece` or `flops`.
    A search may have two or three, `[validation_accuracy, flops]`: it looks for the best trade-offs, and effects and
    verdicts are of the first."""

    delta: float | None = Field(default=None, gt=0, le=100)
    """The smallest effect that matters, in the unit of the metric (percentage points of an accuracy); an arm whose
    effect is shown to be smaller is called equivalent. None: no arm can be. Set it before the first result."""

    contrasts: Contrasts = ()
    """Pairs of arm names: the first arm is compared with the second, in every context that has both, instead of every
    arm with the baseline; the entry `baseline` adds the comparisons with the baseline. All are one family."""

    family: Family = Family.STUDY
    """Comparisons over which Holm's method adjusts p values: all of the study, or those of each context."""

    alternative: Alternative = Alternative.TWO_SIDED
    """Effects that are looked for: in either direction, or only better, or only worse ones."""

    margin: float | None = Field(default=None, ge=-100, le=100)
    """With a one-sided alternative: least difference, in the unit of the metric, by which an arm must be shown to be
    better (or worse). Below 0: it must be shown not to be worse (better) by that much, non-inferiority. None: 0."""

    expect_sd: float | None = Field(default=None, gt=0, le=100)
    """Expected standard deviation of the paired differences, in the unit of the metric, from which `cktf validate` says
    in this unit what can be detected."""

    reference: Reference | None = None
    """Published values, printed beside the measured ones."""

    resources: Resources = Resources()
    """Resources of one trial."""

    teacher_once: bool = False
    """Run the teacher once for all trials that need the same outputs at one seed and epoch, if they read only logits,
    penultimate vectors or pooled maps. These are rounded to float16 and stored below `$CKTF_CACHE`, in at most
    `$CKTF_CACHE_GB` gigabytes (20). Rounding changes numbers a little, so it must be set when the run is launched."""

    health: HealthConfig | None = None
    """Measure the health of the distillation regularly (see `cktf.trainer.health`): agreement with the teacher and KL,
    similarity of layers, scores at the banks, gradients of the terms. It changes no result and no trial's identity;
    `{}` takes the defaults. None: nothing is measured."""

    keep: Literal["best", "all", "none"] | Annotated[tuple[str, ...], Field(min_length=1)] = "best"
    """Students whose weights are stored: those of the best arm (by the metric, of each context), all, none, or those of
    the arms that are listed by their names."""

    keep_logits: bool = False
    """Store each student's logits after its last epoch, of the validation split and of the test split, as float32 in
    the trial's folder, so that `cktf measure` can add measures later."""

    max_failures: int = Field(default=2, ge=0, le=1000)
    """Number of times that a trial is repeated after its worker died."""

    max_failures_in_a_row: int = Field(default=5, ge=1, le=MOST_TRIALS)
    """Number of trials in a row that end with the same error, at which the study is stopped. A loss that is no longer
    finite is a result and no error. In a search also number of arms in a row whose teacher has failed before."""

    storage_patience: float = Field(default=PATIENCE, ge=0, le=7 * 86400)
    """Seconds for which a failing read or write in a bucket is repeated before it counts as an error."""

    step: Literal["auto", "eager"] = "auto"
    """How training steps run on a GPU. `auto`: recorded as a CUDA graph and replayed, where that is possible and gives
    the same numbers up to rounding (see `cktf.trainer.step`); `eager`: operator by operator."""

    checkpoint_seconds: float = Field(default=60, ge=0, le=7 * 86400)
    """Least time in seconds between two checkpoints of a trial within a phase; each phase ends with one. Epochs after a
    killed trial's last checkpoint are trained again."""

    deterministic: bool = False
    """Let only deterministic algorithms train, so that two trainings on one kind of GPU are alike to the last bit. It
    costs a GPU some speed, and an operation that has no such algorithm fails its trial. A CPU needs none of it."""

    stall: Literal["retry", "wait"] = "retry"
    """Treatment of a running trial that reports nothing for too long. `retry`: its worker is ended, and it goes on from
    its checkpoint, as after a worker's death; `wait`: it is waited for. Both are reported."""

    stall_seconds: float = Field(default=600.0, ge=1, le=7 * 86400)
    """Least time, in seconds, without an epoch after which a trial counts as stalled; if longer, the limit is ten times
    the slowest epoch. Before the study's first epoch it is ten times this setting."""

    sampler: Literal["tpe", "gp", "nsgaii", "cmaes", "qmc", "random", "bruteforce"] = "tpe"
    """Optuna's sampler of a search; for several metrics only ``tpe``, or ``nsgaii``, a genetic algorithm."""

    sampler_seed: Seed = 0
    """Seed of the sampler."""

    prune: Literal["none", "median", "percentile", "hyperband", "successive_halving"] = "none"
    """Optuna's pruner, by which a search ends bad trials early."""

    enqueue: tuple[dict[str, Scalar], ...] = ()
    """Settings that a search tries before those of its sampler, which learns from them: each a path to a value of its
    domain. The sampler chooses the factors that an entry leaves out."""

    warm_start: str | None = Field(default=None, min_length=1)
    """Another run's directory, or its URI in a bucket. Its arms within the domains of this search, with the mean of
    their trials, are observations from which the sampler learns before the first trial, not trials of this study. They
    are copied at the launch, so that a resume does not need the other run."""

    trials: int = Field(default=40, ge=1, le=MOST_TRIALS)
    """Number of arms that a search tries."""

    confirm: Confirm | None = None
    """Confirmation after a search; None: there is none."""

    smoke: bool = False
    """Whether it is a smoke run on a few generated images (see `cktf.study.designs`); set by `cktf launch --smoke`."""

    @model_validator(mode="before")
    @classmethod
    def _seeds_by_kind(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("seeds") is None:
            seeds = 1 if values.get("search") is not None else 5
            with suppress(ValidationError):  # there is none, or it is wrong, which is reported
                seeds = RaceConfig.model_validate(values.get("race")).looks[-1]
            values = {**values, "seeds": seeds}
        return values

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        is_name = name == name.strip() and name.isprintable() and not {"/", "\\"}.intersection(name)
        if not is_name or name in ("", ".", ".."):
            said = "must be one line of text that can name a folder, without slashes, and spaces around it"
            raise InputError(f"{said}; got {shown(name)}")
        return name

    @field_validator("question")
    @classmethod
    def _in_one_line(cls, question: str) -> str:
        return " ".join(question.split())

    @field_validator("plugins", mode="before", json_schema_input_type=list[str])
    @classmethod
    def _registered(cls, plugins: Any, info: ValidationInfo) -> Any:
        return registered(plugins, (info.context or {}).get("find_plugin"))

    @field_serializer("plugins")
    def _names_or_versions(self, plugins: tuple[Plugin, ...], info: FieldSerializationInfo) -> Any:
        """Return the names of the plug-ins; in Python with their versions, by which studies are compared."""
        if info.mode == "json":
            return [plugin.name for plugin in plugins]
        return {plugin.name: plugin.version for plugin in plugins}

    @field_validator("baseline")
    @classmethod
    def _valid_trial(cls, baseline: dict[str, Any], others: ValidationInfo) -> dict[str, Any]:
        if "plugins" not in others.data:  # plug-ins are wrong, which is reported; their names are unknown
            return baseline
        if "seed" in baseline:
            raise refusal((("seed",), "cannot be set here; the study's 'seeds:' name the replicates"))
        try:
            TrialConfig.model_validate(baseline)
        except ValidationError as error:
            found = explain(error, TrialConfig)
            if others.data.get("contexts", ()) is not None:  # each context may add what is missing here
                found = [(where, text) for where, text in found if stands_in(where, baseline)]
            if found:
                raise refusal(*found) from None
        return baseline

    @field_validator("seeds", "teacher_seeds")
    @classmethod
    def _different(cls, seeds: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if seeds and len(set(seeds)) < len(seeds):
            raise InputError(f"the seeds must differ from each other; got {shown(list(seeds))}")
        return seeds

    @field_validator("measures")
    @classmethod
    def _known_measures(cls, measures: dict[str, dict[str, Any]], others: ValidationInfo) -> dict[str, dict[str, Any]]:
        if problems := [*measure_problems(measures)] if "plugins" in others.data else []:  # else not all are known
            raise refusal(*problems)
        return measures

    @field_validator("metric")
    @classmethod
    def _validation_only(cls, metric: str | tuple[str, ...], others: ValidationInfo) -> str | tuple[str, ...]:
        if "plugins" not in others.data or "measures" not in others.data:  # these are wrong, which is reported
            return metric
        measured = directions(built(others.data["measures"]))
        allowed = [*METRICS, *(name for name in measured if not name.startswith("test_"))]
        names = (metric,) if isinstance(metric, str) else metric
        for name in names:
            if name not in allowed:
                raise InputError(
                    f"must be one of {', '.join(allowed)}; got {shown(name)}{suggestion(name, allowed) or '.'} A "
                    "measure is named under 'measures:' too, and the test split never chooses"
                )
        if len(set(names)) < len(names):
            raise InputError(f"must be metrics that differ; got {shown(list(names))}")
        return names[0] if len(names) == 1 else metric
