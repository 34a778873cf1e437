"""What a report owns is what its record lists."""

import json
from pathlib import Path

import pytest

from analysis.record import RECORD, RECORD_IS, Record

LOOKS_OF_NOTHING = json.dumps({"is": RECORD_IS, "files": [], "looks": [{"run": "run-1"}]})


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


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"is": "mine", "files": []}', "\ud800", LOOKS_OF_NOTHING])
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


def test_looks_are_read_again_once_for_each_run_and_number_of_trials(tmp_path: Path) -> None:
    Record(tmp_path).claim({"report.html"})
    assert "looks" not in json.loads((tmp_path / RECORD).read_text())  # as older versions wrote it
    for complete, found in ((4, 1), (6, 2), (6, 2)):
        record = Record(tmp_path)
        assert record.looked("run-1", complete, is_look=True) == found
        record.claim({"report.html"})
    Record(tmp_path).release({"report.html"})
    record = Record(tmp_path)
    assert record.looked("run-1", 8, is_look=False) == 2
    assert record.looked("run-2", 8, is_look=False) == 0
    assert [look["complete"] for look in record.looks] == [4, 6]
