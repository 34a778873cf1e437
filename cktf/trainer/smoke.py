"""The small version of a trial for smoke runs: few generated images, few epochs, clipped gradients."""

from cktf.trainer.config import TrialConfig

MOST_EPOCHS = 2
"""Epochs of a student, of a teacher and of every other phase."""

LARGEST_NORM = 1.0
"""Norm at which gradients are clipped. A teacher's batch-norm has seen only a few steps, so its activations may be of
any size, and methods that match them would diverge."""


def smoke_trial(config: TrialConfig) -> TrialConfig:
    """Return the small version of a trial.

    Generated data are part of the identity of a trial and of its teacher, so neither is ever taken for a real one. A
    teacher from a file is trained instead, because the file may be missing.
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
