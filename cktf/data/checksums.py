"""Checksums that the files of a data set must have."""

import hashlib
import json
from pathlib import Path

from cktf.errors import InputError

GENERATED = "generated.json"
"""Name of the file, beside files that `cktf.data.generated` wrote, that holds their checksums."""


def checksums(folder: Path, published: dict[str, str]) -> dict[str, str]:
    """Return the MD5 sum of each file: the published one, or in a folder of generated files the one it was made with.

    Args:
        folder: Of the data set's files.
        published: File name to MD5 sum in hexadecimal digits.

    Raises:
        ValueError: If the list of a generated folder is damaged.
    """
    path = folder / GENERATED
    if not path.is_file():
        return published
    try:
        generated: dict[str, str] = json.loads(path.read_text())
        return {name: generated[name] for name in published}
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"data.root: {path} is damaged: {error!r}; generate the folder anew") from error


def md5(path: Path) -> str:
    """Return the MD5 sum of a file, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
