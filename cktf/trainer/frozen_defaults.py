"""The default of every setting of a trial at the time the setting was introduced.

Identities hash the settings that differ from this table (see `cktf.trainer.identity`). Changing or removing an entry
would change the identities of existing trials: finished trials would be planned again, and cached teachers not found.
If a default changes in the code, its entry here stays: a trial with the new default is then another trial.

A new setting gets an entry in its section with its present default, in the code that introduces it.
"""

from typing import Any

_OPTIMIZERS = ("optimizer", "teacher.optimizer", "probe.optimizer")
_AUGMENTATIONS = ("augmentation", "probe.augmentation")


def _in(*sections: str, **defaults: Any) -> dict[str, Any]:
    """Return path -> default, such as ``data.root`` -> None, with the same defaults in each of the sections."""
    return {f"{section}.{name}": default for section in sections for name, default in defaults.items()}


def _optional(*sections: str, **defaults: Any) -> dict[str, Any]:
    """Return `_in` for sections that are absent by default: None is the default of each section itself."""
    return dict.fromkeys(sections) | _in(*sections, **defaults)


FROZEN_DEFAULTS: dict[str, Any] = {
    "task": "distill",
    "source": None,
    **_in("data", "source", root=None, download=False, generated=False, content=None, side=None, crop_from=None),
    **_in("data", "source", train_fraction=1.0, validation_fraction=0.1, verify=True, per_class=None, tail=1.0),
    **_in("data", "source", noise=0.0, fold=None, test_classes="all"),
    "teacher": None,
    "teachers": None,
    "teachers_as": "mean",
    **_in("student", "teacher", width=1.0, stem=None, stages=None, penultimate=None, weights=None, weights_sha256=None),
    **_in("teacher", checkpoint=None, sha256=None, mean=None, std=None, classes=None, accept_any=False),
    **_in("teacher", epochs=240, epoch=None, batch_size=64, train_fraction=1.0, precision="auto", seed=0),
    "epochs": 240,
    "stop_after": None,
    "batch_size": 64,
    "teacher_view": "same",
    "ema": None,
    "judge": "student",
    "precision": "auto",
    "compile": False,
    "sync_batch_norm": False,
    "probe": None,
    **_in("probe", mode="linear", epochs=100, batch_size=64),
    **{section: {} for section in (*_OPTIMIZERS, *_AUGMENTATIONS)},
    **_in(*_OPTIMIZERS, name="sgd", learning_rate=0.05, momentum=0.9, nesterov=False, betas=[0.9, 0.999]),
    **_in(*_OPTIMIZERS, weight_decay=0.0005, bias_decay=True, head_learning_rate=None),
    **_in(*_OPTIMIZERS, schedule="step", milestones=[0.625, 0.75, 0.875], decay=0.1, warmup_epochs=0),
    **_in(*_OPTIMIZERS, clip_norm=None, accumulate=1),
    **_in(*_AUGMENTATIONS, crop=None, resized_crop=None, flip=None, mixup=0.0, cutmix=0.0, mix_probability=1.0),
    **_optional(*(f"{section}.rand_augment" for section in _AUGMENTATIONS), operations=2, magnitude=9),
    **_optional(*(f"{section}.trivial_augment" for section in _AUGMENTATIONS), strengths=31),
    **_optional(
        *(f"{section}.random_erasing" for section in _AUGMENTATIONS), probability=0.5, largest=0.4, fill="random"
    ),
    **_optional("objective.cross_entropy", weight=1.0, smoothing=0.0),
    **_optional("objective.kd", weight=1.0, temperature=4.0, standardize=False),
    **_optional("objective.fitnet", weight=100.0, stage=2),
    **_optional("objective.at", weight=1000.0, power=2),
    **_optional("objective.sp", weight=3000.0),
    **_optional("objective.cc", weight=0.02, dim=128),
    **_optional("objective.vid", weight=1.0, initial_variance=5.0, smallest_variance=1e-05),
    **_optional("objective.rkd", weight=1.0, distance=25.0, angle=50.0),
    **_optional("objective.pkt", weight=30000.0),
    **_optional("objective.ab", "objective.ft", "objective.fsp", initial_epochs=30, initial_learning_rate=None),
    **_in("objective.ab", weight=1.0, margin=1.0, maps="preactivation"),
    **_in("objective.ft", weight=200.0, initial_learning_rate=0.01, rate=0.5, power=2, exponent=1),
    **_in("objective.fsp", weight=50.0),
    **_optional("objective.nst", weight=50.0),
    **_optional("objective.crd", "objective.cktf", temperature=0.1, negatives=16384, source="sampled", labels=True),
    **_in("objective.crd", "objective.cktf", estimator="nce", critic="cosine", positives="own", hardness=0.0),
    **_in("objective.crd", "objective.cktf", teacher_threshold=None, momentum=0.5, bank_precision="float32"),
    **_in("objective.crd", "objective.cktf", dim=128, head="linear", depth=2, width=None, norm="none"),
    **_in("objective.crd", "objective.cktf", unit_length=True),
    **_in("objective.crd", weight=0.8),
    **_in("objective.cktf", weight=1.0, beta=0.8, theta=0.1, pairing="last", normalize="batch", transform="map"),
    "objective.cktf.pairs": [],
    **_in("objective.cktf.pairs[]", weight=1.0, dim=None, temperature=None, negatives=None),
    **_optional("objective.dkd", weight=1.0, alpha=1.0, beta=8.0, temperature=4.0, warmup_epochs=20, standardize=False),
    **_optional("objective.dist", weight=2.0, beta=1.0, gamma=1.0, temperature=4.0),
    **_optional("objective.ofd", weight=0.001, kernel_size=1),
    **_optional("objective.reviewkd", weight=5.0, warmup_epochs=20),
    **_optional("objective.simkd", weight=1.0, factor=2),
    **_optional("objective.catkd", weight=15.0, resolution=2, normalize=False),
}
"""Path in a trial's configuration to its first default; `{}` is a section that exists by default, and `[]` in a path
stands for every entry of a list."""
