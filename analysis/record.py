"""The record of a report, ``report.json``: the files that it wrote, and the looks of earlier reports."""

import json
import os
import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from pyarrow import fs

from cktf.errors import InputError, naming
from cktf.storage import PATIENCE, below, has_file, open_folder, read, write

RECORD = "report.json"
RECORD_IS = "record of a report of cktf"

NAME = re.compile(r"((figures|tables)/)?\w[^/]*")
"""Allowed names of a report's files, so that an edited record cannot reach any other file."""


class Record:
    """The list of the files that reports have written into a folder; a file is listed before it is written.

    Args:
        place: The report directory, a folder or a URI.

    Attributes:
        names: Names of the files, relative to the directory.
        looks: Reports of unfinished or extended studies: ``run``, ``time`` and how many trials were ``complete``.

    Raises:
        InputError: If the folder has a file ``report.json`` that is not such a record.
    """

    def __init__(self, place: str | os.PathLike[str]) -> None:
        self._place = os.fspath(place)
        self._folder = open_folder(place)
        self.names, self.looks = self._read()

    def refuse_others(self, names: Collection[str]) -> None:
        """Raise an InputError if one of these files is there that no report has written."""
        with naming(self._place):
            there = self._folder.get_file_info(fs.FileSelector("", allow_not_found=True, recursive=True))
        for info in sorted(there, key=lambda info: str(info.path)):
            if info.path in names and info.path not in self.names:
                raise InputError(
                    f"{below(self._place, info.path)}: is in the place of a file of the report, and {RECORD} does not "
                    "list it as the report's own; nothing is written. Move it, or choose another folder"
                )

    def claim(self, names: Collection[str]) -> None:
        """List files that are about to be written; raise an InputError as `refuse_others` does."""
        self.refuse_others(names)
        self._write(self.names | {*names}, patience=0)  # a folder that cannot be written to is reported at once

    def release(self, names: Collection[str]) -> None:
        """Delete those of the files that the report lists and that exist, and take them off the list."""
        for info in self._folder.get_file_info(sorted({*names} & self.names)):
            if info.is_file:
                self._folder.delete_file(info.path)
        self._write(self.names - {*names})

    def looked(self, run: str, complete: int, *, is_look: bool) -> int:
        """Return the number of looks at a run, after adding this one if it is a look at a new count of complete trials.

        The next `claim` writes it to the record.
        """
        if is_look and not any((look["run"], look["complete"]) == (run, complete) for look in self.looks):
            now = datetime.now(UTC).isoformat(timespec="seconds")
            self.looks.append({"run": run, "time": now, "complete": complete})
        return sum(look["run"] == run for look in self.looks)

    def _read(self) -> tuple[set[str], list[dict[str, Any]]]:
        with naming(self._place):
            is_there = has_file(self._folder, RECORD)
        if not is_there:
            return set(), []
        try:
            values = json.loads(read(self._folder, RECORD))
            if values["is"] == RECORD_IS:
                looks = [
                    {"run": str(look["run"]), "time": str(look["time"]), "complete": int(look["complete"])}
                    for look in values.get("looks", ())
                ]
                return {name for name in values["files"] if NAME.fullmatch(name)}, looks
        except (ValueError, LookupError, TypeError):
            pass
        raise InputError(
            f"{below(self._place, RECORD)}: is not the record of a report; move it, or choose another folder"
        )

    def _write(self, names: set[str], patience: float = PATIENCE) -> None:
        self.names = names
        looks = {"looks": self.looks} if self.looks else {}
        values = {"is": RECORD_IS, "version": 1, "files": sorted(names), **looks}
        write(self._folder, RECORD, f"{json.dumps(values, indent=1)}\n".encode(), patience)
