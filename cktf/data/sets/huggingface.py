"""The user's own images in Parquet files, or in the Arrow files of `datasets.save_to_disk`, with encoded images."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cktf.data.dataset import Dataset
from cktf.data.files.image_files import MADE_BY, Encoded, decoded, size_of
from cktf.data.files.mapped import mapped_images
from cktf.data.files.places import DataPlace, DatasetMissing, data_folder, files_digest, some_of, state_of
from cktf.data.sets.own import own_dataset, test_part
from cktf.errors import InputError

if TYPE_CHECKING:  # imported where it is used, so that training alone needs no pyarrow
    import pyarrow as pa

HUGGINGFACE = "huggingface"
"""Name of the data set."""

_IMAGES = ("image", "img")
_LABELS = ("label", "labels", "fine_label")
_PART = re.compile(r"(?:^|[-_.])(train|test|validation|valid|val)(?=[-_.]|$)")
_SHARD = re.compile(r"-(\d+)-of-(\d+)$")
_DEEPEST = 3  # levels that are searched: the root and two below it
_AT_A_TIME = 256  # rows in memory while images are decoded


def load_huggingface(place: DataPlace) -> Dataset:
    """Return the images of a data set as Hugging Face's hub and library store it, decoded once, in colour.

    A file's part is that of its name, ``train-00000-of-00001.parquet``, or of its folder, ``train/``. Images are
    encoded files, treated as those of an `image_folder`. Where ``place.side`` is not set, they need to have one size.
    """
    parts, root = _parts(place.root), data_folder(place.root)
    if not parts:
        remedy = "set data.root to a folder of save_to_disk, or with train-*.parquet and test-*.parquet"
        what = "no .parquet or .arrow file of a part train, test or validation is there"
        raise DatasetMissing(HUGGINGFACE, [root], remedy, what)
    files = [path for paths in parts.values() for path in paths]
    hidden = []
    if len(parts) > 2 and "test" in parts and all((_labels(path) < 0).all() for path in parts["test"]):
        del parts["test"]  # as of ImageNet, whose test labels were never published
        hidden = ["data.root: the part test has no labels, all are below 0, so another part is tested on"]
    test, remarks = test_part(parts, f"{root} holds {some_of([path.relative_to(root) for path in files])}")
    read = [_part(name, parts[name], place.side) for name in ("train", test)]
    return own_dataset(read[0], read[1], (str(parts["train"][0]), str(parts[test][0])), hidden + remarks)


def tables_digest(root: str | None) -> str | None:
    """Return the SHA-256 of the names and bytes of all files of a data set; None if there are none."""
    folder = data_folder(root)
    return files_digest({str(path.relative_to(folder)): path for paths in _parts(root).values() for path in paths})


def _parts(root: str | None) -> dict[str, list[Path]]:
    """Return the name of each part to its files."""
    folder, found = data_folder(root), defaultdict(list)
    for pattern in (f"{'*/' * depth}*.{kind}" for depth in range(_DEEPEST) for kind in ("parquet", "arrow")):
        for path in sorted(folder.glob(pattern)):
            words = _PART.findall(path.stem.lower()) or _PART.findall(path.parent.name.lower())
            if words and path.is_file() and not path.name.startswith(("cache-", ".")):
                found[words[-1]].append(path)
    for name, paths in found.items():
        if len(places := {(path.parent, path.suffix): path for path in paths}) > 1:
            raise InputError(
                f"data.root: {folder} holds several tables of the part {name}: "
                f"{some_of([*places.values()])}; set data.root to the folder of one"
            )
        shards = [tuple(map(int, match.groups())) for path in paths if (match := _SHARD.search(path.stem))]
        if shards and sorted(shards) != [(number, len(paths)) for number in range(len(paths))]:
            raise InputError(
                f"data.root: the part {name} has the files {some_of(paths)}; by their names, ...-00000-of-00003, they "
                "are not all of one division into files, each once"
            )
    return dict(found)


def _part(name: str, files: Sequence[Path], side: int | None) -> tuple[Tensor, Tensor]:
    labels = torch.cat([_labels(path) for path in files])
    if not len(labels):
        raise InputError(f"data.root: {files[0]} has no rows")
    actual_side = side or size_of(next(_encoded(files)))
    sources = [MADE_BY, side, *map(state_of, files)]
    shape = len(labels), 3, actual_side, actual_side
    make = partial(decoded, _encoded(files), actual_side, is_exact=side is None)
    return mapped_images(f"{HUGGINGFACE}-{name}", sources, shape, make), labels


def _labels(path: Path) -> Tensor:
    from pyarrow import types

    found = [np.zeros(0, dtype=np.int64)]
    for column in _columns(path, _LABELS, types.is_integer, "whole numbers"):
        if column.null_count:
            raise InputError(f"data.root: {path} has rows without a label")
        found.append(column.to_numpy(zero_copy_only=False).astype(np.int64))
    return torch.from_numpy(np.concatenate(found))


def _encoded(files: Sequence[Path]) -> Iterator[Encoded]:
    """Yield each image's place, for messages, and its file's bytes."""
    from pyarrow import types

    for path in files:
        row = 0
        for column in _columns(path, _IMAGES, _holds_files, "images' bytes"):
            for value in column.field("bytes") if types.is_struct(column.type) else column:
                yield f"{path}, row {row}", value.as_py() or b""
                row += 1


def _holds_files(kind: "pa.DataType") -> bool:
    from pyarrow import types

    if types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _holds_files(kind.field("bytes").type)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _columns(
    path: Path, names: Sequence[str], fits: Callable[["pa.DataType"], bool], what: str
) -> Iterator["pa.Array"]:
    """Yield, in batches of rows, the first column of ``names`` that a file has with a type that ``fits``."""
    import pyarrow as pa
    from pyarrow import parquet

    def column(schema: "pa.Schema") -> str:
        for name in names:
            if name in schema.names and fits(schema.field(name).type):
                return name
        held = [f"{field.name} ({str(field.type)[:60]})" for field in schema]
        raise InputError(
            f"data.root: {path} has the columns {some_of(held, 8)}; a column {' or '.join(names)} with {what} is needed"
        )

    try:
        if path.suffix == ".parquet":
            with parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(_AT_A_TIME, columns=[column(file.schema_arrow)]):
                    yield batch.column(0)
        else:
            with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
                name = column(reader.schema)
                for batch in reader:
                    yield batch.column(name)
    except InputError:
        raise
    except (pa.ArrowException, OSError) as error:
        kind = "Parquet file" if path.suffix == ".parquet" else "Arrow file of save_to_disk"
        raise InputError(f"data.root: {path} is damaged, or is no {kind}: {str(error)[:200]}") from error
