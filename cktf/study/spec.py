"""One study and what follows from its keys: its baselines, factors, columns and seeds."""

import re
from functools import cached_property
from typing import Any

from cktf.epoch_result import MEASURE
from cktf.looks import Race
from cktf.measures import Measure, OfPredictions
from cktf.measures.registry import built, directions
from cktf.rows import Alternative
from cktf.seeding import derive
from cktf.settings import LARGEST_SEED
from cktf.study.domains import drawing_order
from cktf.study.fractional import Fraction, smallest_fraction
from cktf.study.keys import METRICS, StudyKeys
from cktf.study.paths import lay_over, leaves
from cktf.trainer.config import TrialConfig
from cktf.trainer.train import TrainOptions
from cktf.trial.content import trial_config

DESIGNS = ("ablate", "compare", "leave_one_out", "grid", "fractional", "search")
"""Keys of which a study has exactly one."""

BY_PATH = ("ablate", "leave_one_out", "grid", "fractional", "search")
"""Designs whose own keys are dotted paths."""


class StudySpec(StudyKeys):
    """The settings of one study. `cktf.study.load` also checks that they are consistent."""

    @property
    def kind(self) -> str:
        """The study's key among `DESIGNS`."""
        return next(key for key in DESIGNS if getattr(self, key) is not None)

    @property
    def design(self) -> str:
        """The design's name, such as ``one_at_a_time`` or ``search``."""
        return "one_at_a_time" if self.kind == "ablate" else self.kind

    def train_options(self, **others: bool) -> TrainOptions:
        """Return the options of this study's trials; ``others`` are the fields that the study does not set."""
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
    def metrics(self) -> tuple[str, ...]:
        """The metrics that decide the study; effects and verdicts are of the first."""
        return (self.metric,) if isinstance(self.metric, str) else self.metric

    @cached_property
    def directions(self) -> dict[str, bool]:
        """Table column of each metric to whether larger is better, in the order of the metrics."""
        measured = directions(self.built_measures)
        own = {name: METRICS[name] == "max" if name in METRICS else measured[name] for name in self.metrics}
        return {f"{'' if name in METRICS else MEASURE}{name}": larger for name, larger in own.items()}

    @property
    def maximise(self) -> bool:
        """Whether a larger value of the first metric is better."""
        return next(iter(self.directions.values()))

    @property
    def report_metric(self) -> str:
        """The first metric as design and confirm trials report it: on the test split, if it is measured on a split."""
        return re.sub("^validation_", "test_", self.metrics[0])

    @property
    def looked(self) -> Race:
        """The question that a race tests at its looks."""
        assert self.race is not None
        sign = 0
        if self.alternative != Alternative.TWO_SIDED:
            sign = 1 if (self.alternative == Alternative.BETTER) == self.maximise else -1
        return Race(self.race.looks, self.race.spending, sign, self.margin or 0.0, self.delta)

    @property
    def columns(self) -> tuple[str, str]:
        """Columns of tables with the first metric and with the `report_metric`."""
        column = next(iter(self.directions))
        return column, column.removesuffix(self.metrics[0]) + self.report_metric

    @property
    def metric_is_of_every_epoch(self) -> bool:
        """Whether the first metric is measured after each epoch, not after the last one alone."""
        measure = self.built_measures.get(self.metrics[0].removeprefix("validation_"))
        return self.metrics[0] in METRICS or (isinstance(measure, OfPredictions) and measure.every_epoch)

    def training_seed(self, seed: int, context: str) -> int:
        """Return the seed of a trial's random numbers, for one of the study's seeds.

        It is that seed itself, or with ``seeds_by_context`` one of a block that depends on the context's name.
        """
        first = derive(0, "context", context) if self.seeds_by_context else 0
        return (first + seed) % (LARGEST_SEED + 1)

    @property
    def confirm_seeds(self) -> tuple[int, ...]:
        """The fresh seeds of the confirm stage; empty if there is no such stage."""
        if self.confirm is None:
            return ()
        first = max(self.seeds) + 1
        return tuple(range(first, first + self.confirm.seeds))
