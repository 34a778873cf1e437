"""Smoke runs: a study from end to end on a few generated images, to see that it works before data or GPUs are there.

What runs is the study itself, with its arms, networks, objectives, batch sizes and negatives. Only the images are few
and generated, no phase has more than a few epochs, and gradients are clipped (`cktf.trainer.smoke`). The numbers that
come out mean nothing.
"""

from typing import Any

from cktf.study.designs import every_arm
from cktf.study.spec import StudySpec

MOST_SEEDS = 2
"""Replicates: as few as an interval can be made of."""

MANY_ARMS = 30
"""Arms, over all contexts, above which one replicate has to do."""

MOST_TRIALS = 6
"""Arms that a search tries."""


def smoke_study(spec: StudySpec) -> StudySpec:
    """Return the smoke run of a study: the study with few seeds, or few trials of a search, on one CPU a trial."""
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
