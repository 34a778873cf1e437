"""What Optuna knows of a search: which arm to try next, and whether one is worth its remaining epochs.

Optuna's study lives in memory and is rebuilt from the ledger at every start, by asking again in the ledger's
order with the recorded values. So it stands as it stood when the driver was lost, the samplers' own notes
included (generations, positions in a sequence, covariances), and no file of Optuna's can contradict the
ledger. Suggestions that were set aside, because their arm was known, are the one thing that is not asked
again.
"""

import logging
import warnings
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
)
from optuna.samplers import (
    BaseSampler,
    BruteForceSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import FrozenTrial, Trial, TrialState

from cktf.rows import Scalar, Status
from cktf.seeding import derive
from cktf.study.domains import ChoiceDomain, Domain, FloatDomain, choice_label, draw
from cktf.study.spec import StudySpec

OWN_ATTEMPTS = 10
"""Suggestions in a row of arms that are known, or cannot be, after which the sampler is helped out."""

ATTEMPTS = 100
"""The same, after which a search counts as exhausted."""

POPULATION = 16
"""NSGA-II's generation: Optuna's 50 would make most searches of students a purely random one."""

WARM_UP_EPOCHS = 3
"""Epochs before which no arm is pruned: the first ones say little about a student."""

_TOLD = {
    Status.COMPLETE: TrialState.COMPLETE,
    Status.PRUNED: TrialState.PRUNED,
    Status.FAILED: TrialState.FAIL,
}


class _Exhaustive(BruteForceSampler):
    """Brute force for ask and tell: there is no loop that it could stop when everything has been tried."""

    def after_trial(self, *_: Any) -> None:
        """Do nothing."""


def _tpe(seed: int, _: int) -> BaseSampler:
    # The constant liar keeps trials that run at the same time from all looking in the same place.
    return TPESampler(seed=seed, multivariate=True, constant_liar=True)


def _gp(seed: int, _: int) -> BaseSampler:
    return GPSampler(seed=seed, warn_independent_sampling=False)


def _nsgaii(seed: int, _: int) -> BaseSampler:
    return NSGAIISampler(seed=seed, population_size=POPULATION)


def _cmaes(seed: int, _: int) -> BaseSampler:
    return CmaEsSampler(seed=seed, warn_independent_sampling=False)


def _qmc(seed: int, of_search: int) -> BaseSampler:
    # Its one warning without a switch is that a space has conditions. What they hide, it draws at random.
    logging.getLogger(QMCSampler.__module__).setLevel(logging.ERROR)
    return QMCSampler(
        seed=of_search,  # one sequence for the whole search; only its position moves
        scramble=True,
        independent_sampler=RandomSampler(seed=seed),
        warn_independent_sampling=False,
    )


def _random(seed: int, _: int) -> BaseSampler:
    return RandomSampler(seed=seed)


def _bruteforce(seed: int, _: int) -> BaseSampler:
    return _Exhaustive(seed=seed)


SAMPLERS: dict[str, Callable[[int, int], BaseSampler]] = {
    "tpe": _tpe,
    "gp": _gp,
    "nsgaii": _nsgaii,
    "cmaes": _cmaes,
    "qmc": _qmc,
    "random": _random,
    "bruteforce": _bruteforce,
}
"""Name to what makes a sampler of two seeds: that of one arm's draws, and that of the whole search."""

_KEEP_NOTES = {"nsgaii", "cmaes", "qmc"}
"""Samplers that write down what they did besides the values; asking again makes them write it again."""


ARM = "arm"
"""What an arm's own number is noted as, which does not count suggestions that were set aside."""


class _Hyperband(HyperbandPruner):
    """Hyperband that sorts arms into brackets by their own numbers, which are the same when a ledger is replayed.

    Attributes:
        upcoming: Number of the arm that is being asked for.
    """

    upcoming = 0

    def _get_bracket_id(self, study: optuna.Study, trial: FrozenTrial) -> int:
        numbered = copy(trial)
        numbered.number = trial.user_attrs.get(ARM, self.upcoming)
        return super()._get_bracket_id(study, numbered)


def _warm_up(epochs: int) -> int:
    # A rule that asks anew after each epoch ends most good arms, too, where curves cross; the later half crosses less.
    return max(WARM_UP_EPOCHS, epochs // 2)


PRUNERS: dict[str, Callable[[int], BasePruner]] = {
    "none": lambda _: NopPruner(),
    "median": lambda epochs: MedianPruner(n_startup_trials=5, n_warmup_steps=_warm_up(epochs)),
    "percentile": lambda epochs: PercentilePruner(25.0, n_startup_trials=5, n_warmup_steps=_warm_up(epochs)),
    "hyperband": lambda _: _Hyperband(min_resource=WARM_UP_EPOCHS),
    "successive_halving": lambda _: SuccessiveHalvingPruner(min_resource=WARM_UP_EPOCHS),
}


class Suggestions:
    """Optuna's study of one search.

    Args:
        spec: A study with ``search:``.
    """

    def __init__(self, spec: StudySpec) -> None:
        assert spec.search is not None
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # its greeting would fall into the progress view
        self._domains = spec.search
        self._baseline = spec.baseline_config.model_dump(mode="json")
        self._sampler, self._sampler_seed = spec.sampler, spec.sampler_seed
        self._study = optuna.create_study(
            direction="maximize" if spec.maximise else "minimize",
            pruner=PRUNERS[spec.prune](spec.baseline_config.scored_epochs),
            sampler=RandomSampler(seed=0),
            study_name="search",  # Hyperband sorts trials into brackets by it
        )
        self._proposed: Trial | None = None
        self._num_begun = 0
        self._trials: dict[str, Trial] = {}

    def propose(self, number: int, is_new: Callable[[dict[str, Scalar]], bool]) -> dict[str, Scalar] | None:
        """Return the values of an arm that was not tried yet, or None where the sampler finds none.

        What is proposed depends on what was begun, reported and told before, and on ``number``, nothing else.

        Args:
            number: How many arms were proposed before; the address of what is drawn.
            is_new: Whether these values make an arm that was not tried.
        """
        finite = all(domain.num_values is not None for domain in self._domains.values())
        for attempt in range(ATTEMPTS):
            name = self._sampler
            if attempt >= OWN_ATTEMPTS:  # it keeps returning to where nothing is to be found
                name = "bruteforce" if finite else "random"
            trial = self._ask(name, number, attempt)
            values = self._values(trial)
            if is_new(values):
                self._proposed = trial
                return values
            self._study.tell(trial, state=TrialState.FAIL)  # which all samplers but brute force overlook
        return None

    def begin(self, arm_id: str, values: Mapping[str, Scalar]) -> None:
        """Take up an arm: the one just proposed, or one that the ledger knows."""
        trial = self._proposed or self._ask_again(values)
        trial.set_user_attr(ARM, self._num_begun)
        self._num_begun += 1
        if isinstance(self._study.pruner, _Hyperband):
            self._study.pruner.upcoming = self._num_begun
        self._proposed = None
        self._trials[arm_id] = trial

    def report(self, arm_id: str, step: int, value: float) -> bool:
        """Take in an arm's value after so many scored epochs; return whether the arm should be pruned."""
        trial = self._trials[arm_id]
        trial.report(value, step=step)
        return trial.should_prune()

    def tell(self, arm_id: str, status: Status, score: float | None) -> None:
        """Take in how an arm ended; ``score`` is given for a complete one."""
        self._study.tell(self._trials[arm_id], score, _TOLD[status])

    def trials(self) -> list[FrozenTrial]:
        """Return the arms as Optuna holds them."""
        return self._study.get_trials(deepcopy=False)

    def _ask(self, sampler: str, number: int, attempt: int = 0) -> Trial:
        seed = derive(self._sampler_seed, "sampler", number, attempt) % 2**32
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # QMC and brute force, since Optuna 3
            self._study.sampler = SAMPLERS[sampler](seed, derive(self._sampler_seed, "search") % 2**32)
        return self._study.ask()

    def _ask_again(self, values: Mapping[str, Scalar]) -> Trial:
        self._study.enqueue_trial(
            {
                path: choice_label(value) if isinstance(self._domains[path], ChoiceDomain) else value
                for path, value in values.items()
            }
        )
        trial = self._ask(self._sampler, len(self._trials))
        if self._sampler in _KEEP_NOTES:
            _ = trial.relative_params  # drawn, noted and set aside for the recorded values
        assert self._values(trial) == values, "a recorded arm lies outside of the study's domains"
        return trial

    def _values(self, trial: Trial) -> dict[str, Scalar]:
        return draw(self._domains, self._baseline, lambda path, domain: _suggest(trial, path, domain))


def _suggest(trial: Trial, path: str, domain: Domain) -> Scalar:
    if isinstance(domain, ChoiceDomain):
        # Optuna takes 1, true and 1.0 for one choice, so it is given their names.
        return domain.labels[trial.suggest_categorical(path, list(domain.labels))]
    low, high = domain.bounds
    if isinstance(domain, FloatDomain):
        return trial.suggest_float(path, low, high, log=domain.log, step=domain.step)
    return trial.suggest_int(path, int(low), int(high), log=domain.log, step=domain.step or 1)
