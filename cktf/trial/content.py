"""Inputs of a trial that are identified by a hash of their content: a teacher's file, a folder of the user's images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cktf.data.config import content_of
from cktf.trainer.config import TrialConfig
from cktf.trial.weights import content_digest

TEACHER = "teacher.checkpoint"


@dataclass(frozen=True, order=True)
class InputContent:
    """One external input of a trial: a file or folder.

    Attributes:
        key: Key of the configuration that names it.
        place: Configured path; empty when the default folder is used.
        digest: Its hash; empty if it is identified by its path.
        dataset: Name of the data set; empty for a teacher's file.
    """

    key: str
    place: str
    digest: str
    dataset: str = ""

    def here(self) -> str:
        """Return the hash of the content at the place on this machine; empty if nothing can be read there."""
        if self.key == TEACHER:
            return content_digest(self.place) or ""
        return content_of(self.dataset, self.place or None) or ""


def contents_of(config: TrialConfig) -> tuple[InputContent, ...]:
    """Return the inputs of a trial that are, or may be, identified by content."""
    named = [("data.root", config.data), ("source.root", config.source)]
    found = [
        InputContent(key, data.root or "", data.content or "", data.name) for key, data in named if data and data.is_own
    ]
    if config.teacher and config.teacher.checkpoint is not None:
        found.append(InputContent(TEACHER, config.teacher.checkpoint, config.teacher.sha256 or ""))
    return tuple(found)


def with_contents(config: TrialConfig) -> TrialConfig:
    """Return the same trial with its teacher's file and the user's images identified by content.

    What is not on this machine stays identified by its path.
    """
    changes: dict[str, Any] = {"data": config.data.with_content()}
    if config.source:
        changes["source"] = config.source.with_content()
    teacher = config.teacher
    if teacher and teacher.checkpoint is not None and teacher.sha256 is None:
        digest = content_digest(teacher.checkpoint)
        changes["teacher"] = teacher.model_copy(update={"sha256": digest})
    return config.model_copy(update=changes)


def trial_config(mapping: Mapping[str, Any]) -> TrialConfig:
    """Return the checked configuration of a mapping, with its inputs identified by content.

    Raises:
        pydantic.ValidationError: If it is no valid configuration.
    """
    return with_contents(TrialConfig.model_validate(mapping))
