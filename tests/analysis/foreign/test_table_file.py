"""Tables in the many forms that programs write them in."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import read_csv
from analysis.foreign.table_file import MOST_BYTES
from analysis.results import Results
from cktf.errors import InputError

ROWS = [("baseline", 0, 70.5), ("baseline", 1, 71.25), ("kd", 0, 72.5), ("kd", 1, 73.75)]
FRAME = pd.DataFrame(ROWS, columns=["arm", "seed", "acc"])
TEXT = FRAME.to_csv(index=False)
GERMAN = TEXT.replace(",", ";").replace(".", ",")

FORMS = {
    "tabs": TEXT.replace(",", "\t").encode(),
    "bars": TEXT.replace(",", "|").encode(),
    "blanks": TEXT.replace(",", "   ").encode(),
    "utf-8 with its mark": TEXT.encode("utf-8-sig"),
    "utf-16": TEXT.encode("utf-16"),
    "utf-16, the other way": b"\xfe\xff" + TEXT.encode("utf-16-be"),
    "comments": f"# made by a script\n\n# on, some, day\n{TEXT}# the end\n".encode(),
    "old ends of lines": TEXT.replace("\n", "\r\n").encode(),
    "records of JSON": FRAME.to_json(orient="records").encode(),
    "lines of JSON": FRAME.to_json(orient="records", lines=True).encode(),
    "seeds with points": ("arm,seed,acc\n" + "".join(f"{a},{s}.0,{x}\n" for a, s, x in ROWS)).encode(),
}


def read(path: Path, content: bytes, **options: Any) -> Results:
    """Return the results of a file of such bytes."""
    path.write_bytes(content)
    return read_csv(path, metric="acc", **options)


@pytest.mark.parametrize("form", FORMS)
def test_what_can_mean_one_thing_alone_is_read(form: str, tmp_path: Path) -> None:
    results = read(tmp_path / "a.csv", FORMS[form])
    assert results.trials["arm"].tolist() == FRAME["arm"].tolist()
    assert results.trials["seed"].tolist() == FRAME["seed"].tolist()
    assert results.trials["metric.acc"].tolist() == FRAME["acc"].tolist()


def test_parquet_is_read(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "a.parquet")
    results = read_csv(tmp_path / "a.parquet", metric="acc")
    assert results.trials["metric.acc"].tolist() == FRAME["acc"].tolist()


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (TEXT.replace(",", "~").encode(), {"separator": "~"}),
        (TEXT.replace(",", "\t").encode(), {"separator": "tab"}),
        (TEXT.replace("kd", "é").encode("latin-1"), {"encoding": "latin-1"}),
        (TEXT.encode("utf-16-le"), {"encoding": "utf-16-le"}),
        (GERMAN.replace("70,5", "70,500").replace("5\n", "500\n").encode(), {"decimal": ","}),
        (GERMAN.replace(";acc", ";acc;epoch").replace("5\n", "5;2,0\n").encode(), {"decimal": ",", "step": "epoch"}),
    ],
)
def test_an_option_says_what_the_file_does_not(content: bytes, options: dict[str, str], tmp_path: Path) -> None:
    results = read(tmp_path / "a.csv", content, **options)
    assert results.effects["n_pairs"].tolist() == [2]
    assert results.trials["metric.acc"].iloc[0] == 70.5


BAD = {
    "latin-1": (
        TEXT.replace("kd", "é").encode("latin-1"),
        {},
        "is not text in utf-8 at byte 47; --encoding names another, such as cp1252, latin-1",
    ),
    "half a utf-16": (TEXT.encode("utf-16")[:-1], {}, "is not text in utf-16"),
    "thousands": (b'arm,seed,acc\nbaseline,0,"1,070"\n', {}, "line 2 has '1,070'; --decimal , reads a comma as the"),
    "both signs": (b'arm,seed,acc\nbaseline,0,"1.070,5"\n', {}, "line 2 has '1.070,5'"),
    "a point beside commas": (b"arm;seed;acc\nbaseline;0;1.5\n", {"decimal": ","}, "line 2 has '1.5'"),
    "another sign": (TEXT.encode(), {"separator": ";;"}, "--separator ';;': is one sign"),
    "a quote": (TEXT.encode(), {"separator": '"'}, "--separator '\"': is one sign"),
    "no sign": (TEXT.encode(), {"separator": ""}, "--separator '': is one sign"),
    "a decimal sign": (TEXT.encode(), {"decimal": "x"}, "--decimal 'x': is a point or a comma"),
    "an encoding": (TEXT.encode(), {"encoding": "klingon"}, "--encoding 'klingon': no such encoding"),
    "no text": (TEXT.encode(), {"encoding": "base64"}, "--encoding 'base64': no such encoding"),
    "NUL": (TEXT.encode(), {"encoding": "a\0"}, "--encoding 'a\\x00': no such encoding"),
    "a bomb": (b"a," * MOST_BYTES, {}, "is larger than 64 MiB"),
    "torn Parquet": (b"PAR1" + b"x" * 30, {}, "no Parquet file that can be read"),
    "torn JSON": (b'[{"arm": ', {}, "is neither a list nor lines of JSON"),
    "deep JSON": (b"[" * 100_000, {}, "is neither a list nor lines of JSON"),
    "a list of lists": (b"[[1, 2]]", {}, "row 1 must be a mapping of column to value; got [1, 2]"),
    "nested JSON": (b'[{"arm": {"a": 1}}]', {}, "row 1, 'arm': must be one value; got {\"a\": 1}"),
    "no records": (b"[]", {}, "no table: it is empty"),
    "quotes that never end": (b'arm,seed,acc\n"kd,0,1\nkd,1,2\n', {}, "line 2 has 1 cells under 3 columns"),
    "a long cell": (b"arm,seed,acc\nkd,0," + b"1" * 200_000, {}, "no table of separated values"),
    "a seed of 5,000 digits": (
        b"arm,seed,acc\nkd," + b"1" * 5000 + b",1\n",
        {},
        "a seed is a whole number of at most 64 bits; line 2 has '" + "1" * 59 + "...",
    ),
    "a word before seeds": (b"arm,seed,acc\nbaseline,s0,1\nkd,s0,1\n", {}, "line 2 has 's0'"),
    "a wide table": (
        b"method,seed0,seed1\nkd,1,2\n",
        {},
        "no column is called 'arm' (--arm), 'seed' (--seed), 'acc' (--metric); there are: method, seed0, seed1; a row "
        "is one arm at one seed",
    ),
    "a capital baseline": (b"arm,seed,acc\nBaseline,1,2\n", {}, "'Baseline' differs by capitals alone"),
    "a sign that is invisible": (b"arm,seed,acc\nbaseline,0,1\x00\n", {}, "line 2 has '1\\x00'"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_told_with_the_option_that_reads_it(case: str, tmp_path: Path) -> None:
    content, options, told = BAD[case]
    with pytest.raises(InputError) as error:
        read(tmp_path / "a.csv", content, **options)
    assert told in str(error.value)
    assert str(error.value).startswith((str(tmp_path / "a.csv"), "--"))
    assert len(str(error.value)) < 500


def test_folds_are_contexts(tmp_path: Path) -> None:
    rows = [f"{arm},{seed},{fold},{fold + seed}" for arm in ("baseline", "kd") for seed in (0, 1) for fold in (0, 1)]
    lines = "\n".join(rows)
    with pytest.raises(InputError, match=r"the last epoch's; each data set is a context \(--context COLUMN"):
        read(tmp_path / "a.csv", f"arm,seed,fold,acc\n{lines}\n".encode())
    assert read(tmp_path / "a.csv", f"arm,seed,fold,acc\n{lines}\n".encode(), context="fold").contexts == ["0", "1"]


def test_halves_of_surrogate_pairs_are_no_characters(tmp_path: Path) -> None:
    rows = [{"arm": arm, "seed": 0, "acc": 1.0} for arm in ("baseline", "\ud800", "\ud801")]
    results = read(tmp_path / "a.json", json.dumps(rows).encode())
    assert results.trials["arm"].tolist() == ["baseline", "\\ud800", "\\ud801"]
