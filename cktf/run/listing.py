"""The runs below a folder, and the verdicts in their reports, for lists of runs. No PyTorch and no Ray here."""

import io
import json
from collections.abc import Iterator

from cktf.errors import naming
from cktf.names import arm_label
from cktf.rows import FACTS_KEY
from cktf.run.ledger import FOLDER as LEDGER
from cktf.storage import Storage
from cktf.verdicts import Verdict

EFFECTS = "effects.parquet"


def runs_below(place: Storage, levels: int = 2) -> Iterator[Storage]:
    """Yield the place if it is a run, else the runs up to ``levels`` below it, and each folder that cannot be read."""
    try:
        folders = place.folders()
    except OSError:  # reading it as a run will say why
        yield place
        return
    if LEDGER in folders:
        yield place
    elif levels:
        for name in folders:
            yield from runs_below(place.child(name), levels - 1)


def verdicts_in_words(run: Storage, ledger: str) -> str:
    """Return the verdicts of a run's report in one line, decided ones with their arms; empty without a report.

    Of a damaged report, as an interrupted copy leaves, the line says so, and of one that was made from fewer rows than
    there are now: ``ledger`` is the fingerprint of these, and the report has its own.
    """
    import pyarrow.parquet as pq

    with naming(run.root):
        content = run.child("report").read(EFFECTS)
    if content is None:
        return ""
    try:
        table = pq.ParquetFile(io.BytesIO(content)).read()  # read_table loads pandas
        is_old = json.loads((table.schema.metadata or {}).get(FACTS_KEY, b"{}")).get("ledger") != ledger
    except (ValueError, OSError):  # Arrow's errors of a file, and those of its facts
        return f"report/{EFFECTS} is damaged; 'cktf report' writes it again"
    arms: dict[str, list[str]] = {}
    for row in table.to_pylist():
        against = row.get("against") or ""
        name = arm_label(row["arm"], row["context"]) + (f" against {against}" if against else "")
        arms.setdefault(row["verdict"], []).append(name)
    said = [
        f"{verdict}: {len(names) if verdict in (Verdict.UNDECIDED, Verdict.FAILED) else ', '.join(names)}"
        for verdict, names in sorted(arms.items(), key=lambda each: each[0] == Verdict.UNDECIDED)
    ]
    return "; ".join(said) + (" (before the latest rows)" if is_old else "")
