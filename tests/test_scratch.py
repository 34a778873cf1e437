"""Folders of a process's own, and what a killed one leaves."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cktf.scratch import NEW_SECONDS, OWNER, scratch_folder

KEEPER = "import sys, time; from cktf.scratch import scratch_folder\n" + (
    "with scratch_folder(sys.argv[1]) as folder: print(folder, flush=True); time.sleep(600)"
)


def make_old(folder: Path) -> None:
    before = (folder / OWNER).stat().st_mtime - 2 * NEW_SECONDS
    os.utime(folder / OWNER, (before, before))


def test_a_killed_driver_s_folder_is_removed_by_the_next_and_a_living_one_s_stays(tmp_path: Path) -> None:
    other = tmp_path / "cktf-somebody"
    other.mkdir()
    keeper = subprocess.Popen([sys.executable, "-c", KEEPER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert keeper.stdout
        theirs = Path(keeper.stdout.readline().strip())
        make_old(theirs)
        with scratch_folder(str(tmp_path)) as own:
            assert theirs.exists()
            assert stat.S_IMODE(Path(own).stat().st_mode) == 0o700
        assert not Path(own).exists()
    finally:
        keeper.send_signal(signal.SIGKILL)
        keeper.communicate()
    with scratch_folder(str(tmp_path)):
        assert not theirs.exists()
        assert other.exists()


def test_what_cannot_be_removed_yet_is_removed_by_a_later_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = shutil.rmtree

    def remove_too_early(*path: Any, **how: Any) -> None:
        remove(*path, **how)
        (folder / "ray").mkdir(parents=True, exist_ok=True)  # by a service that still writes

    with monkeypatch.context() as patched, scratch_folder(str(tmp_path)) as own:
        folder = Path(own)
        (folder / "ray").mkdir()
        patched.setattr(shutil, "rmtree", remove_too_early)
    assert (folder / OWNER).exists()
    make_old(folder)
    with scratch_folder(str(tmp_path)):
        assert not folder.exists()
