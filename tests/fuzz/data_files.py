"""Data sets in their true formats, of which one file is damaged, gone, or something else than a file."""

import os
import shutil
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from cktf.data import load_dataset
from cktf.data.config import DataConfig
from cktf.data.files.published import PUBLISHED
from tests.data.generated import generate
from tests.fuzz.driver import Case
from tests.fuzz.mutations import changed_bytes

NAMES = (
    "image_folder",
    "image_folder",
    "image_folder",
    "mnist",
    "mnist",
    "cifar10",
    "cifar100",
    "stl10",
    "tiny_imagenet",
    "arrays",
    "huggingface",
)
OTHER_NAMES = (
    "x.h5",
    "y.png",
    "z.eps",
    "@eaDir",
    ".hidden",
    "Thumbs.db",
    "a\nb.png",
    "é.png",
    "e\u0301.png",
    "x" * 250 + ".png",
)


@cache
def _files() -> dict[str, dict[str, bytes]]:
    """Return the files of every data set by name, in order."""
    found = {}
    for name in dict.fromkeys(NAMES):
        with TemporaryDirectory(prefix="cktf-fuzz-") as folder:
            generate(name, Path(folder))
            paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
            found[name] = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
            load_dataset(_config(name, Path(folder)))  # so that no case pays for what is imported then
    return found


def _config(name: str, folder: Path, **more: Any) -> DataConfig:
    side = 16 if name == "image_folder" else None
    return DataConfig(name=name, root=str(folder), side=side, verify=name not in PUBLISHED, **more)


def data_files(draws: Random, folder: Path) -> Case:
    """Return a folder of data in which something is wrong."""
    name = draws.choice(NAMES)
    files = _files()[name]
    for file, content in files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    words = [name]
    for _ in range(draws.choice((0, 1, 1, 1, 2, 4))):
        words.append(_damage(folder, draws))
    config = _config(name, folder)

    def read() -> None:
        known = config.with_content()
        dataset = load_dataset(known)
        assert len(dataset.train_images) == len(dataset.train_labels) > 0
        assert len(dataset.test_images) == len(dataset.test_labels)
        assert int(dataset.train_labels.max()) < dataset.num_classes

    return Case(", ".join(words), read, (str(folder), folder.name, "data.root", "data.side", "data.name"))


def _damage(folder: Path, draws: Random) -> str:
    everything = sorted(path for path in folder.rglob("*"))
    if not everything:
        return "nothing is left"
    files = [path for path in everything if path.is_file() and not path.is_symlink()]
    path = draws.choice(files) if files and draws.random() < 0.7 else draws.choice(everything)
    told = str(path.relative_to(folder))
    what = draws.choice(
        ("bytes", "bytes", "bytes", "gone", "link", "loop", "pipe", "folder", "more", "more bytes", "renamed")
    )
    is_file = path.is_file() and not path.is_symlink()
    if what == "bytes" and is_file:
        content, how = changed_bytes(path.read_bytes(), draws)
        path.write_bytes(content)
        return f"{told} {how}"
    if what == "more":
        above = path if path.is_dir() and not path.is_symlink() else path.parent
        other = above / draws.choice(OTHER_NAMES)
        if not os.path.lexists(other):
            other.write_bytes(draws.choice((b"", b"text", files[0].read_bytes() if files else b"")))
        return f"{other.name[:20]!a} beside {told}"
    if what == "more bytes":
        name = os.fsencode(path.parent) + b"/\xff\xfe.png"
        Path(os.fsdecode(name)).write_bytes(b"x")
        return f"a name that is not UTF-8 beside {told}"
    if what == "renamed":
        path.rename(path.with_name(draws.choice((path.name.upper(), path.name[:-1] or "x", f"{path.name} "))))
        return f"{told} is called otherwise"
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    if what == "link":
        path.symlink_to("nowhere")
    elif what == "loop":
        path.symlink_to(path.name)
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    return f"{told} is {what}"
