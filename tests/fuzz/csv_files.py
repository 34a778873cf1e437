"""Tables of results in CSV files, damaged in cells, lines and bytes, and the options that read them."""

import csv
import io
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from analysis.foreign import read
from cktf.foreign_options import Options
from tests.fuzz.driver import Case
from tests.fuzz.mutations import ODD_NUMBERS, ODD_TEXTS, changed_bytes, changed_text
from tests.fuzz.reading import read_through

HEADERS = (("arm", "seed", "acc"), ("method", "seed", "acc", "dataset"), ("arm", "seed", "loss", "status"))
STATUSES = ("complete", "failed", "running", "?", "")


@cache
def _read_one() -> None:
    """Read a whole table once, so that no case pays for what is imported then."""
    with TemporaryDirectory(prefix="cktf-fuzz-") as folder:
        file = Path(folder) / "whole.csv"
        file.write_text("arm,seed,acc\nbaseline,0,70.0\nbaseline,1,71.0\nkd,0,72.0\nkd,1,72.5\n")
        read_through(read("csv", str(file), Options(metric="acc")))


def csv_files(draws: Random, folder: Path) -> Case:
    """Return a CSV file of two or three arms in which something was changed, and how it is read."""
    _read_one()
    headers = draws.choice(HEADERS)
    rows = _rows(headers, draws)
    words = []
    for _ in range(draws.choice((0, 0, 0, 1, 1, 1, 2, 5))):
        row = draws.randrange(len(rows))
        match draws.randrange(7):
            case 0:
                rows[row].append(draws.choice(ODD_TEXTS))
                words.append(f"one more cell in line {row + 1}")
            case 1 if rows[row]:
                rows[row].pop()
                words.append(f"one cell less in line {row + 1}")
            case 2:
                rows.append(rows[row])
                words.append(f"line {row + 1} twice")
            case 3 | 4 if row:
                old, new = (rows[row] or [""])[0], draws.choice(ODD_TEXTS)
                rows = [[new if cell == old else cell for cell in line] for line in rows]
                words.append(f"{old!a} is called {new[:40]!a}")
            case _ if rows[row]:
                column = draws.randrange(len(rows[row]))
                rows[row][column] = str(draws.choice((*ODD_TEXTS, *ODD_NUMBERS[:-20])))
                words.append(f"line {row + 1}, cell {column + 1}")
    text = io.StringIO()
    csv.writer(text, delimiter="," if draws.random() < 0.85 else draws.choice((";", "\t"))).writerows(rows)
    content, what = _encoded(text.getvalue(), draws)
    file = folder / draws.choice(("results.csv", "results.csv", "results.tsv", "a b#c?%.csv"))
    file.write_bytes(content)
    options = _options(headers, draws)
    given = {key: value for key, value in vars(options).items() if value not in (None, False)}
    return Case(
        f"{', '.join([*words, what])}; {given}",
        lambda: read_through(read("csv", str(file), options)),
        (
            file.name,
            *("margin", "alternative", "family"),
            *(
                f"--{option}"
                for option in (
                    "metric",
                    "arm",
                    "seed",
                    "context",
                    "baseline",
                    "delta",
                    "status",
                    "minimise",
                    "contrast",
                )
            ),
        ),
    )


def _rows(headers: tuple[str, ...], draws: Random) -> list[list[str]]:
    rows = [list(headers)]
    for arm in ("baseline", "kd", "at")[: draws.choice((2, 3))]:
        for seed in range(draws.choice((1, 3, 4))):
            for last in {"dataset": ("a", "b"), "status": ("complete",)}.get(headers[-1], ("",)):
                cells = [arm, str(seed), f"{draws.gauss(70, 1):.3f}", last]
                rows.append(cells[: len(headers)])
    return rows


def _encoded(text: str, draws: Random) -> tuple[bytes, str]:
    match draws.randrange(8):
        case 0:
            text, what = changed_text(text, draws)
            return text.encode(errors="surrogatepass"), what
        case 1:
            return changed_bytes(text.encode(), draws)
        case 2:
            encoding = draws.choice(("utf-16", "utf-8-sig", "latin-1", "utf-32"))
            return (text + "é,1,2\n").encode(encoding, errors="replace"), encoding
    return text.encode(), "utf-8"


def _options(headers: tuple[str, ...], draws: Random) -> Options:
    arm, seed, metric, *more = headers

    def said(name: str) -> str:
        return name if draws.random() < 0.95 else draws.choice((*ODD_TEXTS, *headers))

    return Options(
        metric=said(metric),
        arm=said(arm),
        seed=said(seed),
        minimise=metric == "loss" and draws.random() < 0.8,
        maximise=draws.random() < 0.1,
        context=said("dataset") if "dataset" in more and draws.random() < 0.8 else None,
        status=said("status") if "status" in more and draws.random() < 0.5 else None,
        baseline=said("baseline"),
        contrast=draws.choice((None, None, ["kd,baseline"], ["kd, at", "baseline"], [draws.choice(ODD_TEXTS)])),
        family=draws.choice((None, "context", draws.choice(ODD_TEXTS)) if draws.random() < 0.2 else (None,)),
        alternative=draws.choice((None, None, None, "better", "worse")),
        margin=draws.choice((None, None, None, -0.5, float("nan"))),
        delta=draws.choice((None, 0.5) if draws.random() < 0.9 else (0.0, -1.0, float("nan"), 1e300)),
    )
