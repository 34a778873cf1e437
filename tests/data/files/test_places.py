"""Where data sets are looked for, and how places are shown."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from cktf.data import DATASETS, DataConfig, load_dataset
from cktf.data.files.places import data_folder, some_of

FILED = [name for name in DATASETS if name != "digits"]


@pytest.mark.parametrize("name", FILED)
def test_the_home_folder_of_nobody_is_one_message(name: str) -> None:
    config = DataConfig(name=name, root="~nobody-of-this-name/data", side=16)
    with pytest.raises(ValueError, match=r"data\.root: ~nobody-of-this-name/data: no home folder is known"):
        load_dataset(config)


def test_a_user_without_a_home_folder_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("CKTF_DATA", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_123)  # no user's
    with pytest.raises(
        ValueError, match=r"\$CKTF_DATA: ~/\.cache/cktf/data: no home folder is known .* set \$CKTF_DATA"
    ):
        data_folder(None)


@pytest.mark.parametrize("name", FILED)
@pytest.mark.parametrize("root", ["x" * 300, "/dev/zero", "/dev/null/x", "a/" * 3000], ids=lambda root: root[:12])
def test_places_that_hold_nothing_are_one_message(tmp_path: Path, name: str, root: str) -> None:
    place = root if root.startswith("/") else f"{tmp_path}/{root}"
    with pytest.raises(ValueError, match=r"data\.(root|name): ") as told:
        load_dataset(DataConfig(name=name, root=place, side=16).with_content())
    assert len(str(told.value)) < 40_000
    assert place[:100] in str(told.value)


@pytest.mark.parametrize("root", ["a\0b", "a\ud800b"])
def test_what_is_no_path_is_refused(root: str) -> None:
    with pytest.raises(ValidationError, match=r"must be a path.*; got 'a\\"):
        DataConfig(name="mnist", root=root)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(ValueError, match=r"data\.root: .*closed.* cannot be read: Permission denied"):
        load_dataset(DataConfig(name="mnist", root=str(tmp_path / "closed")))


def test_long_lists_are_said_in_short() -> None:
    assert some_of(["a", "b", "c"]) == "a, b, c"
    assert some_of(list("abcdefg")) == "a, b, c and 4 more"
