"""Facts about a whole run, stored in the metadata of its Parquet files."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from cktf.epoch_result import MEASURE
from cktf.rows import LookRow, StudyRow, TeacherRow


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """The origin of foreign results, which this program did not measure.

    Attributes:
        origin: Kind and place of the results that were read, in words.
        cannot_be_vouched_for: Sentences on the facts that a reader has to take on trust.
        unpaired: Whether trials of the same seed have nothing in common.
        cluster: Column (of folds, say) whose values serve as the seeds of the trials; empty if there is none.
    """

    origin: str
    cannot_be_vouched_for: list[str]
    unpaired: bool = False
    cluster: str = ""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Facts about a whole run.

    Attributes:
        launches: One row for each launch and resume, in order, run by run. Foreign results have none.
        study_file: Text of the study's YAML file; may be empty.
        torn_lines: Ledger lines that a killed writer left unfinished; they are ignored.
        ledger: Fingerprint of the ledger that the tables were made of.
        asked: Study row to use instead of the last launch's (several runs, foreign results).
        foreign: Where the results come from; None where they were measured here.
        teachers: Scores of each teacher, in the order in which they were measured.
        num_repeated: Number of trials that more than one of the runs holds.
        looks: Looks of a race, in order.
        num_reports: Number of looks that no plan accounts for: recorded reports of the study while it was unfinished or
            after seeds were added. Known only while a report is written.
    """

    launches: list[StudyRow]
    study_file: str
    torn_lines: int
    ledger: str
    asked: StudyRow | None = None
    foreign: Foreign | None = None
    teachers: list[TeacherRow] = field(default_factory=list)
    num_repeated: int = 0
    looks: list[LookRow] = field(default_factory=list)
    num_reports: int = 0

    @property
    def study(self) -> StudyRow:
        """The study row that says what is compared: ``asked``, or that of the last launch."""
        return self.asked or self.launches[-1]

    @property
    def afterthought(self) -> str:
        """Sentence for every table and figure if comparisons were chosen after results could be seen; else empty."""
        if self.study.is_afterthought:
            return (
                "An afterthought: these comparisons were chosen when the report was asked for, not in the study before "
                "its first result."
            )
        asked: dict[str, set[str]] = {}
        for row in self.launches:
            question = (row.contrasts, row.family, row.alternative, row.margin)
            asked.setdefault(row.run, set()).add(repr(question))
        if any(len(questions) > 1 for questions in asked.values()):
            return "An afterthought: what is compared was changed between launches, when results may have been seen."
        return ""

    @property
    def is_extended(self) -> bool:
        """Whether seeds were added to a run after its launch, or a race is reported with comparisons chosen afterwards.

        Then the number of seeds may depend on results, in a way that no plan has accounted for.
        """
        if self.study.is_afterthought and any(row.looks for row in self.launches):
            return True
        asked = [row for row in self.launches if row.asked]
        seeds = {(row.run, row.asked.get("seeds"), row.asked.get("confirm")) for row in asked}
        return len(seeds) > len({row.run for row in asked})

    @property
    def evidence(self) -> dict[str, Any]:
        """Arguments ``unpaired`` and ``cluster`` of `analysis.statistics.effects.effects`."""
        if self.foreign is None:
            return {}
        return {"unpaired": self.foreign.unpaired, "cluster": "seed" if self.foreign.cluster else None}

    @property
    def is_looked_at(self) -> bool:
        """Whether the number of seeds depends on results, by a race or because seeds were added."""
        return bool(self.study.looks) or self.is_extended

    @property
    def measures(self) -> dict[str, bool]:
        """Column of each further measure or metric that is reported, mapped to whether a larger value is better."""
        found = {MEASURE + name: larger for row in self.launches for name, larger in row.measures.items()}
        further = self.study.further_metrics.items()
        found |= {column.replace("validation_", "test_", 1): larger for column, larger in further}
        return dict(sorted(found.items()))

    def to_json(self) -> str:
        """Return the facts as one JSON object."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Facts":
        """Return the facts that `to_json` wrote."""
        values = json.loads(text)
        values["launches"] = [StudyRow.from_dict(row) for row in values["launches"]]
        values["looks"] = [LookRow.from_dict(row) for row in values.get("looks", [])]
        values["teachers"] = [TeacherRow.from_dict(row) for row in values.get("teachers", [])]
        if asked := values.get("asked"):
            values["asked"] = StudyRow.from_dict(asked)
        if foreign := values.get("foreign"):
            values["foreign"] = Foreign(**foreign)
        return cls(**values)
