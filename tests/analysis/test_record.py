"""What a report owns is what its record lists."""

import json
from pathlib import Path

import pytest

from analysis.record import RECORD, Record


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("content")


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_what_was_claimed_is_owned_and_released_files_are_deleted(tmp_path: Path, scheme: str) -> None:
    record = Record(f"{scheme}{tmp_path}")
    record.claim({"report.html", "figures/a.svg"})
    write(tmp_path, "report.html", "figures/a.svg", "figures/mine.svg")
    later = Record(f"{scheme}{tmp_path}")
    assert later.names == {"report.html", "figures/a.svg"}
    later.claim({"report.html"})
    later.release({"figures/a.svg", "figures/mine.svg"})
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["mine.svg", "report.html", RECORD]
    assert Record(tmp_path).names == {"report.html"}


def test_a_claim_to_another_s_file_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, "figures/a.svg", "figures/b.svg")
    with pytest.raises(ValueError, match=rf"^{tmp_path}/figures/a\.svg: is in the place .* and report\.json does not"):
        Record(tmp_path).claim({"figures/a.svg", "figures/b.svg", "figures/c.svg"})
    assert not (tmp_path / RECORD).exists()


def test_a_table_that_is_a_folder_holds_no_file_of_others(tmp_path: Path) -> None:
    write(tmp_path, "epochs.parquet/part-00007.parquet")
    with pytest.raises(ValueError, match="part-00007"):
        Record(tmp_path).claim({"epochs.parquet/part-00000.parquet"})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"is": "mine", "files": []}', "\ud800"])
def test_a_file_of_the_record_s_name_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD).write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(ValueError, match=rf"^{tmp_path}/{RECORD}: is not the record of a report"):
        Record(tmp_path)


def test_a_record_that_was_changed_reaches_no_file_outside_the_report(tmp_path: Path) -> None:
    out = tmp_path / "out"
    Record(out).claim({"report.html"})
    values = json.loads((out / RECORD).read_text())
    outside = ["../mine.txt", "/mine.txt", "figures/../../mine.txt", "other/mine.txt", ".hidden"]
    (out / RECORD).write_text(json.dumps(values | {"files": [*values["files"], *outside]}))
    assert Record(out).names == {"report.html"}
