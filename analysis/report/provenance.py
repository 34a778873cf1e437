"""Where, when and with which versions the trials of a report were run."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from analysis.report.methods import _counted
from analysis.results import Results
from cktf.rows import SCHEMA_VERSION, StudyRow

if TYPE_CHECKING:
    import pandas as pd


def provenance_rows(results: Results) -> list[list[str]]:
    """Return what identifies the runs and their code, or the origin of foreign results: rows of a name and a value."""
    facts, study = results.facts, results.facts.study
    seconds = results.trials["wall_seconds"]
    measured = [
        ["devices", _named(results.trials["device"])],
        ["nodes", _named(results.trials["node"])],
        [
            "training time",
            f"{seconds.sum() / 3600:.2f} hours over all trials" if seconds.notna().any() else "",
        ],
    ]
    schema = ["schema version", str(SCHEMA_VERSION)]
    if foreign := facts.foreign:
        unknown = [["commit", ""], ["command", ""], ["machine", ""], ["versions", ""], *measured]
        return [
            ["study", study.study],
            ["origin", f"not measured here; read from {foreign.origin}"],
            *([name, value or "unknown"] for name, value in unknown),
            ["cannot be vouched for", " ".join(foreign.cannot_be_vouched_for)],
            schema,
        ]
    last_launches = {launch.run: launch for launch in facts.launches}
    rows = [["study", study.study], ["run", study.run]]
    for number, launch in enumerate(facts.launches, 1):
        started = datetime.fromtimestamp(launch.time, UTC).strftime("%Y-%m-%d %H:%M UTC")
        commit = launch.git_commit or "outside a checkout"
        of_run = f", of {launch.run}" if len(last_launches) > 1 else ""
        rows.append([f"launch {number}{of_run}", f"{started}, commit {commit}"])
    rows += [
        ["reference", study.reference_source],
        ["command", _different(launch.command for launch in last_launches.values())],
        ["machine", _different(launch.machine for launch in last_launches.values())],
        *measured,
        ["versions", _different(_versions_text(launch) for launch in last_launches.values())],
        ["ledger", f"{facts.ledger}, {_counted(facts.torn_lines, 'torn line')} ignored"],
        schema,
    ]
    return [[name, value] for name, value in rows if value]


def _named(column: "pd.Series[Any]") -> str:
    return ", ".join(sorted({name for name in column.dropna() if name}))


def _different(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(text for text in texts if text))


def _versions_text(launch: StudyRow) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(launch.versions.items()))
