"""A study that is checked as a whole, with its arms by name."""

from typing import Any, Self

from pydantic import ModelWrapValidatorHandler, ValidationError, model_validator

from cktf.names import as_name
from cktf.study.consistency import find_problems
from cktf.study.designs import arm_named
from cktf.study.problems import StudyError, explain
from cktf.study.spec import StudySpec
from cktf.trainer.config import TrialConfig

PLACES = ("root", "checkpoint")
"""Settings whose text is the name of a file or folder, which is taken letter by letter; all other texts are names."""


class Study(StudySpec):
    """One study that is checked as a whole: its keys go together, and every arm is a valid trial.

    Raises:
        StudyError: If it is wrong; one line for each problem.
    """

    name: str = "study"
    """Name of the study; that of its file where the file gives none."""

    def arm(self, name: str, context: str | None = None) -> TrialConfig:
        """Return the configuration of an arm's trial, at seed 0.

        Args:
            name: The arm's name, or another name of an arm that trains alike; ``baseline`` for the baseline.
            context: Needed if the study has several.

        Raises:
            StudyError: If there is no such arm or context.
        """
        return arm_named(self, name, context).config

    @model_validator(mode="wrap")
    @classmethod
    def _goes_together(cls, values: Any, check: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            study = check(_with_names(values))
            problems = find_problems(study)
        except ValidationError as error:
            problems = explain(error, StudySpec)
        if problems:
            raise StudyError.of(problems)
        return study


def _with_names(value: Any, key: str = "") -> Any:
    """Return a part of a study with every text as `as_name` has it, but those that say where files are."""
    if key.rpartition(".")[2] in PLACES:
        return value
    if isinstance(value, dict):
        return {below: _with_names(each, below) for below, each in value.items()}
    if isinstance(value, list):
        return [_with_names(each, key) for each in value]
    return as_name(value) if isinstance(value, str) else value
