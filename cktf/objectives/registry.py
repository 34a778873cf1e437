"""Every objective under the name that study files use, and the settings of a trial's objectives."""

from typing import Any

from pydantic import create_model, model_validator
from torch import nn

from cktf.errors import InputError, shown
from cktf.objectives.ab import AB
from cktf.objectives.at import AT
from cktf.objectives.catkd import CATKD
from cktf.objectives.cc import CC
from cktf.objectives.contrastive.cktf import CKTF
from cktf.objectives.contrastive.crd import CRD
from cktf.objectives.cross_entropy import CrossEntropy
from cktf.objectives.dist import DIST
from cktf.objectives.dkd import DKD
from cktf.objectives.fitnet import FitNet
from cktf.objectives.fsp import FSP
from cktf.objectives.ft import FT
from cktf.objectives.kd import KD
from cktf.objectives.nst import NST
from cktf.objectives.objective import BuildContext, Objective, ObjectiveSettings
from cktf.objectives.ofd import OFD
from cktf.objectives.pkt import PKT
from cktf.objectives.reviewkd import ReviewKD
from cktf.objectives.rkd import RKD
from cktf.objectives.simkd import SimKD
from cktf.objectives.sp import SP
from cktf.objectives.vid import VID
from cktf.seeding import initialisation
from cktf.settings import Settings

OBJECTIVES: dict[str, type[Objective]] = {
    "cross_entropy": CrossEntropy,
    "kd": KD,
    "fitnet": FitNet,
    "at": AT,
    "sp": SP,
    "cc": CC,
    "vid": VID,
    "rkd": RKD,
    "pkt": PKT,
    "ab": AB,
    "ft": FT,
    "fsp": FSP,
    "nst": NST,
    "crd": CRD,
    "cktf": CKTF,
    "dkd": DKD,
    "dist": DIST,
    "ofd": OFD,
    "reviewkd": ReviewKD,
    "simkd": SimKD,
    "catkd": CATKD,
}


class ChosenObjectives(Settings):
    """Base of `ObjectivesConfig`, for type checkers, which cannot see the fields made from the registry."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, values: Any) -> Any:
        for name in values if isinstance(values, dict) else ():
            if name not in OBJECTIVES:
                raise InputError(f"unknown objective {shown(name)}; known: {', '.join(OBJECTIVES)}")
        return values


_FIELDS: dict[str, Any] = {name: (method.Config | None, None) for name, method in OBJECTIVES.items()}

ObjectivesConfig = create_model(
    "ObjectivesConfig",
    __base__=ChosenObjectives,
    __doc__="Settings of each objective of a trial; None: not used.",
    **_FIELDS,
)


def active_objectives(config: ChosenObjectives) -> dict[str, tuple[type[Objective], ObjectiveSettings]]:
    """Return class and settings of each objective that has a part in the sum, in the registry's order."""
    settings: dict[str, ObjectiveSettings | None] = {name: getattr(config, name, None) for name in OBJECTIVES}
    return {name: (OBJECTIVES[name], chosen) for name, chosen in settings.items() if chosen and chosen.active}


def needs_teacher(config: ChosenObjectives) -> bool:
    """Return whether any active objective reads the teacher's activations."""
    return any(method.needs_teacher for method, _ in active_objectives(config).values())


def extends_student(config: ChosenObjectives) -> bool:
    """Return whether an active objective adds layers to the student (see `Objective.extend_student`)."""
    plain = getattr(Objective.extend_student, "__func__", None)
    methods = (method for method, _ in active_objectives(config).values())
    return any(getattr(method.extend_student, "__func__", None) is not plain for method in methods)


def extended_student(config: ChosenObjectives, student: nn.Module, given: BuildContext) -> nn.Module:
    """Return the network that is trained as the student (see `Objective.extend_student`).

    Raises:
        InputError: If two methods extend it, or one does beside an initial phase, which trains the stages alone.
    """
    active = active_objectives(config)
    networks = {}
    for name, (method, settings) in active.items():
        with initialisation(given.seed, "extension", name):
            networks[name] = method.extend_student(settings, student, given)
    extending = [name for name, network in networks.items() if network is not student]
    with_phase = [name for name, (_, settings) in active.items() if settings.phase_epochs]
    if extending and len(extending + with_phase) > 1:
        by, other, *_ = extending + with_phase
        what = "objective" if other in extending else "the initial phase of objective"
        raise InputError(
            f"objective.{by}: changes the student's classifier, with which {what}.{other} does not go; keep one"
        )
    return networks[extending[0]] if extending else student
