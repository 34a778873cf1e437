"""What was trained, and how: sentences of the methods paragraph, from the configurations of the trials."""

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MOST_NAMED = 3
"""Different values that are named side by side, as where contexts have networks of their own."""


def recipe_text(trials: "pd.DataFrame") -> str:
    """Return the recipe of the baseline, or of all arms where there is none; empty where it is not known.

    Args:
        trials: With a column ``config.<path>`` for each value of their configurations.
    """
    is_baseline = trials["is_baseline"]
    configs = trials[is_baseline] if is_baseline.any() else trials
    told = partial(_told, configs)
    if not (told("student.model") and told("data.name")):
        return ""
    whose = "The baseline's student" if is_baseline.any() else "The student"
    pixels = told("data.side")
    images = f"{told('data.name')}{f' at {pixels} x {pixels} pixels' if pixels else ''}"
    if told("data.train_fraction", "%") not in ("", "100%"):
        images += f" ({told('data.train_fraction', '%')} of its training split)"
    unlabelled = " without their labels" if told("task") == "transfer" else ""
    sentences = [
        f"{whose}, {told('student.model')}, learns from the images of {images}{unlabelled}{_length(configs, '')}"
        f", by stochastic gradient descent{_optimizer(configs, 'optimizer.')}."
    ]
    if told("probe.epochs"):
        which = "the whole network" if told("probe.mode") == "full" else "a linear layer on it"
        sentences.append(
            f"Then {which} learns the labels{_length(configs, 'probe.')}{_optimizer(configs, 'probe.optimizer.')}."
        )
    of_files = configs.get("config.teacher.checkpoint")
    is_read = configs.index.isin(() if of_files is None else of_files.dropna().index)
    for alike in (configs[~is_read], configs[is_read]):
        if _told(alike, "teacher.model"):
            sentences.append(_teacher_sentence(alike, told("source.name")))
    return " ".join(sentences)


def _teacher_sentence(configs: "pd.DataFrame", source: str) -> str:
    told = partial(_told, configs)
    knows = f" of {source}" if source else ""
    if told("teacher.checkpoint"):
        return f"The teacher{knows}, {told('teacher.model')}, was read from a file and is frozen."
    share = told("teacher.train_fraction", "%")
    of_split = "" if share in ("", "100%") else f" on {share} of the training split"
    return (
        f"The teacher{knows}, {told('teacher.model')}, was trained{_length(configs, 'teacher.', of_split)}"
        f"{_optimizer(configs, 'teacher.optimizer.')} and is frozen."
    )


def _length(configs: "pd.DataFrame", prefix: str, after_epochs: str = "") -> str:
    """Return for how many epochs and in which batches something was trained, as far as they are known."""
    epochs, batch_size = _told(configs, f"{prefix}epochs"), _told(configs, f"{prefix}batch_size")
    return (
        (f" for {epochs} epochs" if epochs else "")
        + after_epochs
        + (f" in batches of {batch_size}" if batch_size else "")
    )


def _optimizer(configs: "pd.DataFrame", prefix: str) -> str:
    """Return the settings of an optimizer and its schedule in parentheses, as far as they are known."""
    told = partial(_told, configs)
    parts = {"learning rate": "learning_rate", "momentum": "momentum", "weight decay": "weight_decay"}
    found = [f"{words} {told(prefix + name)}" for words, name in parts.items() if told(prefix + name)]
    if schedule := told(prefix + "schedule"):
        decay, milestones = told(prefix + "decay"), told(prefix + "milestones")
        at = (f" by {decay}" if decay else "") + (f" at the fractions {milestones} of the epochs" if milestones else "")
        found.append(f"{schedule} schedule{at if schedule == 'step' else ''}")
    if told(prefix + "warmup_epochs") not in ("", "0"):
        found.append(f"{told(prefix + 'warmup_epochs')} epochs of warm-up")
    return f" ({', '.join(found)})" if found else ""


def _told(configs: "pd.DataFrame", path: str, unit: str = "") -> str:
    """Return the different values at a path of the configurations, in words; empty where there are none."""
    values = configs.get(f"config.{path}")
    found = [] if values is None else list(dict.fromkeys(values.dropna()))
    if len(found) <= MOST_NAMED:
        return " or ".join(_text(value, unit) for value in found)
    if any(isinstance(value, str) for value in found):
        return f"one of {len(found)}"
    return f"{_text(min(found), unit)} to {_text(max(found), unit)}"


def _text(value: Any, unit: str) -> str:
    if isinstance(value, str):
        return value.strip("[]")
    return f"{value * 100:.4g}%" if unit == "%" else f"{value:.6g}"
