"""How much each factor of a search mattered for its score, by Optuna's evaluators."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from cktf.rows import Stage, Status, StudyRow

if TYPE_CHECKING:
    import optuna
    import pandas as pd

MIN_TRIALS = 10
"""Complete arms below which an importance says nothing: PED-ANOVA compares the best tenth with all."""

MAX_FANOVA_TRIALS = 500
"""fANOVA's time grows steeply with the number of trials; beyond this many, it sees a random part of them."""


def importance(trials: "pd.DataFrame", epochs: "pd.DataFrame", study: StudyRow) -> "pd.DataFrame":
    """Return the importance of every factor of a search by PED-ANOVA and by fANOVA.

    PED-ANOVA (Watanabe et al. 2023) asks which factors set the best tenth apart and knows conditional
    factors; fANOVA (Hutter et al. 2014) asks how much of the score's variance a factor explains, for the
    factors that every arm has.

    Args:
        trials: As `analysis.load` gives them; only those of a search's own stage are read.
        epochs: Likewise: scores on the way of trials that were pruned.
        study: What was searched.

    Returns:
        ``method``, ``factor``, ``importance`` (sums to one within a method; NaN where ``reason`` says why),
        ``n_complete``, ``n_pruned`` and ``n_failed`` (arms), ``reason``; most important first within a
        method. Empty where nothing was searched.
    """
    import pandas as pd

    searched = trials[trials["stage"] == Stage.SEARCH]
    rows: list[dict[str, Any]] = []
    if not searched.empty:
        from optuna.trial import TrialState

        rebuilt = search_study(searched, epochs, study)
        states = [trial.state for trial in rebuilt.get_trials(deepcopy=False)]
        counts = {
            "n_complete": states.count(TrialState.COMPLETE),
            "n_pruned": states.count(TrialState.PRUNED),
            "n_failed": states.count(TrialState.FAIL),
        }
        factors = [name for name in study.factors if searched[f"param.{name}"].notna().any()]
        for method in ("ped-anova", "fanova"):
            shares, reason = _evaluate(rebuilt, method, factors)
            rows += [
                {"method": method, "factor": name, "importance": share, **counts, "reason": reason}
                for name, share in sorted(shares.items(), key=lambda item: (-item[1], item[0]))
            ]
    columns = {
        "method": "str",
        "factor": "str",
        "importance": "float64",
        "n_complete": "int64",
        "n_pruned": "int64",
        "n_failed": "int64",
        "reason": "str",
    }
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)


def search_study(searched: "pd.DataFrame", epochs: "pd.DataFrame", study: StudyRow) -> "optuna.Study":
    """Return the Optuna study that a search amounts to, one Optuna trial an arm.

    As in the search itself, an arm is pruned if any of its seeds is, else failed if any is; its score is the
    mean over its seeds. Arms that still run are left out. Domains are taken to reach from the smallest to the
    largest level that was tried, or over all choices tried.
    """
    import optuna
    import pandas as pd
    from optuna.trial import TrialState

    names = [name for name in study.factors if searched[f"param.{name}"].notna().any()]
    domains = {name: _domain(searched[f"param.{name}"].dropna(), name in study.log_factors) for name in names}
    on_the_way = _scores_on_the_way(searched, epochs, study.metric)
    rebuilt = []
    for arm_id, arm in searched.groupby("arm_id", sort=False):
        statuses = set(arm["status"])
        if statuses & {Status.PLANNED, Status.RUNNING}:
            continue
        levels = {name: arm[f"param.{name}"].iloc[0] for name in names}
        params = {name: _plain(level) for name, level in levels.items() if not pd.isna(level)}
        score = float(arm[study.metric].mean(skipna=False))
        if Status.PRUNED in statuses:
            outcome: dict[str, Any] = {
                "state": TrialState.PRUNED,
                "intermediate_values": on_the_way.get(str(arm_id), {}),
            }
        elif Status.FAILED in statuses or not np.isfinite(score):
            outcome = {"state": TrialState.FAIL}
        else:
            outcome = {"state": TrialState.COMPLETE, "value": score}
        distributions = {name: domains[name] for name in params}
        rebuilt.append(optuna.create_trial(params=params, distributions=distributions, **outcome))
    with _quiet_optuna():
        result = optuna.create_study(direction="maximize" if study.maximise else "minimize")
    result.add_trials(rebuilt)
    return result


def _evaluate(study: "optuna.Study", method: str, factors: list[str]) -> tuple[dict[str, float], str]:
    """Return the share of each factor that a method can judge, and what is to be said about it."""
    import optuna
    from optuna.importance import (
        FanovaImportanceEvaluator,
        PedAnovaImportanceEvaluator,
        get_param_importances,
    )

    done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if len(done) < MIN_TRIALS:
        return dict.fromkeys(factors, np.nan), f"{len(done)} complete arms; at least {MIN_TRIALS} are needed"
    reason = ""
    evaluator: optuna.importance.BaseImportanceEvaluator = PedAnovaImportanceEvaluator()
    if method == "fanova":
        try:
            evaluator = FanovaImportanceEvaluator(seed=0)
        except ImportError:
            return dict.fromkeys(factors, np.nan), "fANOVA needs scikit-learn"
        if len(done) > MAX_FANOVA_TRIALS:
            reason = f"on {MAX_FANOVA_TRIALS} of {len(done)} complete arms, drawn at random"
            chosen = np.random.default_rng(0).choice(len(done), MAX_FANOVA_TRIALS, replace=False)
            with _quiet_optuna():
                part = optuna.create_study(direction=study.direction)
            part.add_trials([done[index] for index in np.sort(chosen)])
            study = part
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        shares = get_param_importances(study, evaluator=evaluator)
    return shares, "; ".join([reason] * bool(reason) + [str(warning.message) for warning in caught])


def _domain(levels: "pd.Series[Any]", is_log: bool) -> "optuna.distributions.BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    plain = sorted({_plain(level) for level in levels})
    if isinstance(plain[0], bool | str):
        return CategoricalDistribution(plain)
    if isinstance(plain[0], int):
        return IntDistribution(plain[0], int(plain[-1]), log=is_log)
    return FloatDistribution(float(plain[0]), float(plain[-1]), log=is_log)


def _plain(level: Any) -> bool | int | float | str:
    """Return a cell of a data frame as Python's own type."""
    value: bool | int | float | str = level.item() if isinstance(level, np.generic) else level
    return value


def _scores_on_the_way(
    searched: "pd.DataFrame", epochs: "pd.DataFrame", metric: str
) -> dict[str, dict[int, float]]:
    """Return arm -> epoch -> mean score, for the arms that have a pruned trial."""
    pruned = searched.loc[searched["status"] == Status.PRUNED, "arm_id"]
    rows = epochs[epochs["arm_id"].isin(pruned) & (epochs["stage"] == Stage.SEARCH)]
    scores: dict[str, dict[int, float]] = {}
    means = rows.groupby(["arm_id", "epoch"], observed=True)[metric].mean()
    for row in means.reset_index().to_dict("records"):
        scores.setdefault(row["arm_id"], {})[row["epoch"]] = row[metric]
    return scores


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Keep Optuna from announcing a study that nobody asked for."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)
