"""Types of the fixtures that make specs, trials and results, and of a cluster."""

from collections.abc import Callable

from cktf.rows import EpochResult
from cktf.study.spec import StudySpec
from cktf.trainer.config import TrialConfig

MakeSpec = Callable[..., StudySpec]
MakeTrial = Callable[..., TrialConfig]
MakeResult = Callable[..., EpochResult]
RunToEnd = Callable[..., list[str]]
FindProcesses = Callable[..., list[int]]
Cluster = tuple[str, Callable[[], int], dict[str, str]]
