"""The settings of a study's sections: published values, resources, confirmation, seeds, contrasts and levels."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from cktf.errors import InputError, shown
from cktf.looks import Spending
from cktf.names import BASELINE
from cktf.settings import Seed, Settings
from cktf.study.problems import UNION_TAG, refusal


class Published(Settings):
    """A published mean of several runs."""

    value: float
    """The mean."""

    sd: float = Field(gt=0, allow_inf_nan=False)
    """Standard deviation of the runs."""

    n: int = Field(ge=2)
    """Number of runs."""


def _member(value: Any) -> str:
    """Return the union tag of an arm's published value: that of a `Published` or of a number."""
    return f"{'published' if isinstance(value, Published | Mapping) else 'number'} {UNION_TAG}"


def _member_or_arms(value: Any) -> str:
    return f"arms {UNION_TAG}" if isinstance(value, Mapping) and "value" not in value else _member(value)


_Number = Annotated[float, Tag(f"number {UNION_TAG}")]
_Published = Annotated[Published, Tag(f"published {UNION_TAG}")]
_Value = Annotated[_Number | _Published, Discriminator(_member)]
_OfArms = Annotated[dict[str, _Value], Tag(f"arms {UNION_TAG}")]


class Reference(Settings):
    """Published values, shown beside a study's own numbers and never mixed with them."""

    source: str = Field(min_length=1)
    """The publication: a citation, and the table in it."""

    metric: str = "test_accuracy"
    """Field of `cktf.epoch_result.EpochResult` that the values are of, in its unit; the study must report the same."""

    values: dict[str, Annotated[_Number | _Published | _OfArms, Discriminator(_member_or_arms)]] = Field(min_length=1)
    """Context to arm to value, or to ``{value: 74.9, sd: 0.2, n: 5}``; in a study without contexts, arm to value."""

    teacher: float | dict[str, float] | None = None
    """Context to the value of its teacher; in a study without contexts, the value."""

    def by_context(self) -> dict[str, dict[str, float | Published]]:
        """Return context to arm to value; values without a context are under ''."""
        nested = {key: value for key, value in self.values.items() if isinstance(value, dict)}
        flat = {key: value for key, value in self.values.items() if not isinstance(value, dict)}
        return {"": flat, **nested} if flat else nested

    def teachers(self) -> dict[str, float]:
        """Return context to the value of its teacher; without contexts under ''."""
        if self.teacher is None:
            return {}
        return self.teacher if isinstance(self.teacher, dict) else {"": self.teacher}


MOST_SEEDS = 1000
"""Largest number of seeds of a study; the bound catches typing errors."""


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
            allowed = f"0, or {self.workers}, one for each of 'workers:', or for one worker a fraction below 1"
            raise refusal((("gpus",), f"must be {allowed}; got {self.gpus:g}"))
        return self


class Confirm(Settings):
    """Confirmation after a search: the best arms and the baseline are trained again, on fresh seeds."""

    top: int = Field(default=3, ge=1)
    """Number of best arms. With several metrics, number of arms on the Pareto front; if it has more, its ends and those
    furthest apart by crowding distance are taken (see `cktf.pareto.spread`)."""

    seeds: int = Field(default=5, ge=1, le=MOST_SEEDS)
    """Number of fresh seeds of each arm, which the search has not used."""


class RaceConfig(Settings):
    """Interim looks at a running study: arms that are decided, or hopeless, get no more seeds."""

    looks: tuple[Annotated[int, Field(ge=2, le=MOST_SEEDS)], ...] = Field(
        default=(5, 8, 12, 20), min_length=2, max_length=100
    )
    """Numbers of seeds, increasing, at which all arms that still run are judged. The last one is the study's number of
    seeds."""

    spending: Spending = Spending.POWER2
    """How much of the level early looks may use: `power2`, a share by the square of the seeds; `obrien_fleming`, hardly
    any; `pocock`, much. An arm that clears its limit at a look is decided there."""

    futility: float = Field(default=0.1, ge=0, le=0.5)
    """An arm gets no more seeds if its probability of being decided at the last look, estimated from the results so
    far, is below this; 0: no arm is stopped for futility."""

    @field_validator("looks")
    @classmethod
    def _increasing(cls, looks: tuple[int, ...]) -> tuple[int, ...]:
        if any(after <= before for before, after in pairwise(looks)):
            raise InputError(f"must increase from look to look; got {shown(list(looks))}")
        return looks


def _listed(seeds: Any) -> Any:
    """Return a number of seeds as the seeds from 0 on; a list stays as it is."""
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        if not 1 <= seeds <= MOST_SEEDS:
            raise InputError(f"must be between 1 and {MOST_SEEDS}, or a list of seeds; got {seeds}")
        return tuple(range(seeds))
    if not isinstance(seeds, list | tuple):
        raise InputError(f"must be a whole number of seeds, or a list of them; got {shown(seeds)}")
    return seeds


_several = Field(min_length=1, max_length=MOST_SEEDS)
_Written = Annotated[int, Field(ge=1, le=MOST_SEEDS)] | Annotated[list[Seed], _several]
Seeds = Annotated[tuple[Seed, ...], _several, BeforeValidator(_listed, json_schema_input_type=_Written)]


def _pairs(contrasts: Any) -> Any:
    """Return contrasts as lists of names; the name of the baseline may stand alone."""
    if not isinstance(contrasts, list | tuple):
        raise InputError(f"must be a list of pairs of arms, and of the word {BASELINE}; got {shown(contrasts)}")
    return [[BASELINE] if contrast == BASELINE else contrast for contrast in contrasts]


Contrast = Annotated[tuple[str, ...], Field(min_length=1, max_length=2)]
Contrasts = Annotated[
    tuple[Contrast, ...], BeforeValidator(_pairs, json_schema_input_type=list[Contrast | Literal["baseline"]])
]
Levels = Annotated[list[Any], Field(min_length=1)]
TwoLevels = Annotated[list[Any], Field(min_length=2, max_length=2)]
