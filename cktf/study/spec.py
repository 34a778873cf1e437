"""The settings of a study: a baseline, the factors that vary around it, seeds, and how trials are run."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

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
from cktf.looks import Race, Spending
from cktf.measures import Measure, OfPredictions
from cktf.measures.registry import MEASURES, built, directions, with_settings
from cktf.names import BASELINE
from cktf.plugins import Plugin, find_plugin
from cktf.rows import MEASURE, Alternative, Family
from cktf.settings import Seed, Settings
from cktf.storage import PATIENCE
from cktf.study.domains import Domain, drawing_order
from cktf.study.fractional import Fraction, smallest_fraction
from cktf.study.paths import Location, known_paths, lay_over, leaves, stands_in, suggestion
from cktf.study.problems import explain, refusal
from cktf.trainer.config import TrialConfig
from cktf.trainer.health import HealthConfig
from cktf.trainer.registration import register
from cktf.trainer.train import TrainOptions
from cktf.trial.content import trial_config


class Reference(Settings):
    """Published values, shown beside a study's own numbers and never mixed with them."""

    source: str = Field(min_length=1)
    """The publication: a citation, and the table in it."""

    metric: str = "test_accuracy"
    """The column of `cktf.rows.EpochResult` of the values, in its unit; the study must report the same."""

    values: dict[str, float | dict[str, float]] = Field(min_length=1)
    """Context to arm to value; in a study without contexts, arm to value."""

    teacher: float | dict[str, float] | None = None
    """Context to the value of its teacher; in a study without contexts, the value."""

    def by_context(self) -> dict[str, dict[str, float]]:
        """Return context to arm to value; values without a context are under ''."""
        nested = {key: value for key, value in self.values.items() if isinstance(value, dict)}
        flat = {key: value for key, value in self.values.items() if not isinstance(value, dict)}
        return {"": flat, **nested} if flat else nested

    def teachers(self) -> dict[str, float]:
        """Return context to the value of its teacher; without contexts under ''."""
        if self.teacher is None:
            return {}
        return self.teacher if isinstance(self.teacher, dict) else {"": self.teacher}


DESIGNS = {
    "ablate": "one_at_a_time",
    "compare": "compare",
    "leave_one_out": "leave_one_out",
    "grid": "grid",
    "fractional": "fractional",
    "search": "search",
}
"""Key in the study file to the design's name. A study has exactly one of these keys."""

METRICS: dict[str, Literal["max", "min"]] = {"validation_accuracy": "max", "validation_loss": "min"}
"""Metrics that may decide a study, and which end is better: the validation columns of `cktf.rows.EpochResult`.

A measure that the study names may too: ``validation_ece``, ``flops``.
"""

MOST_SEEDS = 1000
"""Largest number of seeds of a study; the bound catches typing errors."""

MOST_TRIALS = 1_000_000
"""Largest number of arms of a search; with more, identities might collide."""


class Resources(Settings):
    """Resources of one trial."""

    gpus: float | None = Field(default=None, ge=0)
    """GPUs of one trial, all its workers together. Each worker uses one or none; below 1, trials of one worker share
    one. None: one for each worker if the cluster has any."""

    cpus: float = Field(default=1.0, gt=0)
    """Processor cores of one trial, all its workers together. They set the number of threads, which on a CPU may change
    the last bits of sums."""

    workers: int = Field(default=1, ge=1, le=1024)
    """Processes that train one student together, data parallel. Gradients, banks and comparisons of samples are those
    of the whole batch; batch-norm sees only each process's shard."""

    slots: int | None = Field(default=None, ge=1, le=100_000)
    """Largest number of trials at the same time; None: as many as fit."""

    @model_validator(mode="after")
    def _whole_gpus(self) -> Self:
        shares_one = self.workers == 1 and self.gpus is not None and self.gpus < 1
        if self.gpus is not None and self.gpus not in (0, self.workers) and not shares_one:
            allowed = (
                "0, a fraction below 1, or 1, for one worker trains on one GPU; 'workers:' sets how many do"
                if self.workers == 1
                else f"0 or {self.workers}, so that each of the {self.workers} workers has one; more would idle"
            )
            raise refusal((("gpus",), f"must be {allowed}; got {self.gpus:g}"))
        return self


