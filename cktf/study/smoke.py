"""Smoke runs: a study from end to end on a few generated images, to see that it works before data or GPUs are there.

What runs is the study itself, with its arms, networks, objectives, batch sizes and negatives. Only the images are few
and generated, no phase has more than `MOST_EPOCHS`, and gradients are clipped. The numbers that come out mean nothing.
"""

from typing import TYPE_CHECKING, Any

from cktf.trainer.config import TrialConfig

if TYPE_CHECKING:  # these modules plan a smoke run as well, so they import this one
    from cktf.study.spec import StudySpec

MOST_EPOCHS = 2
"""Epochs of a student, of a teacher and of every phase that has its own: one after the other can be told apart."""

LARGEST_NORM = 1.0
"""Norm of the gradients, by which larger ones are clipped: the batch-norm of a teacher knows nothing yet after a few
steps, so its activations may be of any size, and methods that match them would diverge."""

MOST_SEEDS = 2
"""Replicates: as few as an interval can be made of."""

MANY_ARMS = 30
"""Arms, over all contexts, above which one replicate has to do."""

MOST_TRIALS = 6
"""Arms that a search tries."""


def smoke_study(spec: "StudySpec") -> "StudySpec":
    """Return the smoke run of a study: the study with few seeds, or few trials of a search, on one CPU a trial."""
    from cktf.study.designs import every_arm  # here, since that module plans smoke runs as well

    seeds = MOST_SEEDS if len(every_arm(spec)) <= MANY_ARMS else 1
    changes: dict[str, Any] = {
        "smoke": True,
        "seeds": spec.seeds[:seeds],
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
        if values[data]:
            values[data] |= {"generated": True, "root": None, "download": False, "content": None}
    if values["teacher"]:
        values["teacher"] |= {"checkpoint": None, "sha256": None, "accept_any": False}
    for phase in (values, values["teacher"], values["probe"]):
        if phase:
            phase["epochs"] = min(phase["epochs"], MOST_EPOCHS)
            optimizer = phase["optimizer"]
            optimizer["warmup_epochs"] = min(optimizer["warmup_epochs"], phase["epochs"] - 1)
            optimizer["clip_norm"] = min(optimizer["clip_norm"] or LARGEST_NORM, LARGEST_NORM)
    for settings in values["objective"].values():
        if settings and "initial_epochs" in settings:
            settings["initial_epochs"] = min(settings["initial_epochs"], MOST_EPOCHS)
    values["compile"] = False
    return TrialConfig.model_validate(values)
