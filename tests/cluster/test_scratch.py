"""Folders of a driver's own, and what a killed one leaves."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

from cktf.cluster.scratch import NEW_SECONDS, OWNER, scratch_folder

KEEPER = "import sys, time; from cktf.cluster.scratch import scratch_folder\n" + (
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
