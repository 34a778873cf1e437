"""The table of provenance of a report's runs: commits, commands, machines, versions."""

from collections.abc import Iterable
from datetime import UTC, datetime

import pandas as pd

from analysis.results import Results
from analysis.wording import counted
from cktf.rows import SCHEMA_VERSION, StudyRow


def launch_time(launch: StudyRow) -> str:
    """Return the time of a launch as text, to the minute."""
    return datetime.fromtimestamp(launch.time, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _teachers_hours(teachers: pd.DataFrame) -> str:
    """Return the total training time of the teachers, as text; empty if it is not known."""
    if "wall_seconds" not in teachers:
        return ""
    cached = int((teachers["wall_seconds"] == 0).sum())
    found = f"; {cached} found trained" if cached else ""
    return f"{teachers['wall_seconds'].sum() / 3600:.2f} hours{found}"


def provenance_rows(results: Results) -> list[list[str]]:
    """Return rows (name, value) that identify the runs and their code, or the origin of foreign results."""
    facts, study, trials = results.facts, results.facts.study, results.trials
    seconds = trials["wall_seconds"]
    measured = [
        *([name, ", ".join(sorted({*trials[name[:-1]].dropna()} - {""}))] for name in ("devices", "nodes")),
        ["training time", f"{seconds.sum() / 3600:.2f} hours over all trials" if seconds.notna().any() else ""],
        ["training time of teachers", _teachers_hours(results.teachers)],
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

    def different(texts: Iterable[str]) -> str:
        return "; ".join(dict.fromkeys(text for text in texts if text))

    rows = [["study", study.study], ["run", study.run]]
    for number, launch in enumerate(facts.launches, 1):
        commit = launch.git_commit or "outside a checkout"
        of_run = f", of {launch.run}" if len(last_launches) > 1 else ""
        rows.append([f"launch {number}{of_run}", f"{launch_time(launch)}, commit {commit}"])
    versions = (
        ", ".join(f"{name} {version}" for name, version in sorted(launch.versions.items()))
        for launch in last_launches.values()
    )
    code = (f"{name} ({version})" for launch in last_launches.values() for name, version in launch.plugins.items())
    rows += [
        ["reference", study.reference_source],
        ["command", different(launch.command for launch in last_launches.values())],
        ["machine", different(launch.machine for launch in last_launches.values())],
        *measured,
        ["versions", different(versions)],
        ["plug-ins", different(code)],
        ["ledger", f"{facts.ledger}, {counted(facts.torn_lines, 'torn line')} ignored"],
        schema,
    ]
    return [[name, value] for name, value in rows if value]
