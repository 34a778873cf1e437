"""Which files of a folder are a report's own: those that its record, ``report.json``, lists, and no others.

The record is written before the files, so that a report that was killed halfway still owns what it wrote.
"""

import json
import os
import re
from collections.abc import Collection, Iterable

from pyarrow import fs

from cktf.errors import InputError
from cktf.storage import PATIENCE, below, has_file, open_folder, read, write

RECORD = "report.json"
RECORD_IS = "record of a report of cktf"

NAME = re.compile(r"((figures|tables|epochs\.parquet)/)?\w[^/]*")
"""What a file of a report may be called; a record that was changed must not reach any other file."""


class Record:
    """The files that are a report's own.

    Args:
        place: The report directory, a folder or a URI.

    Attributes:
        names: Of the files, relative to the directory.

    Raises:
        ValueError: If a file of the record's name is there that is none.
    """

    def __init__(self, place: str | os.PathLike[str]) -> None:
        self._place = os.fspath(place)
        self._folder = open_folder(place)
        self.names = self._read()

    def others(self, names: Iterable[str]) -> list[str]:
        """Return those of some files that are there and not the report's own."""
        asked = {*names} - self.names
        there = {"": fs.FileType.Directory} | self._listed("")
        for above in {name.rpartition("/")[0] for name in asked} - {""}:  # few lists cost less than many looks
            there |= self._listed(above) if there.get(above) == fs.FileType.Directory else {}
        return sorted(asked & there.keys())

    def _listed(self, folder: str) -> dict[str, fs.FileType]:
        infos = self._folder.get_file_info(fs.FileSelector(folder, allow_not_found=True))
        return {info.path: info.type for info in infos}

    def refuse_others(self, names: Collection[str]) -> None:
        """Raise a ValueError if one of these files is there and not the report's own.

        A folder that is read as one table may hold no other file at all.
        """
        others = self.others(names)
        for table in sorted({above for name in names if (above := name.rpartition("/")[0]).endswith(".parquet")}):
            selector = fs.FileSelector(table, allow_not_found=True)
            if self._folder.get_file_info(table).type == fs.FileType.File:
                others.append(table)
                continue
            found = {info.path for info in self._folder.get_file_info(selector)} - self.names - {*others}
            others += sorted(name for name in found if not name.rpartition("/")[2].startswith("."))
        if others:
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            raise InputError(
                f"{below(self._place, others[0])}: is in the place of a file of the report{more}, and {RECORD} does "
                "not list it as the report's own; nothing is written. Move it, or choose another folder. (A report "
                "from before there was such a list can be deleted as a whole.)"
            )

    def claim(self, names: Collection[str]) -> None:
        """Add files that are about to be written; raise a ValueError as `refuse_others` does."""
        self.refuse_others(names)
        self._write(self.names | {*names}, patience=0)  # what may never be written to is said at once

    def release(self, names: Collection[str]) -> None:
        """Delete files of the report, those that are there, and take them off the record."""
        for info in self._folder.get_file_info(sorted({*names} & self.names)):
            if info.is_file:
                self._folder.delete_file(info.path)
        self._write(self.names - {*names})

    def _read(self) -> set[str]:
        if not has_file(self._folder, RECORD):
            return set()
        try:
            values = json.loads(read(self._folder, RECORD))
            if values["is"] == RECORD_IS:
                return {name for name in values["files"] if NAME.fullmatch(name)}
        except (ValueError, LookupError, TypeError):
            pass
        raise InputError(
            f"{below(self._place, RECORD)}: is not the record of a report, and stands where one is written; move it, "
            "or choose another folder"
        )

    def _write(self, names: set[str], patience: float = PATIENCE) -> None:
        self.names = names
        values = {"is": RECORD_IS, "version": 1, "files": sorted(names)}
        write(self._folder, RECORD, f"{json.dumps(values, indent=1)}\n".encode(), patience)
