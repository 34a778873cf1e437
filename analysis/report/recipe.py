"""What was trained, in sentences: the baseline's recipe, its teachers, and in which settings each arm differs."""

from functools import partial
from typing import Any

import pandas as pd

from analysis.report.reading import teacher_columns
from analysis.statistics.any_table import of_fixed_arms

MOST_NAMED = 3
"""Largest number of different values, as of networks in different contexts, that are named one by one."""

MOST_ARMS, MOST_SETTINGS = 13, 40
"""Largest number of arms whose settings the methods paragraph names, and of settings that it names for each."""

_NO_SETTINGS = (".seed", "sha256", ".content", ".root", ".download", ".checkpoint")
"""Endings of the paths of settings that would not interest a reader."""

Phrases = tuple[tuple[str, str, str], ...]
"""Path in a configuration, the value that has no phrase, and the phrase for other values; shares are in per cent."""

_DATA: Phrases = (
    ("train_fraction", "100%", "{} of its training split"),
    ("tail", "1", "long-tailed by a factor of {}"),
    ("per_class", "", "at most {} of a class"),
    ("noise", "0%", "{} of the training labels wrong"),
    ("fold", "", "fold {}"),
)

_NETWORK: Phrases = (
    ("model", "", "{}"),
    ("width", "1", " at width {}"),
    ("weights", "", " with trained first weights"),
)

_LENGTH: Phrases = (
    ("epochs", "", " for {} epochs"),
    ("stop_after", "", " (stopped after epoch {})"),
    ("epoch", "", " (stopped after epoch {})"),
    ("train_fraction", "100%", " on {} of the training split"),
    ("batch_size", "", " in batches of {}"),
)

_OPTIMIZER: Phrases = (
    ("learning_rate", "", "learning rate {}"),
    ("momentum", "", "momentum {}"),
    ("nesterov", "false", "Nesterov's look-ahead"),
    ("betas", "0.9, 0.999", "betas [{}]"),
    ("weight_decay", "", "weight decay {}"),
    ("bias_decay", "true", "no decay of biases and norms"),
    ("head_learning_rate", "", "learning rate {} of the objectives' own parameters"),
    ("accumulate", "1", "a step for each {} batches"),
    ("clip_norm", "", "gradients clipped to a norm of {}"),
)

_ADDITIONS: Phrases = (
    ("objective.cross_entropy.smoothing", "0", "labels smoothed by {}"),
    ("augmentation.rand_augment.operations", "0", "RandAugment of {} operations"),
    ("augmentation.trivial_augment.strengths", "", "TrivialAugment of {} strengths"),
    ("augmentation.random_erasing.probability", "0", "random erasing with probability {}"),
    ("augmentation.mixup", "0", "mixup with alpha {}"),
    ("augmentation.cutmix", "0", "CutMix with alpha {}"),
    ("teacher_view", "same", "a view of its own for the teacher"),
    ("ema", "", "an exponential moving average of the student with decay {}"),
    ("judge", "student", "that average judged in its place"),
)


def recipe_text(trials: pd.DataFrame) -> str:
    """Return the recipe of the baseline, or of all arms where there is none; empty where it is not known."""
    is_baseline = trials["is_baseline"]
    configs = trials[is_baseline] if is_baseline.any() else trials
    value = partial(values_text, configs)
    if not (value("student.model") and value("data.name")):
        return ""
    whose = "The baseline's student" if is_baseline.any() else "The student"
    images = value("data.name") + (f" at {side} x {side} pixels" if (side := value("data.side")) else "")
    images += f" ({', '.join(changes)})" if (changes := _said(configs, _DATA, "data.")) else ""
    images += " without their labels" if value("task") == "transfer" else ""
    sentences = [
        f"{whose}, {_network(configs, 'student.')}, learns from the images of {images}{_length(configs, '')}"
        f", by {_by(value('optimizer.name'))}{_optimizer(configs, 'optimizer.')}."
    ]
    if additions := _said(configs, _ADDITIONS):
        sentences.append(f"Its recipe has {', '.join(additions)}.")
    if value("probe.epochs"):
        which = "the whole network" if value("probe.mode") == "full" else "a linear layer on it"
        sentences.append(
            f"Then {which} learns the labels{_length(configs, 'probe.')}{_optimizer(configs, 'probe.optimizer.')}."
        )
    source = f" of {value('source.name')}" if value("source.name") else ""
    uses = []
    for start in teacher_columns(configs):
        path = start.removeprefix("config.")
        name = path.removeprefix("teacher").removeprefix("s.").rstrip(".")  # empty for a single teacher
        of_files = configs.get(f"{start}checkpoint")
        is_read = configs.index.isin(() if of_files is None else of_files.dropna().index)
        for alike in (configs[~is_read], configs[is_read]):
            if not (network := _network(alike, path)):
                continue
            uses += [values_text(alike[alike[f"{start}model"].notna()], "teachers_as")] if name else []
            how = "was read from a file"
            if not values_text(alike, f"{path}checkpoint"):
                how = f"was trained{_length(alike, path)}{_optimizer(alike, f'{path}optimizer.')}"
            sentences.append(f"The teacher{f' {name}' if name else ''}{source}, {network}, {how} and is frozen.")
    for use in dict.fromkeys(uses):
        words = use.replace("mean", "the mean of their logits").replace("drawn", "one of them, drawn for each seed")
        sentences.append(f"Where teachers are several, a student learns from {words}.")
    return " ".join(sentences)


