"""Inputs of a trial that are identified by a hash of their content: files of weights, a folder of the user's images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cktf.data.config import content_of
from cktf.models import ModelConfig
from cktf.trainer.config import TrialConfig
from cktf.trial.weights import content_digest

_HASHES = {"root": "content", "checkpoint": "sha256", "weights": "weights_sha256"}
"""Setting that names an input, to the setting that holds its hash."""


@dataclass(frozen=True, order=True)
class InputContent:
    """One external input of a trial: a file of weights, or the folder of a data set.

    ``key`` is the setting that names it, ``place`` its path, empty for the default folder; ``digest`` its hash, empty
    if it is identified by its path; ``dataset`` the data set's name, empty for a file of weights.
    """

    key: str
    place: str
    digest: str
    dataset: str = ""

    def here(self) -> str:
        """Return the hash of the content at the place on this machine; empty if nothing can be read there."""
        if self.dataset:
            return content_of(self.dataset, self.place or None) or ""
        return content_digest(self.place) or ""


def contents_of(config: TrialConfig) -> tuple[InputContent, ...]:
    """Return the inputs of a trial that are, or may be, identified by content."""
    named = [("data.root", config.data), ("source.root", config.source)]
    found = [
        InputContent(key, data.root or "", data.content or "", data.name) for key, data in named if data and data.is_own
    ]
    for key, teacher in config.teachers_by_key.items():
        if teacher.checkpoint is not None:
            found.append(InputContent(f"{key}.checkpoint", teacher.checkpoint, teacher.sha256 or ""))
    networks: dict[str, ModelConfig] = {"student": config.student, **config.teachers_by_key}
    for key, network in networks.items():
        if network.weights_file is not None:
            found.append(InputContent(f"{key}.weights", network.weights_file, network.weights_sha256 or ""))
    return tuple(found)


def with_contents(config: TrialConfig) -> TrialConfig:
    """Return the same trial with its files of weights and the user's images identified by content.

    What is not on this machine stays identified by its path.
    """
    changes: dict[str, dict[str, str | None]] = {}
    for each in contents_of(config):
        if not each.digest:
            part, _, key = each.key.rpartition(".")
            changes.setdefault(part, {})[_HASHES[key]] = each.here() or None
    parts = {**dict(config), **config.teachers_by_key}
    changed: dict[str, Any] = {part: parts[part].model_copy(update=values) for part, values in changes.items()}
    if config.teachers:
        named = config.teachers.items()
        changed["teachers"] = {name: changed.pop(f"teachers.{name}", teacher) for name, teacher in named}
    return config.model_copy(update=changed)


def trial_config(mapping: Mapping[str, Any]) -> TrialConfig:
    """Return the checked configuration of a mapping, with its inputs identified by content."""
    return with_contents(TrialConfig.model_validate(mapping))
