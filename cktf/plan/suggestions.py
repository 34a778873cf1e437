"""Optuna's study of a search: which arm to try next, and which arms to end early.

The study is in memory and is rebuilt from the ledger at every start, by asking again in the ledger's order with the
recorded values. It then equals the study of the lost driver, the samplers' own state included.
"""

import logging
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import optuna
from optuna import pruners, samplers
from optuna.exceptions import ExperimentalWarning
from optuna.trial import Trial, TrialState

from cktf.rows import Scalar, Status
from cktf.seeding import derive
from cktf.study.domains import ChoiceDomain, Domain, FloatDomain, IntDomain, choice_label, draw
from cktf.study.spec import StudySpec

OWN_ATTEMPTS = 10
"""Consecutive suggestions of known or impossible arms after which another sampler takes over."""

ATTEMPTS = 500
"""Suggestions of that one after which the search counts as exhausted; fewer where they are all combinations."""

POPULATION = 16
"""Arms of an NSGA-II generation: with Optuna's 50, most searches would be purely random."""

WARM_UP_EPOCHS = 3
"""Epochs before which no arm is pruned: the first epochs say little about a student."""

START_UP_ARMS = 5
"""Number of arms that must have ended before another is compared with them, and perhaps pruned."""

_STATES = {Status.COMPLETE: TrialState.COMPLETE, Status.PRUNED: TrialState.PRUNED, Status.FAILED: TrialState.FAIL}


class _Exhaustive(samplers.BruteForceSampler):
    """Brute force for Optuna's ask and tell, where there is no loop to stop when everything has been tried."""

    def after_trial(self, *_: Any) -> None:
        """Do nothing, where Optuna's sampler would stop Optuna's own loop."""


def _qmc(seed: int, of_search: int) -> samplers.BaseSampler:
    # Its warning about conditional factors has no switch; these are drawn at random.
    logging.getLogger(samplers.QMCSampler.__module__).setLevel(logging.ERROR)
    return samplers.QMCSampler(
        seed=of_search,  # one sequence for the whole search; only its position moves
        scramble=True,
        independent_sampler=samplers.RandomSampler(seed=seed),
        warn_independent_sampling=False,
    )


SAMPLERS: dict[str, Callable[[int, int], samplers.BaseSampler]] = {
    # The constant liar keeps parallel trials from all searching in the same place.
    "tpe": lambda seed, _: samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True),
    "gp": lambda seed, _: samplers.GPSampler(seed=seed, warn_independent_sampling=False),
    "nsgaii": lambda seed, _: samplers.NSGAIISampler(seed=seed, population_size=POPULATION),
    "cmaes": lambda seed, _: samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False),
    "qmc": _qmc,
    "random": lambda seed, _: samplers.RandomSampler(seed=seed),
    "bruteforce": lambda seed, _: _Exhaustive(seed=seed),
}
"""Name -> maker of a sampler, from the seed of one arm's draws and the seed of the whole search."""

_STATEFUL = {"nsgaii", "cmaes", "qmc"}
"""Samplers that store extra state in the study; replaying the ask restores it."""


