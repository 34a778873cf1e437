"""The weighted sum of a trial's objectives: the one place where weights are applied."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cktf.batch import Activations, Batch, NoRepresentation
from cktf.errors import InputError, shown
from cktf.objectives.objective import BuildContext, InitialPhase, Objective
from cktf.objectives.registry import ChosenObjectives, active_objectives
from cktf.objectives.schedules import LearnedValue, ScheduledValue, Value, value_of
from cktf.seeding import initialisation

NOTHING = Activations.of_readings({})
"""The activations of a network that does not run: reading any of them is an error."""


class WeightedSum(nn.Module):
    """All active objectives of one trial, with their heads and banks.

    Attributes:
        given: Networks, labels and seed that the objectives are built for.
        initial_phases: Name to initial phase, of the objectives that have one, in the registry's order.
        readings: The tensors that `forward` reads of the teacher; None if one of the objectives may read anything.
        matched: Layers of student and teacher that any of the objectives compares.
    """

    def __init__(self, config: ChosenObjectives, given: BuildContext) -> None:
        super().__init__()
        self.given = given
        self.initial_phases: dict[str, InitialPhase] = {}
        self._methods: dict[str, Objective] = {}
        self._factors: dict[str, tuple[Value, Value]] = {}
        for name, (method, settings) in active_objectives(config).items():
            try:
                # So that parts of a plug-in's method are initialised alike at each start, whatever else is built.
                with initialisation(given.seed, "objective", name):
                    self._methods[name] = objective = method(settings, given)
            except NoRepresentation as error:
                raise InputError(f"objective.{name}: {error}") from error
            weight = value_of(settings.weight)
            for term, factor in objective.term_weights.items():
                self._factors[f"{name}.{term}"] = weight, value_of(factor)
            if objective.initial is not None:
                self.initial_phases[name] = objective.initial
        methods = self._methods.values()
        listed = [method.readings for method in methods]
        united = dict.fromkeys(reading for readings in listed for reading in readings or ())
        self.readings = None if None in listed else tuple(united)
        self.matched = tuple(dict.fromkeys(pair for method in methods for pair in method.matched))
        self.objectives = nn.ModuleDict(self._methods)
        self._values = nn.ModuleList(value for values in self._factors.values() for value in values)

    @property
    def factors(self) -> dict[str, float | Tensor]:
        """Name of each term of `forward` to its current factor in the sum."""
        return {name: weight() * factor() for name, (weight, factor) in self._factors.items()}

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Set all schedules to an epoch (from 1) of the student's own phase of ``epochs``."""
        for module in self.modules():
            if isinstance(module, ScheduledValue):
                module.begin_epoch(epoch, epochs)

    def forward(
        self, student: Activations, teacher: Activations | None, batch: Batch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the sum to minimise and every unweighted term by name, ``kd.logits``, ``cktf.stage1``, scalars.

        All is computed in float32, whatever the networks' autocast is. ``teacher`` is None if no objective reads one.
        """
        return _sum(self._methods, self.factors, student, teacher or NOTHING, batch)

    def initial(
        self, name: str, student: Activations | None, teacher: Activations | None, batch: Batch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return sum and terms, as `forward`, of one objective's initial phase; the objective's ``weight`` has no part.

        ``student`` is None if the phase does not train the student.
        """
        phase = self.initial_phases[name]
        factors = {f"{name}.{term}": factor for term, factor in phase.term_weights.items()}
        return _sum({name: phase}, factors, student or NOTHING, teacher or NOTHING, batch)

    def draws(self, batch: Batch) -> Mapping[Any, Tensor]:
        """Return all random numbers that the objectives need for a batch, drawn beforehand (see `Objective.draws`)."""
        return {part: drawn for method in self._methods.values() for part, drawn in method.draws(batch).items()}

    def is_fused(self, device: torch.device) -> bool:
        """Return whether a fused kernel takes a part of any objective's work on a device."""
        return any(method.is_fused(device) for method in self._methods.values())

    @torch.no_grad()
    def learned(self) -> dict[str, float]:
        """Return the current value of each learned number by name, such as ``learned.kd.temperature``."""
        named = self.objectives.named_modules()
        return {f"learned.{name}": float(value()) for name, value in named if isinstance(value, LearnedValue)}

    @torch.no_grad()
    def health(self, student: Activations, teacher: Activations | None, batch: Batch) -> dict[str, Tensor]:
        """Return every objective's diagnostics (see `Objective.health`) as ``gap.cktf.stage1.teacher``, scalars."""
        with torch.autocast(batch.images.device.type, enabled=False):
            return {
                f"{measure}.{name}.{part}": value
                for name, method in self._methods.items()
                for part, values in method.health(student, teacher or NOTHING, batch).items()
                for measure, value in values.items()
            }

    def main_parameters(self) -> list[nn.Parameter]:
        """Return the parameters trained beside the student: all but those of initial phases."""
        initial = {id(p) for phase in self.initial_phases.values() for p in phase.parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in initial]


def _sum(
    methods: Mapping[str, Objective | InitialPhase],
    factors: Mapping[str, float | Tensor],
    student: Activations,
    teacher: Activations,
    batch: Batch,
) -> tuple[Tensor, dict[str, Tensor]]:
    with torch.autocast(batch.images.device.type, enabled=False):
        terms: dict[str, Tensor] = {}
        for name, method in methods.items():
            for term, value in method(student, teacher, batch).items():
                if term not in method.term_weights or not isinstance(value, Tensor) or value.dim():
                    raise InputError(
                        f"objective.{name}: forward must return scalar tensors by the names of its term_weights, "
                        f"{shown([*method.term_weights])}; got {term}: {shown(value)}"
                    )
                terms[f"{name}.{term}"] = value
        return torch.stack([factors[name] * value for name, value in terms.items()]).sum(), terms
