"""What a run has yielded, as typed tables, and the facts that belong to them."""

import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from cktf.rows import Stage, StudyRow, TeacherRow

if TYPE_CHECKING:
    import pandas as pd

REPORTED_STAGES = (Stage.DESIGN, Stage.CONFIRM)
"""Stages whose arms were fixed before any of their results was seen; the others' scores are selected."""


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """Where results come from that were not measured here.

    Attributes:
        origin: What was read, in words, and its place.
        cannot_be_vouched_for: What a reader has to take on trust: sentences.
    """

    origin: str
    cannot_be_vouched_for: list[str]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What holds for a whole run; stored in the metadata of its Parquet files.

    Attributes:
        launches: One row for each launch and resume, in order; of several runs, those of one after those of another.
            Foreign results have none.
        study_file: Text of the study's YAML file; empty where the run directory has none.
        torn_lines: Ledger lines that a killed writer left unfinished; they are ignored.
        ledger: Fingerprint of the ledger that the tables were made of.
        asked: What is asked, where it is not what the last launch has: of several runs, and of foreign results.
        foreign: Where the results come from; None where they were measured here.
        teachers: How well each teacher does, in the order in which that was found out.
        num_repeated: Trials that several of the runs hold, which are read together.
    """

    launches: list[StudyRow]
    study_file: str
    torn_lines: int
    ledger: str
    asked: StudyRow | None = None
    foreign: Foreign | None = None
    teachers: list[TeacherRow] = field(default_factory=list)
    num_repeated: int = 0

    @property
    def study(self) -> StudyRow:
        """What is asked."""
        return self.asked or self.launches[-1]

    def to_json(self) -> str:
        """Return the facts as one JSON object."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Facts":
        """Return the facts that `to_json` wrote."""
        values = json.loads(text)
        asked, foreign = values.get("asked"), values.get("foreign")
        return cls(
            **values
            | {
                "launches": [StudyRow.from_dict(row) for row in values["launches"]],
                "teachers": [TeacherRow.from_dict(row) for row in values.get("teachers", [])],
                "asked": asked and StudyRow.from_dict(asked),
                "foreign": foreign and Foreign(**foreign),
            }
        )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Results:
    """The tables of one run, or of several read together. What is derived is computed when it is first asked for.

    Each is equal to itself alone: two of the same run are compared table by table.

    Attributes:
        trials: One row a trial, in the order of planning.
        epochs: One row for each trial and epoch.
        facts: What holds for all of them.
    """

    trials: "pd.DataFrame"
    epochs: "pd.DataFrame"
    facts: Facts

    def __repr__(self) -> str:
        study, ended = self.facts.study, self.trials["status"].value_counts()
        statuses = ", ".join(f"{count} {status}" for status, count in ended.items()) or "none"
        num_contexts = len(self.contexts)
        within = f" in {num_contexts} contexts" if num_contexts > 1 else ""
        return (
            f"Results of {study.study}, run {study.run}, judged by {study.report_metric}\n"
            f"  trials: {statuses}; {self.trials['arm_id'].nunique()} arms{within}\n"
            f"  epochs: {len(self.epochs)} rows"
        )

    @cached_property
    def contexts(self) -> list[str]:
        """The contexts in the order of planning; one without a name where the study names none."""
        return list(dict.fromkeys(self.trials["context"]))

    @cached_property
    def arms(self) -> "pd.DataFrame":
        """Mean, standard deviation and interval of every arm; see `analysis.estimates.arms`."""
        from analysis.estimates import arms

        study = self.facts.study
        planned = set(zip(self.trials["context"], self.trials["arm"], strict=True))
        reference = {
            context: {arm: value for arm, value in of_arms.items() if (context, arm) in planned}
            for context, of_arms in study.reference_values.items()
        }
        return arms(self.trials, metric=study.report_metric, reference=reference)

    @cached_property
    def effects(self) -> "pd.DataFrame":
        """Every arm against its context's baseline, paired by seed; see `analysis.comparisons.effects`."""
        from analysis.comparisons import effects

        study = self.facts.study
        return effects(self.trials, metric=study.report_metric, maximise=study.maximise, delta=study.delta)

    @cached_property
    def best(self) -> "pd.DataFrame":
        """Which arms are the best of their context, or not told from it; see `analysis.best`."""
        from analysis.best import best

        study = self.facts.study
        return best(self.trials, metric=study.report_metric, maximise=study.maximise)

    @cached_property
    def teachers(self) -> "pd.DataFrame":
        """How well each teacher does on its validation split; see `analysis.teachers.teachers`."""
        from analysis.teachers import teachers

        return teachers(self.facts.teachers, self.trials)

    @cached_property
    def health(self) -> "pd.DataFrame":
        """Every number of the distillation's health, paired by seed; see `analysis.health.health_effects`."""
        from analysis.health import health_effects

        return health_effects(self.trials, self.epochs, metric=self.facts.study.report_metric)

    @cached_property
    def over_contexts(self) -> "pd.DataFrame":
        """Every arm's mean effect over its contexts; see `analysis.contexts.over_contexts`."""
        from analysis.contexts import over_contexts

        return over_contexts(self.effects)

    @cached_property
    def ranks(self) -> "pd.DataFrame":
        """How every arm ranks over the contexts, and the tests of that; see `analysis.ranks.ranks`."""
        from analysis.ranks import ranks

        study = self.facts.study
        return ranks(self.trials, self.effects, metric=study.report_metric, maximise=study.maximise)

    @cached_property
    def interactions(self) -> "pd.DataFrame":
        """Main effects and interactions of a grid or a fraction; see `analysis.factorial.interactions`."""
        from analysis.factorial import interactions

        study = self.facts.study
        factors = study.factors if study.design in ("grid", "fractional") else []
        return interactions(self.trials, factors=factors, metric=study.report_metric)

    @cached_property
    def leaderboard(self) -> "pd.DataFrame":
        """The arms of a search by the score that selected them; see `analysis.estimates.leaderboard`."""
        from analysis.estimates import leaderboard

        return leaderboard(self.trials, metric=self.facts.study.metric, maximise=self.facts.study.maximise)

    @cached_property
    def searched(self) -> "pd.DataFrame":
        """The arms of a search, their levels and how they ended; see `analysis.searched.searched_arms`."""
        from analysis.searched import searched_arms

        return searched_arms(self.trials, self._on_the_way, self.facts.study)

    @cached_property
    def _on_the_way(self) -> "pd.DataFrame":
        from analysis.searched import scores_on_the_way

        return scores_on_the_way(self.trials, self.epochs, self.facts.study.metric)

    @cached_property
    def confirmed(self) -> "pd.DataFrame":
        """The confirmed arms' scores in the search and at fresh seeds; see `analysis.confirmed.confirmed`."""
        from analysis.confirmed import confirmed

        study = self.facts.study
        return confirmed(self.trials, self.effects, metric=study.metric, maximise=study.maximise)

    @cached_property
    def importance(self) -> "pd.DataFrame":
        """How much each factor of a search mattered; see `analysis.importance.importance`."""
        from analysis.importance import importance_of_arms

        return importance_of_arms(self.searched, self._on_the_way, self.facts.study)