class Confirm(Settings):
    """After a search: the best arms and the baseline again, on fresh seeds."""

    top: int = Field(default=3, ge=1)
    """Number of best arms."""

    seeds: int = Field(default=5, ge=1, le=MOST_SEEDS)
    """Number of seeds of each arm, none of which the search has used."""


class RaceConfig(Settings):
    """Looks at a study while it runs: arms that are decided, or hopeless, get no more seeds."""

    looks: tuple[Annotated[int, Field(ge=2, le=MOST_SEEDS)], ...] = Field(
        default=(5, 8, 12, 20), min_length=2, max_length=100
    )
    """Numbers of seeds, increasing, at which all arms that still run are judged. The last one is the study's number of
    seeds."""

    spending: Spending = Spending.POWER2
    """How much of the level early looks may use: `power2`, a share by the square of the seeds; `obrien_fleming`, hardly
    any; `pocock`, much. An arm that clears its limit at a look is decided there."""

    futility: float = Field(default=0.1, ge=0, le=0.5)
    """An arm whose chance to be decided at the last look is below this, judged by what is seen, gets no more seeds; 0:
    none is stopped for that."""

    @field_validator("looks")
    @classmethod
    def _increasing(cls, looks: tuple[int, ...]) -> tuple[int, ...]:
        if any(after <= before for before, after in pairwise(looks)):
            raise InputError(f"must increase from look to look; got {shown(list(looks))}")
        return looks


def _listed(seeds: Any) -> Any:
    """Return the seeds from 0 for their number; a list stays as it is."""
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        if not 1 <= seeds <= MOST_SEEDS:
            raise InputError(f"must be between 1 and {MOST_SEEDS}, or a list of seeds; got {seeds}")
        return tuple(range(seeds))
    if not isinstance(seeds, list | tuple):
        raise InputError(f"must be a whole number of seeds, or a list of them; got {shown(seeds)}")
    return seeds


Seeds = Annotated[tuple[Seed, ...], BeforeValidator(_listed), Field(min_length=1, max_length=MOST_SEEDS)]


def _pairs(contrasts: Any) -> Any:
    """Return contrasts as lists of names; the name of the baseline may stand alone."""
    if not isinstance(contrasts, list | tuple):
        raise InputError(f"must be a list of pairs of arms, and of the word {BASELINE}; got {shown(contrasts)}")
    return [[BASELINE] if contrast == BASELINE else contrast for contrast in contrasts]


Contrast = Annotated[tuple[str, ...], Field(min_length=1, max_length=2)]
Contrasts = Annotated[tuple[Contrast, ...], BeforeValidator(_pairs)]
Levels = Annotated[list[Any], Field(min_length=1)]
TwoLevels = Annotated[list[Any], Field(min_length=2, max_length=2)]


def registered(plugins: Any, find: Callable[[str], Plugin] | None = None) -> tuple[Plugin, ...]:
    """Return the plug-ins that a study names, imported and registered.

    Args:
        plugins: Names; or plug-ins, which stay as they are.
        find: Returns the plug-in of a name; None: files are in the current folder.

    Raises:
        InputError: If one cannot be found or used.
    """
    if not isinstance(plugins, list | tuple) or not all(isinstance(each, str | Plugin) for each in plugins):
        raise InputError(f"must be a list of files that end in .py, and of modules; got {shown(plugins)}")
    find = find or partial(find_plugin, folder=Path())
    found = tuple(find(each) if isinstance(each, str) else each for each in plugins)
    names = [plugin.name for plugin in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"two are called {twice[0]}; names tell them apart in the run directory")
    if found:
        register(found)
        known_paths.cache_clear()
    return found


