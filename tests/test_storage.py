import pickle
import resource
import signal
from pathlib import Path

import pytest

from cktf.errors import InputError
from cktf.storage import Storage


def test_what_is_written_is_read(tmp_path: Path) -> None:
    place = Storage(tmp_path / "run")
    place.write("a/b.bin", b"one")
    place.write("a/b.bin", b"two")
    assert place.read("a/b.bin") == b"two"
    assert place.child("a").names(".bin") == ["b.bin"]
    assert [path.name for path in (tmp_path / "run" / "a").iterdir()] == ["b.bin"], "no partial file is left"


def test_what_is_not_there_reads_as_none_and_is_deleted_in_silence(tmp_path: Path) -> None:
    place = Storage(tmp_path / "nowhere")
    assert place.read("x") is None
    assert place.names() == []
    place.delete("x")
    place.clear()


def test_clear_removes_the_folder_and_nothing_beside_it(tmp_path: Path) -> None:
    Storage(tmp_path / "one").write("x", b"")
    Storage(tmp_path / "two").write("x", b"")
    Storage(tmp_path / "one").clear()
    assert [path.name for path in tmp_path.iterdir()] == ["two"]


def test_a_storage_travels_as_its_root_alone(tmp_path: Path) -> None:
    place = Storage(tmp_path / "a b")
    again = pickle.loads(pickle.dumps(place))
    assert again.root == place.root
    again.write("x", b"1")
    assert place.read("x") == b"1"


def test_a_bucket_works_like_a_folder() -> None:
    # Arrow's own in-memory file system stands for an object store: no rename, no append.
    place = Storage("mock://run")
    assert not place.is_local
    place.filesystem.create_dir("run")
    place.write("x", b"1")
    assert place.read("x") == b"1"


def test_a_bucket_s_options_stay_behind_its_folders() -> None:
    run = Storage("s3://bucket/run?region=us-east-1")
    assert run.root == "s3://bucket/run?region=us-east-1"
    assert run.full("study.json") == "bucket/run/study.json"
    trial = run.child("trials", "abc")
    assert trial.root == "s3://bucket/run/trials/abc?region=us-east-1"
    assert trial.path == "bucket/run/trials/abc"
    assert trial.filesystem.region == "us-east-1"
    assert trial.child("workers").full("x") == "bucket/run/trials/abc/workers/x"


def test_a_question_mark_in_a_local_folder_is_part_of_its_name(tmp_path: Path) -> None:
    Storage(tmp_path / "why?").child("trials").write("x", b"1")
    assert (tmp_path / "why?" / "trials" / "x").read_bytes() == b"1"


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("", "the name of a folder is empty"),
        (
            "~nobody-of-this-name/run",
            "~nobody-of-this-name/run: is no name of a folder: Could not determine home directory",
        ),
        ("a\0b", r"a\x00b: is no name of a folder: embedded null byte"),
        ("s3://", "s3://: names no bucket; use a folder, or a URI such as s3://bucket/run"),
        ("s3:///run", "s3:///run: is not a run directory: Missing bucket name in S3 URI; use"),
        ("foo://x\x1b", r"foo://x\x1b: is not a run directory: "),
        ("file:///no such", "file:///no such: is not a run directory: "),
        ("loop", "loop: is no name of a folder: Symlink loop"),
    ],
)
def test_a_place_that_cannot_be_opened_is_told_in_one_line_that_names_it_once(
    place: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    with pytest.raises(InputError) as error:
        Storage(place)
    assert told in str(error.value)
    assert str(error.value).isprintable()
    assert not place or str(error.value).count(f"{place}:") <= 1


def test_without_a_home_folder_a_place_below_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda _: dict[str, str]()["no such user"])
    with pytest.raises(InputError, match=r"^~/run: is no name of a folder: Could not determine home directory"):
        Storage("~/run")


def test_a_place_that_cannot_be_written_raises_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Storage(tmp_path / "file" / "run").write("x", b"1")


def test_a_full_disk_keeps_the_old_content_and_no_half_of_the_new(tmp_path: Path) -> None:
    place = Storage(tmp_path)
    place.write("x", b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # files may grow to this size, as on a disk
    try:
        with pytest.raises(OSError, match="File too large"):
            place.write("x", b"n" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert place.read("x") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
