"""Types of the fixtures that make specs, trials and results, and of a cluster."""

from collections.abc import Callable
from typing import Any

from cktf.epoch_result import EpochResult
from cktf.study.spec import StudySpec
from cktf.trainer.config import TrialConfig

MakeSpec = Callable[..., StudySpec]
MakeTrial = Callable[..., TrialConfig]
MakeResult = Callable[..., EpochResult]
RunToEnd = Callable[..., list[str]]
FindProcesses = Callable[..., list[int]]


def parts(config: TrialConfig) -> Any:
    """The settings of a trial's objectives, whose fields a type checker cannot see."""
    return config.objective


Cluster = tuple[str, Callable[[], int], dict[str, str]]
