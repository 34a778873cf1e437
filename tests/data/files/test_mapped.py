"""Files of pixels that are made once and mapped."""

import errno
import fcntl
import math
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import torch
from torch import Tensor

from cktf.data.files.mapped import mapped_images

IMAGES = torch.arange(5 * 3 * 4 * 4, dtype=torch.uint8).view(5, 3, 4, 4)


class Maker:
    """Makes the images in two goes, and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Iterator[Tensor]:
        self.times += 1
        yield IMAGES[:3]
        yield IMAGES[3:].transpose(2, 3).contiguous().transpose(2, 3)  # in another order of memory


def test_a_file_is_made_once_and_read_by_all(cache: Path) -> None:
    maker = Maker()
    first, second = (mapped_images("some", [1], tuple(IMAGES.shape), maker) for _ in range(2))
    assert torch.equal(first, IMAGES)
    assert torch.equal(second, IMAGES)
    assert maker.times == 1
    assert [path.suffix for path in cache.glob("some-*")] == [".uint8"], "nothing half-written is left"


@pytest.mark.parametrize(("sources", "shape"), [([2], (5, 3, 4, 4)), ([1], (5, 3, 2, 8))])
def test_other_sources_or_another_shape_is_another_file(
    sources: list[object], shape: tuple[int, ...], cache: Path
) -> None:
    maker = Maker()
    mapped_images("some", [1], (5, 3, 4, 4), maker)
    mapped_images("some", sources, shape, maker)
    assert maker.times == 2
    assert len(list(cache.glob("*.uint8"))) == 2


def test_a_file_that_was_cut_short_is_made_again(cache: Path) -> None:
    maker = Maker()
    mapped_images("some", [1], tuple(IMAGES.shape), maker)
    (path,) = cache.glob("*.uint8")
    path.write_bytes(path.read_bytes()[:-1])
    assert torch.equal(mapped_images("some", [1], tuple(IMAGES.shape), maker), IMAGES)


def test_what_fails_leaves_nothing_behind(cache: Path) -> None:
    def fail() -> Iterator[Tensor]:
        yield IMAGES[:3]
        raise ValueError("the fourth image is damaged")

    with pytest.raises(ValueError, match="the fourth image is damaged"):
        mapped_images("some", [1], tuple(IMAGES.shape), fail)
    assert list(cache.glob("some-*")) == []


def test_of_those_who_start_together_one_makes_the_file() -> None:
    # The lock belongs to an opened file, not to a process: threads that open their own stand for processes.
    maker, start = Maker(), Barrier(4)

    def read(_: int) -> Tensor:
        start.wait()
        return mapped_images("some", [1], tuple(IMAGES.shape), maker)

    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(images, IMAGES) for images in pool.map(read, range(4)))
    assert maker.times == 1


def test_a_disk_without_room_is_told_and_a_file_larger_than_memory_is_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    shape = (2 * memory // (3 * 1024 * 1024), 3, 1024, 1024)

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, math.prod(shape)))

    def fill_the_disk() -> Iterator[Tensor]:
        yield torch.ones(1, 3, 1024, 1024, dtype=torch.uint8)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(
        ValueError, match=r"No space left on device; it needs [\d.,]+ GiB: make room there, or set \$CKTF_DATA"
    ) as told:
        mapped_images("large", [], shape, fill_the_disk)
    path = Path(str(told.value).partition(" cannot be written")[0])
    with path.open("wb") as stream:
        stream.truncate(math.prod(shape))  # a hole takes no room
    images = mapped_images("large", [], shape, fill_the_disk)
    assert images.shape == shape
    assert not images[-1].any()


def test_a_disk_that_is_too_small_is_found_out_before_anything_is_made(cache: Path) -> None:
    maker = Maker()
    shape = (shutil.disk_usage(cache.parent.parent).free // 1000 + 10**6, 10, 10, 10)
    with pytest.raises(ValueError, match=r"cannot be written: No space left on device; it needs [\d.,]+ GiB"):
        mapped_images("large", [], shape, maker)
    assert maker.times == 0
    assert list(cache.glob("large-*")) == []


def test_a_file_system_without_locks_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(ValueError, match=f"{cache}/.lock cannot be locked: No locks available; the file system"):
        mapped_images("some", [1], tuple(IMAGES.shape), Maker())


def test_a_folder_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CKTF_DATA", "/dev/null/data")
    with pytest.raises(ValueError, match=r"/dev/null/data/pixels/some-.* cannot be written: Not a directory; it"):
        mapped_images("some", [1], tuple(IMAGES.shape), Maker())
