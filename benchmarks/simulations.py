"""Write docs/explanation/simulations.md: what the verdicts are worth, by thousands of simulated studies.

The studies are judged by the functions that judge real ones, and the page names their code by a hash, so that a
test sees when it is of other code than the one beside it.

Run ``python benchmarks/simulations.py``: some minutes on two cores. The same code gives the same numbers but for the
last digits of another processor.
"""

import argparse
import ast
import hashlib
import io
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "simulations.md"

if __name__ == "__main__":  # a script's own folder is where Python looks first
    sys.path.insert(0, str(ROOT))
    for library in ("OMP", "OPENBLAS", "MKL"):  # before NumPy is loaded: a process for each core is enough
        os.environ[f"{library}_NUM_THREADS"] = "1"

JUDGED = (
    *(f"analysis/statistics/{name}.py" for name in ("paired", "intervals", "arms", "verdicts", "interactions")),
    *(f"analysis/statistics/{name}.py" for name in ("seed_contrasts", "clustered", "ranks")),
    *(f"analysis/statistics/{name}.py" for name in ("crossed", "over_contexts", "races", "unpaired", "skillings_mack")),
    *("cktf/verdicts.py", "cktf/looks.py"),
    *(f"benchmarks/null_{name}.py" for name in ("study", "races", "factorial", "contexts", "population", "designs")),
)
"""Files that the numbers come from: those that judge, and those that simulate."""

STUDIES = {
    "null_study": 20_000, "null_races": 20_000, "null_factorial": 1000, "null_contexts": 2000, "null_population": 2000,
    "null_designs": 4000,
}  # fmt: skip
"""Module to the studies that it simulates for each row."""

INTRODUCTION = """\
# Simulations: what the verdicts are worth, in numbers

Written by `python benchmarks/simulations.py`, which takes some minutes; do not edit. [What they say in
words](statistics.md). Effects and `delta` are in standard deviations of the paired differences; the correlation is that
of an arm of the baseline's variance; *by sign flips* is what that test would do, were it to decide, and empty where it
cannot reach the level or, for power, where it was not simulated. A rate with ± is followed by its Monte Carlo standard
error; that of an error of 5% in 1000 studies is 0.7, and the largest of ten such rates is 6.1 on average.
"""


def code(node: Any) -> Any:
    """Return what a module computes, as nested lists: its syntax tree without docstrings and imports."""
    if isinstance(node, ast.AST):
        fields = [[name, code(value)] for name, value in ast.iter_fields(node) if value not in (None, [])]
        return [type(node).__name__, *fields]
    if isinstance(node, list):
        return [code(entry) for entry in node if not _computes_nothing(entry)]
    return repr(node)


def _computes_nothing(node: Any) -> bool:
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return is_text or isinstance(node, ast.Import | ast.ImportFrom)


def digest(file: Path) -> str:
    """Return a hash of what a module computes; other words in its docstrings and comments leave it as it is."""
    return hashlib.sha256(repr(code(ast.parse(file.read_bytes()))).encode()).hexdigest()[:40]


def tables(module: str) -> dict[str, Callable[[int, int], None]]:
    """Return the tables of one of the modules of `STUDIES`, by their titles."""
    # Here, for each process loads NumPy after the number of its threads is set.
    found: dict[str, Callable[[int, int], None]] = import_module(f"benchmarks.{module}").TABLES
    return found


def printed(module: str, title: str, studies: int, seed: int) -> tuple[str, float]:
    """Return a table in Markdown, and the seconds of one core that it took."""
    began = time.process_time()
    with redirect_stdout(io.StringIO()) as text:
        tables(module)[title](studies, seed)
    return text.getvalue(), time.process_time() - began


def page(parts: dict[str, str], studies: dict[str, int], seed: int, minutes: float) -> str:
    """Return the page of these tables, by their titles."""
    counts = ", ".join(f"{count} by `{module}.py`" for module, count in studies.items())
    lines = [
        INTRODUCTION,
        f"{datetime.now(UTC):%Y-%m-%d}, seed {seed}; studies a row: {counts}. {minutes:.1f} minutes of one core.\n",
        "| file | hash of its code |",
        "|---|---|",
        *(f"| {file} | {digest(ROOT / file)} |" for file in JUDGED),
    ]
    for title, text in parts.items():
        lines += [f"\n## {title}\n", text.rstrip()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Simulate in two processes, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=PAGE, help="the page")
    parser.add_argument("--share", type=float, default=1.0, help="of the studies that are simulated")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation")
    options = parser.parse_args()
    studies = {module: max(10, int(count * options.share)) for module, count in STUDIES.items()}
    asked = [(module, title) for module in STUDIES for title in tables(module)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        # The long ones first, so that none is left alone at the end.
        running = {
            title: pool.submit(printed, module, title, studies[module], options.seed)
            for module, title in reversed(asked)
        }
        found = {title: running[title].result() for _, title in asked}
    minutes = sum(seconds for _, seconds in found.values()) / 60
    texts = {title: text for title, (text, _) in found.items()}
    options.out.write_text(page(texts, studies, options.seed, minutes), encoding="utf-8")


if __name__ == "__main__":
    main()
