"""Plug-ins: how they are found, identified and imported, and what is said of one that is wrong."""

import inspect
from pathlib import Path

import pytest

from cktf.errors import InputError
from cktf.plugins import KINDS, Plugin, file_plugin, find_plugin, import_plugin, parts_of, together
from cktf.study.reference import SchemaOfFiles

SOURCE = b"""
from cktf.settings import Settings


class Sizes(Settings):
    side: int = 3
    \"\"\"In pixels.\"\"\"


def net(classes, channels):
    raise ValueError("no network yet")


MODELS = {"net": net}
"""


def test_a_file_is_known_by_its_content_and_imported_once() -> None:
    plugin = file_plugin("mine.py", SOURCE)
    assert plugin.version == file_plugin("other.py", SOURCE).version != file_plugin("mine.py", SOURCE + b"#").version
    module = import_plugin(plugin)
    assert import_plugin(plugin) is module
    assert parts_of(plugin) == {"MODELS": {"net": module.net}}


def test_a_file_may_begin_with_a_byte_order_mark() -> None:
    assert parts_of(file_plugin("mine.py", b"\xef\xbb\xbfMODELS = {'net': int}\r\n")) == {"MODELS": {"net": int}}


def test_its_text_is_shown_by_tracebacks_and_read_by_what_inspects_it() -> None:
    import_plugin(file_plugin("mine.py", SOURCE + b"# another file of this name"))
    module = import_plugin(file_plugin("mine.py", SOURCE))
    schema = module.Sizes.model_json_schema(schema_generator=SchemaOfFiles)
    assert schema["properties"]["side"]["description"] == "In pixels."
    assert "no network yet" in inspect.getsource(module.net)
    with pytest.raises(ValueError, match="no network yet") as caught:
        module.net(2, 1)
    assert str(caught.traceback[-1].path).endswith("mine.py")


def test_a_file_is_relative_to_the_study_s_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_bytes(SOURCE)
    assert find_plugin("mine.py", tmp_path) == file_plugin("mine.py", SOURCE)
    (tmp_path / "below").mkdir()
    assert find_plugin("../mine.py", tmp_path / "below") == file_plugin("mine.py", SOURCE)


def test_an_installed_module_is_known_by_its_package_and_another_by_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy

    assert find_plugin("numpy.linalg", tmp_path).version == f"numpy {numpy.__version__}"
    (tmp_path / "nobodys_nets.py").write_bytes(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    plugin = find_plugin("nobodys_nets", tmp_path)
    assert plugin == Plugin("nobodys_nets", file_plugin("", SOURCE).version, module="nobodys_nets")
    assert list(parts_of(plugin)) == ["MODELS"]


def test_an_entry_point_names_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab_nets.py").write_bytes(SOURCE)
    info = tmp_path / "lab-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.2\n")
    (info / "RECORD").write_text("lab_nets.py,,\n")
    (info / "entry_points.txt").write_text("[cktf.plugins]\nlab = lab_nets\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_plugin("lab", tmp_path) == Plugin("lab", "lab 1.2", module="lab_nets")


WRONG = {
    "def (": r"mine\.py, line 1: raises SyntaxError: .* when it is imported",
    "def f():\n  g()\ndef g():\n  1 / 0\nf()": r"mine\.py, line 4: raises ZeroDivisionError: division by zero when",
    "import nowhere_to_be": r"mine\.py, line 1: raises ModuleNotFoundError: No module named 'nowhere_to_be'",
    "raise SystemExit(3)": r"mine\.py, line 1: raises SystemExit: 3 when it is imported",
    "x = 1": rf"mine\.py: has none of the dicts {', '.join(KINDS)}, one of which a plug-in has",
    "MODELS = ['a']": r"mine\.py: MODELS: must be a dict of names; got list",
    "MODELS = {'a.b': 1}": r"mine\.py: MODELS: a name must be text without dots, slashes and blanks; got 'a\.b'",
    "MODELS = {3: 1}": r"MODELS: a name must be text .*; got 3",
}


@pytest.mark.parametrize("source", WRONG)
def test_what_is_wrong_with_a_file_is_said_in_one_message(source: str) -> None:
    for _ in range(2):  # a file that raised is not half imported afterwards
        with pytest.raises(InputError, match=WRONG[source]):
            parts_of(file_plugin("mine.py", source.encode()))


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(InputError, match=r"mine\.py: raises UnicodeDecodeError"):
        parts_of(file_plugin("mine.py", b"\xff"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone.py", r"gone\.py: there is no such file"),
        ("a-b", "'a-b': is neither a file that ends in .py nor the name of a module"),
        ("", "''"),
        ("nowhere_to_be_found.nets", "there is no module of this name; a file's name ends in .py"),
    ],
)
def test_what_is_not_there_is_said_by_name(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        find_plugin(name, tmp_path)


def test_a_device_and_a_huge_file_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "zero.py").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="there is no such file"):
        find_plugin("zero.py", tmp_path)
    (tmp_path / "huge.py").write_bytes(b"#" * 1_000_001)
    with pytest.raises(InputError, match=r"huge\.py: is larger than 1,000 kB"):
        find_plugin("huge.py", tmp_path)


def test_two_plugins_that_define_one_name_are_refused() -> None:
    with pytest.raises(InputError, match=r"b\.py: MODELS: a\.py has model 'net' too"):
        together([file_plugin("a.py", SOURCE), file_plugin("b.py", SOURCE + b"#")])
