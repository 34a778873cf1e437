"""Smoke runs: a study from end to end on a few generated images, to see that it works before data or GPUs are there.

What runs is the study itself, with its arms, networks, objectives, batch sizes and negatives. Only the images are few
and generated, and no phase has more than `MOST_EPOCHS`. The numbers that come out mean nothing.
"""

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from cktf.trainer.config import TrialConfig

if TYPE_CHECKING:  # these modules plan a smoke run as well, so they import this one
    from cktf.study.designs import Arm
    from cktf.study.spec import StudySpec

MOST_EPOCHS = 2
"""Epochs of a student, of a teacher and of every phase that has its own: one after the other can be told apart."""

MOST_SEEDS = 2
"""Replicates: as few as an interval can be made of."""

MOST_TRIALS = 6
"""Arms that a search tries."""

MOST_ARMS = 24
"""Arms that are trained in a study's first context."""


def smoke_study(spec: "StudySpec") -> "StudySpec":
    """Return the smoke run of a study: the study with few seeds and trials, one CPU a trial, and `smoke` set."""
    changes: dict[str, Any] = {
        "smoke": True,
        "seeds": spec.seeds[:MOST_SEEDS],
        "resources": spec.resources.model_copy(update={"gpus": 0.0, "cpus": 1.0, "workers": 1}),
    }
    if spec.search is not None:
        changes["trials"] = min(spec.trials, MOST_TRIALS)
    if spec.confirm is not None:
        few = {"top": min(spec.confirm.top, 1), "seeds": min(spec.confirm.seeds, MOST_SEEDS)}
        changes["confirm"] = spec.confirm.model_copy(update=few)
    return spec.model_copy(update=changes)


def smoke_trial(config: TrialConfig) -> TrialConfig:
    """Return the small version of a trial.

    That its data are generated is part of its identity and of its teacher's: neither is ever taken for a real one. A
    teacher from a file is trained instead, for the file may not be there either.
    """
    values = config.model_dump()
    for data in ("data", "source"):
        if values.get(data):
            values[data] |= {"generated": True, "root": None, "download": False}
    if values["teacher"]:
        values["teacher"] |= {"checkpoint": None, "sha256": None}
    for phase in (values, values["teacher"], values.get("probe")):
        if phase:
            phase["epochs"] = min(phase["epochs"], MOST_EPOCHS)
            optimizer = phase["optimizer"]
            optimizer["warmup_epochs"] = min(optimizer["warmup_epochs"], phase["epochs"] - 1)
    for settings in values["objective"].values():
        if settings and "initial_epochs" in settings:
            settings["initial_epochs"] = min(settings["initial_epochs"], MOST_EPOCHS)
    values["compile"] = False
    return TrialConfig.model_validate(values)


def trained_in_smoke(arms: Sequence["Arm"]) -> tuple["Arm", ...]:
    """Return those of a study's arms that its smoke run trains, in their order.

    In the first context all of them, or of more than `MOST_ARMS` as many, evenly spread; in every other context the
    baseline and the last arm. Of arms that differ in what a smoke run has not, the first is trained.

    Args:
        arms: All of them in their small version, context by context, the baseline of each first.
    """
    different: dict[str, Arm] = {}
    for arm in arms:
        different.setdefault(arm.arm_id, arm)
    contexts: dict[str, list[Arm]] = {}
    for arm in different.values():
        contexts.setdefault(arm.context, []).append(arm)
    first, *others = contexts.values()
    return tuple(chain(_spread(first, MOST_ARMS), *(_spread(of_context, 2) for of_context in others)))


def _spread(arms: Sequence["Arm"], most: int) -> list["Arm"]:
    """Return at most so many arms, evenly spread, the first and the last among them."""
    if len(arms) <= most:
        return list(arms)
    return [arms[round(number * (len(arms) - 1) / (most - 1))] for number in range(most)]