def _warm_up(epochs: int) -> int:
    # A rule applied after each epoch also ends most good arms while curves cross; they cross less in the later half.
    return max(WARM_UP_EPOCHS, epochs // 2)


PRUNERS: dict[str, Callable[[int, int], pruners.BasePruner]] = {
    "none": lambda *_: pruners.NopPruner(),
    "median": lambda epochs, before: pruners.MedianPruner(before, _warm_up(epochs)),
    "percentile": lambda epochs, before: pruners.PercentilePruner(25.0, before, _warm_up(epochs)),
    "hyperband": lambda *_: pruners.HyperbandPruner(min_resource=WARM_UP_EPOCHS),
    "successive_halving": lambda *_: pruners.SuccessiveHalvingPruner(min_resource=WARM_UP_EPOCHS),
}
"""Name -> maker of a pruner, from the scored epochs of a trial and the number of arms before any is compared."""


class Suggestions:
    """Optuna's study of one search.

    It begins with the observations of a warm start: ``params`` and ``scores`` (one for each metric) of another run's
    arms.
    """

    def __init__(self, spec: StudySpec, observations: Sequence[Mapping[str, Any]] = ()) -> None:
        assert spec.search is not None
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # its greeting would fall into the progress view
        self._domains = spec.search
        self._baseline = spec.baseline_config.model_dump(mode="json")
        self._sampler, self._sampler_seed, self._enqueue = spec.sampler, spec.sampler_seed, spec.enqueue
        self._study = optuna.create_study(
            directions=["maximize" if larger else "minimize" for larger in spec.directions.values()],
            # observations have no epochs to compare with
            pruner=PRUNERS[spec.prune](spec.baseline_config.scored_epochs, START_UP_ARMS + len(observations)),
            sampler=samplers.RandomSampler(seed=0),
            study_name="search",  # Hyperband sorts trials into brackets by it
        )
        self._trials: dict[str, Trial] = {}
        for index, arm in enumerate(observations):
            self._study.tell(self._ask_again(arm["params"], -1 - index), arm["scores"])

    def propose(self, number: int, is_new: Callable[[dict[str, Scalar]], bool]) -> dict[str, Scalar] | None:
        """Return the values of an arm that was not tried yet; None if the sampler finds none.

        They depend on the earlier calls of `begin`, `report` and `tell`, and on the ``number`` of arms proposed before.
        """
        sizes = [domain.num_values for domain in self._domains.values()]
        most = math.prod(size for size in sizes if size is not None)
        most, other = (ATTEMPTS, "random") if None in sizes else (min(ATTEMPTS, most), "bruteforce")
        # A copy is asked, because a study that is rebuilt from the ledger would lack what is discarded here. It
        # shares the trials that have ended: they do not change, and copies of thousands would take seconds an arm.
        ended = self._study.get_trials(deepcopy=False, states=[state for state in TrialState if state.is_finished()])
        study = deepcopy(self._study, {id(trial): trial for trial in ended})
        for attempt in range(OWN_ATTEMPTS + most):
            if attempt == 0 and number < len(self._enqueue):
                self._fix(study, self._enqueue[number])
            name = self._sampler if attempt < OWN_ATTEMPTS else other  # it returns to known arms again and again
            trial = self._ask(study, name, number, attempt)
            values = self._values(trial, is_proposed=True)
            if is_new(values):
                return values
            study.tell(trial, state=TrialState.FAIL)  # ignored by all samplers but brute force
        return None

    def begin(self, arm_id: str, values: Mapping[str, Scalar]) -> None:
        """Begin an arm."""
        self._trials[arm_id] = self._ask_again(values, len(self._trials))

    def report(self, arm_id: str, step: int, value: float, *, is_over: bool = False) -> bool:
        """Report an arm's value after ``step`` scored epochs; return whether the arm should be pruned.

        If the arm ``is_over``, because its end is in the ledger that is replayed, only a pruner that keeps a record of
        its answers is asked: each answer costs a pass over all trials. A search of several metrics prunes nothing.
        """
        if len(self._study.directions) > 1:
            return False
        trial = self._trials[arm_id]
        trial.report(value, step=step)
        keeps_record = isinstance(self._study.pruner, pruners.HyperbandPruner | pruners.SuccessiveHalvingPruner)
        return (keeps_record or not is_over) and trial.should_prune()

    def tell(self, arm_id: str, status: Status, scores: Sequence[float] | None) -> None:
        """Report how an arm ended; ``scores``, one for each metric, are given for a complete one."""
        self._study.tell(self._trials[arm_id], scores, _STATES[status])

    def _ask(self, study: optuna.Study, sampler: str, number: int, attempt: int = 0) -> Trial:
        seed = derive(self._sampler_seed, "sampler", number, attempt) % 2**32
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # QMC and brute force, since Optuna 3
            study.sampler = SAMPLERS[sampler](seed, derive(self._sampler_seed, "search") % 2**32)
        return study.ask()

    def _ask_again(self, values: Mapping[str, Scalar], number: int) -> Trial:
        self._fix(self._study, values)
        trial = self._ask(self._study, self._sampler, number)
        if self._sampler in _STATEFUL:
            _ = trial.relative_params  # drawn, so that the sampler's state is stored, and replaced by the fixed values
        assert self._values(trial) == values, "a recorded arm lies outside of the study's domains"
        return trial

    def _fix(self, study: optuna.Study, values: Mapping[str, Scalar]) -> None:
        """Let the next trial that is asked for have these values."""
        written: dict[type, Callable[[Any], Scalar]] = {ChoiceDomain: choice_label, FloatDomain: float, IntDomain: int}
        study.enqueue_trial({path: written[type(self._domains[path])](value) for path, value in values.items()})

    def _values(self, trial: Trial, *, is_proposed: bool = False) -> dict[str, Scalar]:
        return draw(self._domains, self._baseline, lambda path, domain: _suggest(trial, path, domain, is_proposed))


def _suggest(trial: Trial, path: str, domain: Domain, is_proposed: bool) -> Scalar:
    if isinstance(domain, ChoiceDomain):
        # Optuna takes 1, true and 1.0 for one choice, so it gets their labels.
        return domain.labels[trial.suggest_categorical(path, list(domain.labels))]
    low, high = domain.bounds
    if isinstance(domain, FloatDomain):
        value = trial.suggest_float(path, low, high, log=domain.log, step=domain.step)
        return domain.as_written(value) if is_proposed else value  # older ledgers have Optuna's own sums
    return trial.suggest_int(path, int(low), int(high), log=domain.log, step=domain.step or 1)
