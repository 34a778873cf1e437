"""The tables of a run: trials, epochs, and the tables derived from them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd

from analysis.facts import Facts
from analysis.searches.arms import NOT_ON_THE_WAY, leaderboard, scores_on_the_way, searched_arms
from analysis.searches.confirmed import confirmed
from analysis.searches.importance import importance_of_arms
from analysis.searches.pareto import pareto
from analysis.searches.path import ablation_path
from analysis.statistics.arms import arms
from analysis.statistics.best import best
from analysis.statistics.effects import effects
from analysis.statistics.health import health_effects
from analysis.statistics.interactions import interactions
from analysis.statistics.levels import in_level_order
from analysis.statistics.measures import measure_effects
from analysis.statistics.over_contexts import noise_of_contexts, over_contexts
from analysis.statistics.over_images import correct
from analysis.statistics.over_teachers import over_teachers
from analysis.statistics.published import mean_of
from analysis.statistics.ranks import ranks
from analysis.statistics.shapley import shapley
from cktf.looks import Spending
from cktf.names import BASELINE
from cktf.rows import StudyRow


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class StudyTables:
    """The tables of one run, or of several read together; derived tables are computed on first access.

    Equality is identity: to compare two of the same run, compare their tables.

    Attributes:
        trials: One row a trial, in the order of planning.
        epochs: One row for each trial and epoch.
        facts: Facts about the whole run: its study, launches and the like.
    """

    trials: pd.DataFrame
    epochs: pd.DataFrame
    facts: Facts

    @cached_property
    def contexts(self) -> list[str]:
        """Names of the contexts, in the order of planning; one empty name if the study has no contexts."""
        return list(dict.fromkeys(self.trials["context"]))

    @cached_property
    def arms(self) -> pd.DataFrame:
        """Mean, standard deviation and interval of every arm; see `analysis.statistics.arms.arms`."""
        study = self.facts.study
        planned = set(zip(self.trials["context"], self.trials["arm"], strict=True))
        reference = {
            context: {arm: mean_of(value) for arm, value in of_arms.items() if (context, arm) in planned}
            for context, of_arms in study.reference_values.items()
        }
        return arms(self.trials, metric=study.report_metric, reference=reference)

    @cached_property
    def effects(self) -> pd.DataFrame:
        """The comparisons that the study asks for, paired by seed; see `analysis.statistics.effects.effects`."""
        study = self.facts.study
        return self._compared(
            delta=study.delta,
            contrasts=study.contrasts,
            family=study.family,
            alternative=study.alternative,
            margin=study.margin,
            looks=study.looks,
            spending=study.spending or Spending.POWER2,
            is_extended=self.facts.is_extended,
        )

    @cached_property
    def effects_by_level(self) -> pd.DataFrame:
        """`effects` as tables and figures list them: those of a grid in the order of its levels."""
        return self._by_level(self.effects)

    @cached_property
    def against_baseline(self) -> pd.DataFrame:
        """Effect of every arm against its context's baseline, whatever the study compares; a grid's by its levels."""
        if not self.facts.study.contrasts:
            return self.effects_by_level
        contrasts = [BASELINE] if self.trials["is_baseline"].any() else []
        # No look of a race was planned for these comparisons.
        return self._by_level(self._compared(contrasts=contrasts, is_extended=self.facts.is_looked_at))

    @cached_property
    def measures(self) -> pd.DataFrame:
        """The effects on each further measure; see `analysis.statistics.measures.measure_effects`."""
        besides, is_extended = self.facts.study.report_metric, self.facts.is_looked_at
        return measure_effects(self.trials, self.facts.measures, besides=besides, is_extended=is_extended)

    def correct(self, context: str | None = None) -> pd.DataFrame:
        """Return which test images each trial has right, trials x images; see `analysis.statistics.over_images`."""
        return correct(self.trials, context)

    @cached_property
    def best(self) -> pd.DataFrame:
        """Which arms have the best mean of their context, or cannot be told from it; see `analysis.statistics.best`."""
        study = self.facts.study
        return best(self.trials, metric=study.report_metric, maximise=study.maximise)

    @cached_property
    def teachers(self) -> pd.DataFrame:
        """Validation and test scores of each teacher, one row each.

        The columns are those of `cktf.rows.TeacherRow` except its time; ``contexts``, the contexts whose trials use the
        teacher, joined by commas; and ``near_chance``.
        """
        contexts: dict[str, set[str]] = {}
        if "teacher_id" in self.trials:
            for identities, context in zip(self.trials["teacher_id"], self.trials["context"], strict=True):
                for identity in identities.split(","):
                    contexts.setdefault(identity, set()).add(context)
        found = []
        for row in self.facts.teachers:
            named = ", ".join(sorted(filter(None, contexts.get(row.teacher_id, ()))))
            found.append({**asdict(row), "contexts": named, "near_chance": row.is_near_chance})
        frame = pd.DataFrame(found).drop(columns="time", errors="ignore")
        # Older ledgers do not have these columns.
        later = frame.columns.intersection(["teacher_seed", "epochs", "wall_seconds", "weights"])
        frame = frame.drop(columns=[name for name in later if not frame[name].replace("", None).notna().any()])
        numbers = ("validation_accuracy", "validation_loss", "chance", "test_accuracy", "test_loss")
        counts = ("validation_images", "num_classes", "seed", "teacher_seed", "epochs")
        kinds = dict.fromkeys(counts, "Int64") | dict.fromkeys((*numbers, "wall_seconds"), "float64")
        return frame.astype({name: kind for name, kind in kinds.items() if name in frame})

    @cached_property
    def health(self) -> pd.DataFrame:
        """Every measure of the distillation's health, paired by seed; see `analysis.statistics.health`."""
        return health_effects(self.trials, self.epochs, metric=self.facts.study.report_metric)

    @cached_property
    def over_contexts(self) -> pd.DataFrame:
        """Every arm's mean effect over its contexts; see `analysis.statistics.over_contexts.over_contexts`."""
        study, effects = self.facts.study, self.effects  # an unknown metric is refused here
        noise = noise_of_contexts(self.trials, metric=study.report_metric)
        return over_contexts(effects, noise, maximise=study.maximise)

    @cached_property
    def over_teachers(self) -> pd.DataFrame:
        """Every arm's effect over seeds and teachers; see `analysis.statistics.over_teachers.over_teachers`."""
        return over_teachers(self.trials, metric=self.facts.study.report_metric)

    @cached_property
    def ranks(self) -> pd.DataFrame:
        """Mean rank of every arm over the contexts, with its tests; see `analysis.statistics.ranks.ranks`."""
        study = self.facts.study
        return ranks(self.trials, self.against_baseline, metric=study.report_metric, maximise=study.maximise)

    @cached_property
    def interactions(self) -> pd.DataFrame:
        """Main effects and interactions of a grid or a fraction; see `analysis.statistics.interactions`."""
        study = self.facts.study
        factors = study.factors if study.design in ("grid", "fractional") else []
        return interactions(self.trials, factors=factors, metric=study.report_metric)

    @cached_property
    def shapley(self) -> pd.DataFrame:
        """Shapley value of each component of a two-level grid; see `analysis.statistics.shapley.shapley`."""
        study = self.facts.study
        return shapley(self.trials, factors=study.factors if study.design == "grid" else [], metric=study.report_metric)

    @cached_property
    def leaderboard(self) -> pd.DataFrame:
        """The arms of a search by the score that selected them; see `analysis.searches.arms.leaderboard`."""
        return leaderboard(self.trials, metric=self.facts.study.metric, maximise=self.facts.study.maximise)

    @cached_property
    def searched(self) -> pd.DataFrame:
        """The arms of a search, their levels and how they ended; see `analysis.searches.arms.searched_arms`."""
        return searched_arms(self.trials, self._on_the_way, self.facts.study)

    @cached_property
    def _on_the_way(self) -> pd.DataFrame:
        return scores_on_the_way(self.trials, self.epochs, self.facts.study.metric)

    @cached_property
    def confirmed(self) -> pd.DataFrame:
        """The confirmed arms' scores in the search and at fresh seeds; see `analysis.searches.confirmed.confirmed`."""
        study = self.facts.study
        return confirmed(self.trials, self.against_baseline, metric=study.metric, maximise=study.maximise)

    @cached_property
    def pareto(self) -> pd.DataFrame:
        """The Pareto front of a search of several metrics; see `analysis.searches.pareto.pareto`."""
        return pareto(self.trials, self.facts.study)

    @cached_property
    def importance(self) -> pd.DataFrame:
        """Importance of each factor of a search; see `analysis.searches.importance.importance`.

        A search of several metrics has rows for each of them, in their order.
        """
        return self._for_each_metric(importance_of_arms)

    @cached_property
    def path(self) -> pd.DataFrame:
        """The steps from a search's baseline to its best arm, for each metric; see `analysis.searches.path`."""
        return self._for_each_metric(ablation_path)

    def _for_each_metric(self, judge: Callable[[pd.DataFrame, pd.DataFrame, StudyRow], pd.DataFrame]) -> pd.DataFrame:
        study = self.facts.study
        found = [judge(self.searched, self._on_the_way, study)]
        for metric, larger in study.further_metrics.items():  # with several metrics, nothing is pruned
            asked = replace(study, metric=metric, maximise=larger)
            found.append(judge(searched_arms(self.trials, NOT_ON_THE_WAY, asked), NOT_ON_THE_WAY, asked))
        return pd.concat(found, ignore_index=True) if len(found) > 1 else found[0]

    def _compared(self, **asked: Any) -> pd.DataFrame:
        """Return effects on the metric of the study; ``asked`` are further arguments of `effects`."""
        study, evidence = self.facts.study, self.facts.evidence
        return effects(self.trials, metric=study.report_metric, maximise=study.maximise, **evidence, **asked)

    def _by_level(self, compared: pd.DataFrame) -> pd.DataFrame:
        """Return comparisons, those of a grid in the order of its levels."""
        study = self.facts.study
        return in_level_order(compared, self.trials, study.factors) if study.design == "grid" else compared
