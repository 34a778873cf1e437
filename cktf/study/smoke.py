"""Smoke runs: a study from end to end on a few generated images, to test it before data or GPUs are available.

Arms, networks, objectives, batch sizes and negatives are those of the study. Only the images are few and generated, no
phase has more than a few epochs, and gradients are clipped (`cktf.trainer.smoke`). The numbers mean nothing.
"""

from typing import Any

from cktf.study.designs import every_arm
from cktf.study.spec import StudySpec

MOST_SEEDS = 2
"""Largest number of seeds; an interval needs two."""

MANY_ARMS = 30
"""Number of arms, over all contexts, above which there is one seed."""

MOST_TRIALS = 6
"""Largest number of arms that a search tries."""


def smoke_study(spec: StudySpec) -> StudySpec:
    """Return the smoke run of a study: few seeds, few trials of a search, and one CPU per trial."""
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
