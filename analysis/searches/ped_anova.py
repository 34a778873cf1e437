"""PED-ANOVA by Optuna: the share of each factor in what sets the best arms apart (Watanabe, Bansal, Hutter 2023)."""

from collections.abc import Container, Sequence
from typing import Any, NamedTuple

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState


class Tried(NamedTuple):
    """One arm: its levels, the domain of each, and its loss (smaller is better)."""

    params: dict[str, Any]
    domains: dict[str, BaseDistribution]
    loss: float


def ped_anova(arms: Sequence[Tried], best: float) -> dict[str, float]:
    """Return factor -> share, for every factor that any arm has.

    Args:
        arms: Arms that were tried, some of them perhaps twice.
        best: Share of the arms, the best, that is compared with all.
    """
    study = Study("arms", _Arms(arms))
    return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=best))


class _Arms(InMemoryStorage):
    """A storage of one study, whose trials are the arms: adding them to a usual one takes longer than judging them."""

    def __init__(self, arms: Sequence[Tried]) -> None:
        super().__init__()
        self._trials = [
            FrozenTrial(
                number=number,
                trial_id=number,
                state=TrialState.COMPLETE,
                value=arm.loss,
                params=arm.params,
                distributions=arm.domains,
                datetime_start=None,
                datetime_complete=None,
                user_attrs={},
                system_attrs={},
                intermediate_values={},
            )
            for number, arm in enumerate(arms)
        ]

    def get_study_id_from_name(self, study_name: str) -> int:  # noqa: ARG002
        return 0

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:  # noqa: ARG002
        return [StudyDirection.MINIMIZE]

    def get_all_trials(
        self,
        study_id: int,  # noqa: ARG002
        deepcopy: bool = True,  # noqa: ARG002
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        return [trial for trial in self._trials if states is None or trial.state in states]