def arms_text(trials: pd.DataFrame) -> str:
    """Return the baseline's objective and each arm's other settings; empty if unknown or over `MOST_ARMS` arms."""
    fixed = of_fixed_arms(trials)
    arms = fixed[fixed["context"] == fixed["context"].iloc[0]].drop_duplicates("arm_id") if len(fixed) else fixed
    baseline = arms[arms["is_baseline"]]
    words = settings_of(arms)
    if words.empty or len(baseline) != 1 or len(arms) > MOST_ARMS:
        return ""
    plain, context = words.loc[baseline.index[0]], baseline["context"].iloc[0]
    own = plain[[name for name in map(str, words) if name.startswith("config.objective.") and plain[name]]]
    sentences = [f"The baseline's objective: {_settings(own)}."] if len(own) else []
    called = arms["arm"].to_dict()
    for index, arm in words.drop(baseline.index).iterrows():
        differ = arm[arm != plain]
        there = {_part_of(name) for name in map(str, words) if arm[name]}
        gone = sorted({_part_of(name) for name in differ[differ == ""].index} - there)
        said = [_settings(differ[differ != ""]), f"without {', '.join(gone)}" if gone else ""]
        if any(said):
            sentences.append(f"Arm {called[index]}: {', '.join(filter(None, said))}.")
    return (f"In {context}: " if context and sentences else "") + " ".join(sentences)


def settings_of(arms: pd.DataFrame) -> pd.DataFrame:
    """Return the settings of arms in words, a column ``config.<path>`` for each; empty where an arm has none."""
    names = [name for name in map(str, arms) if name.startswith("config.") and not name.endswith(_NO_SETTINGS)]
    return arms[names].astype(object).map(lambda value: "" if pd.isna(value) else _text(value, ""))


def setting_name(column: str) -> str:
    """Return the name of a setting as readers see it: the path in its column without ``config.objective.``."""
    return column.removeprefix("config.").removeprefix("objective.")


def _settings(values: "pd.Series[Any]") -> str:
    shown = [f"{setting_name(str(name))} = {text}" for name, text in values.items()]
    more = f" and {len(shown) - MOST_SETTINGS} more" if len(shown) > MOST_SETTINGS else ""
    return ", ".join(shown[:MOST_SETTINGS]) + more


def _part_of(name: str) -> str:
    """Return the objective, or other part, that a setting belongs to."""
    return ".".join(name.split(".")[1:3]).removeprefix("objective.")


def _said(configs: pd.DataFrame, phrases: Phrases, prefix: str = "") -> list[str]:
    """Return the phrases that apply to these configurations, with their values."""
    values = [(values_text(configs, prefix + path, unset[-1:]), unset, words) for path, unset, words in phrases]
    return [words.format(value) for value, unset, words in values if value not in ("", unset)]


def _network(configs: pd.DataFrame, prefix: str) -> str:
    """Return a network's name, with its width and first weights where these are not the usual ones."""
    return "".join(_said(configs, _NETWORK, prefix))


def _length(configs: pd.DataFrame, prefix: str) -> str:
    """Return for how many epochs and in which batches something was trained, as far as they are known."""
    return "".join(_said(configs, _LENGTH, prefix))


def _by(name: str) -> str:
    """Return an optimizer's name, or several, in words; an empty name, as in older configurations, means SGD."""
    return (name or "sgd").replace("adamw", "AdamW").replace("sgd", "stochastic gradient descent")


def _optimizer(configs: pd.DataFrame, prefix: str) -> str:
    """Return the settings of an optimizer and its schedule in parentheses, as far as they are known."""
    value = partial(values_text, configs)
    name, schedule = value(prefix + "name"), value(prefix + "schedule")
    found = [_by(name)] if name not in ("", "sgd") and prefix != "optimizer." else []
    found += _said(configs, tuple(of for of in _OPTIMIZER if of[0] != "momentum" or name != "adamw"), prefix)
    if schedule == "step":
        decay, milestones = value(prefix + "decay"), value(prefix + "milestones")
        by = f" by {decay}" if decay else ""
        found.append(f"step schedule{by}{f' at the fractions {milestones} of the epochs' if milestones else ''}")
    elif schedule:
        found.append(f"{schedule} schedule")
    found += _said(configs, (("warmup_epochs", "0", "{} epochs of warm-up"),), prefix)
    return f" ({', '.join(found)})" if found else ""


def values_text(configs: pd.DataFrame, path: str, unit: str = "") -> str:
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
    if pd.api.types.is_bool(value):
        return str(value).lower()
    return f"{value * 100:.4g}%" if unit == "%" else f"{value:.6g}"