def measure_problems(measures: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    """Yield location and message of each problem with the settings of measures by name."""
    for name, settings in measures.items():
        if name not in MEASURES:
            yield (name,), f"unknown measure{suggestion(name, MEASURES) or '.'} Known here: {', '.join(MEASURES)}"
            continue
        try:
            MEASURES[name].model_validate(settings)
        except ValidationError as error:
            yield from (((name, *where), said) for where, said in explain(error, MEASURES[name]))


class StudySpec(Settings):
    """The settings of one study. `cktf.study.load` also checks that they are consistent."""

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
    """Least resolution of the fraction, of which the smallest is taken. 3: main effects are confounded with
    interactions of two factors; 4: these with one another; 5: neither."""

    search: dict[str, Domain] | None = Field(default=None, min_length=1)
    """Path to domain; arms are chosen as results come."""

    skip: dict[str, list[str]] = Field(default_factory=dict)
    """Context to the arms of `compare` that do not run in it, for instance because they cannot be built there."""

    seeds: Seeds = ()
    """Seeds of every arm, as their number or a list; by default 5 for a design, 1 for a search, those of the last look
    for a race."""

    race: RaceConfig | None = None
    """Looks that are paid for; `{}` takes the defaults. None: every arm gets all seeds, and is judged once."""

    teacher_seeds: Seeds | None = None
    """Seeds of teachers, as their number or a list, crossed with the students' seeds: every arm with a teacher that is
    trained here runs with each of them at each seed. None: one teacher, of `teacher.seed`, serves all seeds."""

    measures: Annotated[dict[str, dict[str, Any]], BeforeValidator(with_settings)] = Field(default_factory=dict)
    """Further measures of each student (see `cktf.measures`), as a list of names and of names with settings:
    `[top5, {ece: {bins: 10}}]`. They change no training and no trial's identity."""

    metric: str = "validation_accuracy"
    """What decides: `validation_accuracy`, `validation_loss` or a measure, such as `validation_ece` or `flops`."""

    delta: float | None = Field(default=None, gt=0, le=100)
    """The smallest effect that matters, in the unit of the metric (percentage points of an accuracy); an arm whose
    effect is shown to be smaller is called equivalent. None: no arm can be. Set it before the first result."""

    contrasts: Contrasts = ()
    """Pairs of names of arms: the first is compared with the second, in every context that has both, in place of every
    arm with the baseline; the entry `baseline` stands for all of these, beside the pairs. All are one family."""

    family: Family = Family.STUDY
    """Comparisons over which Holm's method adjusts p values: all of the study, or those of each context."""

    alternative: Alternative = Alternative.TWO_SIDED
    """Effects that are looked for: in either direction, or only better, or only worse ones."""

    margin: float | None = Field(default=None, ge=-100, le=100)
    """With a one-sided alternative: by how much, in the unit of the metric, an arm is to be shown to be better (or
    worse). Below 0, that it is not worse (not better) by so much: non-inferiority. None: 0."""

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

    keep: Literal["best", "all", "none"] = "best"
    """Students whose weights are stored: those of the best arm, all, or none."""

    keep_logits: bool = False
    """Store each student's logits after its last epoch, of the validation split and of the test split, as float32 in
    the trial's folder, so that `cktf measure` can add measures later."""

    max_failures: int = Field(default=2, ge=0, le=1000)
    """Number of times that a trial is repeated after its worker died."""

    max_failures_in_a_row: int = Field(default=5, ge=1, le=MOST_TRIALS)
    """Number of trials in a row that end with the same error, at which the study is stopped. A loss that is no longer
    finite is a result and no error."""

    storage_patience: float = Field(default=PATIENCE, ge=0, le=7 * 86400)
    """Seconds for which what cannot be read or written in a bucket is tried again before it ends anything."""

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
    """What happens to a running trial of which nothing was heard for too long: its worker is ended, and it goes on from
    its checkpoint, as after a worker's death; or it is waited for. Either is said."""

    stall_seconds: float = Field(default=600.0, ge=1, le=7 * 86400)
    """Seconds without an epoch that are too long: ten times the slowest epoch, but at least so many. Ten times so many
    before the first epoch of the study."""

    sampler: Literal["tpe", "gp", "nsgaii", "cmaes", "qmc", "random", "bruteforce"] = "tpe"
    """Optuna's sampler of a search. With a study's one metric, ``nsgaii`` is a genetic algorithm."""

    sampler_seed: Seed = 0
    """Seed of the sampler."""

    prune: Literal["none", "median", "percentile", "hyperband", "successive_halving"] = "none"
    """Optuna's pruner, by which a search ends bad trials early."""

    trials: int = Field(default=40, ge=1, le=MOST_TRIALS)
    """Number of arms that a search tries."""

    confirm: Confirm | None = None
    """Confirmation after a search; None: there is none."""

    smoke: bool = False
    """Whether it is a smoke run on a few generated images (see `cktf.study.designs`); set by `cktf launch --smoke`."""

    @property
    def kind(self) -> str:
        """The study's key among `DESIGNS`."""
        return next(key for key in DESIGNS if getattr(self, key) is not None)

    @property
    def design(self) -> str:
        """The design's name, such as ``one_at_a_time`` or ``search``."""
        return DESIGNS[self.kind]

    def train_options(self, **others: bool) -> TrainOptions:
        """Return how a trial of this study is run; ``others`` are the fields that the study does not set."""
        names = TrainOptions.model_fields.keys() & type(self).model_fields.keys()
        own = {name: getattr(self, name) for name in names}
        return TrainOptions(**own, **others)

    @cached_property
    def reads_teacher(self) -> bool:
        """Whether the teacher of every arm that has one is run, even if no objective reads it."""
        return self.train_options().reads_teacher

    @cached_property
    def built_measures(self) -> dict[str, Measure]:
        """Each measure by name."""
        return built(self.measures)

    @property
    def baselines(self) -> dict[str, dict[str, Any]]:
        """Context to its baseline, not yet validated; without contexts under ''."""
        if self.contexts is None:
            return {"": self.baseline}
        return {name: lay_over(self.baseline, patch) for name, patch in self.contexts.items()}

    @cached_property
    def baseline_configs(self) -> dict[str, TrialConfig]:
        """Context to its validated baseline at seed 0; in full size even in a smoke run."""
        return {name: trial_config(baseline) for name, baseline in self.baselines.items()}

    @property
    def baseline_config(self) -> TrialConfig:
        """The baseline of a study without contexts."""
        return self.baseline_configs[""]

    @cached_property
    def factors(self) -> tuple[str, ...]:
        """Paths in the trial configuration that vary, in the file's order; for a search in drawing order."""
        if self.search is not None:
            return drawing_order(self.search)
        if self.compare is not None:
            return tuple(dict.fromkeys(path for patch in self.compare.values() for path in leaves(patch)))
        return tuple(getattr(self, self.kind))

    @cached_property
    def fraction(self) -> Fraction | None:
        """The fraction of a fractional design; None for other designs."""
        return None if self.fractional is None else smallest_fraction(len(self.fractional), self.resolution)

    @property
    def log_factors(self) -> tuple[str, ...]:
        """Factors that are searched on a logarithmic scale."""
        return tuple(path for path, domain in (self.search or {}).items() if getattr(domain, "log", False))

    @property
    def maximise(self) -> bool:
        """Whether a larger metric is better."""
        if self.metric in METRICS:
            return METRICS[self.metric] == "max"
        return directions(self.built_measures)[self.metric]

    @property
    def report_metric(self) -> str:
        """What design and confirm trials report in place of the metric: of outputs, the same on the test split."""
        return self.metric.replace("validation_", "test_", 1)

    @property
    def looked(self) -> Race:
        """What the looks of a race ask."""
        assert self.race is not None
        sign = 0
        if self.alternative != Alternative.TWO_SIDED:
            sign = 1 if (self.alternative == Alternative.BETTER) == self.maximise else -1
        return Race(self.race.looks, self.race.spending, sign, self.margin or 0.0, self.delta)

    @property
    def columns(self) -> tuple[str, str]:
        """Columns of tables that hold the metric and what is reported in its place."""
        prefix = "" if self.metric in METRICS else MEASURE
        return f"{prefix}{self.metric}", f"{prefix}{self.report_metric}"

    @property
    def metric_is_of_every_epoch(self) -> bool:
        """Whether the metric is measured after each epoch, not after the last one alone."""
        measure = self.built_measures.get(self.metric.removeprefix("validation_"))
        return self.metric in METRICS or (isinstance(measure, OfPredictions) and measure.every_epoch)

    @property
    def confirm_seeds(self) -> tuple[int, ...]:
        """The fresh seeds of the confirm stage; empty if there is no such stage."""
        if self.confirm is None:
            return ()
        first = max(self.seeds) + 1
        return tuple(range(first, first + self.confirm.seeds))

    @model_validator(mode="before")
    @classmethod
    def _seeds_by_kind(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("seeds") is None:
            race = values.get("race")
            looks = RaceConfig.model_fields["looks"].default
            looks = race.get("looks", looks) if isinstance(race, Mapping) else getattr(race, "looks", (5,))
            last = looks[-1] if isinstance(looks, list | tuple) and looks else 5
            seeds = last if isinstance(last, int) and not isinstance(last, bool) and 1 <= last <= MOST_SEEDS else 5
            values = {**values, "seeds": 1 if values.get("search") is not None else seeds}
        return values

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        is_name = name == name.strip() and name.isprintable() and not {"/", "\\"}.intersection(name)
        if not is_name or name in ("", ".", ".."):
            raise InputError(
                "must be one line of text that can name a folder: no slashes or control characters in it, no spaces "
                f"around it, not '.' or '..'; got {shown(name)}"
            )
        return name

    @field_validator("question")
    @classmethod
    def _in_one_line(cls, question: str) -> str:
        return " ".join(question.split())

    @field_validator("plugins", mode="before")
    @classmethod
    def _registered(cls, plugins: Any, info: ValidationInfo) -> Any:
        return registered(plugins, (info.context or {}).get("find_plugin"))

    @field_serializer("plugins")
    def _names_or_versions(self, plugins: tuple[Plugin, ...], info: FieldSerializationInfo) -> Any:
        """Return the names that a study file has or, in Python, the versions too, by which studies are compared."""
        if info.mode == "json":
            return [plugin.name for plugin in plugins]
        return {plugin.name: plugin.version for plugin in plugins}

    @field_validator("baseline")
    @classmethod
    def _valid_trial(cls, baseline: dict[str, Any], others: ValidationInfo) -> dict[str, Any]:
        if "plugins" not in others.data:  # which is said; what they have is not known
            return baseline
        if "seed" in baseline:
            raise refusal((("seed",), "cannot be set here; the study's 'seeds:' name the replicates"))
        try:
            TrialConfig.model_validate(baseline)
        except ValidationError as error:
            found = explain(error, TrialConfig)
            if others.data.get("contexts", ()) is not None:  # each of them may have what is missing
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
    def _validation_only(cls, metric: str, others: ValidationInfo) -> str:
        if "plugins" not in others.data or "measures" not in others.data:  # which is said
            return metric
        measured = directions(built(others.data["measures"]))
        allowed = [*METRICS, *(name for name in measured if not name.startswith("test_"))]
        if metric in allowed:
            return metric
        reason = suggestion(metric, allowed)
        if (measure := metric.removeprefix("validation_").removeprefix("test_")) in MEASURES:
            reason = f"; 'measures: [{measure}]' is missing" if measure not in others.data["measures"] else ""
        if "test" in metric:
            reason = ". The test split is read once, when all is decided, and never chooses"
        raise InputError(f"must be one of {', '.join(allowed)}; got {shown(metric)}{reason}")
