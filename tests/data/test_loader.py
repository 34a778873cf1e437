"""Batches, their order and their shards."""

import threading
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from cktf.batch import Batch
from cktf.data import AugmentationConfig, Dataset, ImageChange, TrainLoader, evaluation_batches
from cktf.data.files.mapped import mapped_images
from cktf.errors import InputError

PLAIN = AugmentationConfig(crop=0, flip=False)
ROWS = torch.arange(100, 0, -2)  # row 0 of 101 is not learnt from, nor are the odd ones


def loader(dataset: Dataset, batch_size: int = 16, seed: int = 0, **options: Any) -> TrainLoader:
    return TrainLoader(dataset, ROWS, PLAIN, batch_size=batch_size, seed=seed, **options)


def order(batches: list[Batch]) -> list[int]:
    return torch.cat([batch.index for batch in batches]).tolist()


def test_an_epoch_has_every_sample_of_the_training_split_once(numbered: Dataset) -> None:
    batches = list(loader(numbered).epoch(1))
    assert sorted(order(batches)) == list(range(50))
    assert [len(batch.index) for batch in batches] == [16, 16, 16, 2]


def test_the_index_is_the_position_in_the_training_split(numbered: Dataset) -> None:
    for batch in loader(numbered).epoch(1):
        rows = ROWS[batch.index]
        # The first channel's mean is 0 and its deviation 1, so a pixel is its raw value over 255.
        assert torch.equal((batch.images[:, 0, 0, 0] * 255).round().long(), rows)
        assert torch.equal(batch.labels, rows % 4)


def test_a_batch_is_normalised_by_channel(numbered: Dataset) -> None:
    batch = next(loader(numbered).epoch(1))
    raw = (ROWS[batch.index] / 255)[:, None, None].expand(-1, 4, 6)
    assert batch.images.dtype == torch.float32
    torch.testing.assert_close(batch.images, torch.stack([raw, (raw - 0.5) / 0.5], dim=1))


def test_padding_is_black_before_normalisation(numbered: Dataset) -> None:
    augmented = TrainLoader(numbered, ROWS, AugmentationConfig(crop=3), batch_size=50, seed=0)
    (batch,) = augmented.epoch(1)
    values = torch.cat([torch.zeros(1), ROWS.sort().values / 255])
    torch.testing.assert_close(torch.unique(batch.images[:, 0]), values)
    torch.testing.assert_close(torch.unique(batch.images[:, 1]), (values - 0.5) / 0.5)


def test_the_order_is_keyed_by_seed_and_epoch(numbered: Dataset) -> None:
    first = order(list(loader(numbered).epoch(1)))
    assert order(list(loader(numbered, batch_size=7).epoch(1)))[:49] == first[:49]
    assert order(list(loader(numbered).epoch(2))) != first
    assert order(list(loader(numbered, seed=1).epoch(1))) != first


@pytest.mark.parametrize("augmentation", [AugmentationConfig(), AugmentationConfig(resized_crop=True)])
def test_what_is_drawn_for_a_sample_does_not_depend_on_the_batch_size(
    numbered: Dataset, augmentation: AugmentationConfig
) -> None:
    noise = torch.randint(256, numbered.train_images.shape, dtype=torch.uint8)
    noisy = replace(numbered, train_images=noise)

    def images(batch_size: int) -> torch.Tensor:
        batches = list(TrainLoader(noisy, ROWS, augmentation, batch_size=batch_size, seed=3).epoch(5))
        by_index = torch.cat([batch.index for batch in batches]).argsort()
        return torch.cat([batch.images for batch in batches])[by_index]

    assert torch.equal(images(16), images(25))


class Returns(ImageChange):
    """A change that returns images of another type or shape."""

    what: str

    def __call__(self, images: torch.Tensor, index: torch.Tensor, *, seed: int, epoch: int) -> Any:  # noqa: ARG002
        """Return something else."""
        return {"floats": images / 255, "smaller": images[..., 1:], "nothing": None}[self.what]


@pytest.mark.parametrize(
    ("what", "got"),
    [
        ("floats", r"torch.float32 \(16, 2, 4, 6\)"),
        ("smaller", r"torch.uint8 \(16, 2, 4, 5\)"),
        ("nothing", "NoneType"),
    ],
)
def test_a_change_that_returns_no_such_images_is_refused(numbered: Dataset, what: str, got: str) -> None:
    batches = loader(numbered)
    batches.augmentation = replace(batches.augmentation, changes=(Returns(what=what),))
    said = rf"Returns must return images as it is given, torch.uint8 \(16, 2, 4, 6\); got {got}"
    with pytest.raises(InputError, match=said):
        next(batches.epoch(1))


def test_mixed_images_are_those_of_the_sample_and_of_its_mirror_image_in_the_batch(numbered: Dataset) -> None:
    plain = loader(numbered).epoch(1)
    mixed = TrainLoader(numbered, ROWS, AugmentationConfig(crop=0, flip=False, mixup=1.0), batch_size=16, seed=0).epoch(
        1
    )
    for one, both in zip(plain, mixed, strict=True):
        assert both.other_labels is not None
        assert both.own_share is not None
        assert torch.equal(both.labels, one.labels)
        assert torch.equal(both.other_labels, one.labels.flip(0))
        share = both.own_share[:, None, None, None]
        torch.testing.assert_close(both.images, share * one.images + (1 - share) * one.images.flip(0))
        assert 0 < both.own_share.min() < both.own_share.max() < 1


def test_the_teacher_s_own_view_is_another_of_the_same_samples_mixed_alike(numbered: Dataset) -> None:
    noise = torch.randint(256, numbered.train_images.shape, dtype=torch.uint8)
    noisy = replace(numbered, train_images=noise)
    cut = AugmentationConfig(crop=0, flip=True, cutmix=1.0)
    (batch,) = TrainLoader(noisy, ROWS, cut, batch_size=50, seed=0, has_own_view=True).epoch(1)
    flat = AugmentationConfig(crop=0, flip=False, cutmix=1.0)
    (straight,) = TrainLoader(noisy, ROWS, flat, batch_size=50, seed=0, has_own_view=True).epoch(1)
    assert straight.teacher_images is not None
    assert batch.teacher_images is not None
    assert straight.own_share is not None
    assert batch.own_share is not None
    assert torch.equal(straight.images, straight.teacher_images), "nothing but the mix is random, and that is shared"
    assert torch.equal(batch.own_share, straight.own_share)
    is_alike = batch.images.eq(batch.teacher_images).flatten(1).all(dim=1)
    assert 0.1 < float(is_alike.double().mean()) < 0.6, "a quarter of the pairs is mirrored alike in both views"


def test_steps_count_on_from_epoch_to_epoch(numbered: Dataset) -> None:
    batches = loader(numbered)
    assert len(batches) == 4
    assert [batch.step for epoch in (1, 2, 3) for batch in batches.epoch(epoch)] == list(range(12))


def test_a_last_batch_of_one_sample_is_dropped(numbered: Dataset) -> None:
    batches = loader(numbered, batch_size=7)
    assert len(batches) == 7
    assert [len(batch.index) for batch in batches.epoch(1)] == [7] * 7


def test_a_batch_larger_than_the_training_split_is_all_of_it(numbered: Dataset) -> None:
    assert [len(batch.index) for batch in loader(numbered, batch_size=64).epoch(1)] == [50]


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("augmentation", [PLAIN, AugmentationConfig(mixup=1.0, cutmix=1.0)])
def test_the_workers_shards_are_the_batches_of_one_worker(
    numbered: Dataset, world_size: int, augmentation: AugmentationConfig
) -> None:
    # 50 samples in batches of 14 leave 8 for the last one: uneven shards of 3, 3 and 2 for three workers.
    options: Any = {"batch_size": 14, "seed": 0, "has_own_view": True}
    whole = list(TrainLoader(numbered, ROWS, augmentation, **options).epoch(2))
    workers = [
        list(TrainLoader(numbered, ROWS, augmentation, **options, rank=rank, world_size=world_size).epoch(2))
        for rank in range(world_size)
    ]
    for batch, *shards in zip(whole, *workers, strict=True):
        for name in ("images", "teacher_images", "other_labels", "own_share"):
            parts, together = [getattr(shard, name) for shard in shards], getattr(batch, name)
            is_of_mixes = name in ("other_labels", "own_share")
            assert (together is None) == (parts[0] is None) == (is_of_mixes and augmentation is PLAIN)
            assert together is None or torch.equal(torch.cat(parts), together)
        assert torch.equal(torch.cat([shard.index for shard in shards]), batch.index)
        assert {shard.step for shard in shards} == {batch.step}
        assert sum(shard.share for shard in shards) == pytest.approx(batch.share)
        assert batch.offset == 0
        for shard in shards:
            held = slice(shard.offset, shard.offset + len(shard.index))
            assert torch.equal(shard.index, batch.index[held])
        assert max(map(len, (s.index for s in shards))) - min(map(len, (s.index for s in shards))) <= 1


def test_every_worker_has_two_samples_of_the_last_batch_or_there_is_none(numbered: Dataset) -> None:
    alone, shared = loader(numbered, batch_size=47), loader(numbered, batch_size=47, rank=1, world_size=2)
    assert [len(batch.index) for batch in alone.epoch(1)] == [47, 3]
    assert [len(batch.index) for batch in shared.epoch(1)] == [24]


def test_too_few_samples_for_the_workers_are_refused(numbered: Dataset) -> None:
    with pytest.raises(ValueError, match=r"batch_size: 4 samples for 3 worker"):
        loader(numbered, batch_size=4, world_size=3)
    with pytest.raises(ValueError, match=r"the training split: 1 samples"):
        TrainLoader(numbered, ROWS[:1], PLAIN, batch_size=4, seed=0)


def test_a_crop_that_could_leave_nothing_of_an_image_is_refused(numbered: Dataset) -> None:
    side = min(numbered.image_shape[1:])
    message = f"augmentation.crop: must be {side} or less, the shorter side of the images; got {side + 1}"
    with pytest.raises(ValueError, match=message):
        TrainLoader(numbered, torch.arange(4), AugmentationConfig(crop=side + 1), batch_size=2, seed=0)


def test_evaluation_keeps_the_order_and_draws_nothing(numbered: Dataset) -> None:
    batches = list(evaluation_batches(numbered, ROWS, batch_size=20))
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert [len(part) for _, part in batches] == [20, 20, 10]
    assert torch.equal(labels, ROWS % 4)
    torch.testing.assert_close(images[:, 0], (ROWS / 255)[:, None, None].expand(-1, 4, 6))


def test_evaluation_reads_the_test_part_whole(numbered: Dataset) -> None:
    ((images, labels),) = evaluation_batches(numbered, "test")
    assert torch.equal(labels, numbered.test_labels)
    assert (images == 1).all()


def mapped(dataset: Dataset) -> Dataset:
    """Return the same data set with its images in files."""

    def in_a_file(name: str, images: torch.Tensor) -> torch.Tensor:
        def make() -> Iterator[torch.Tensor]:
            yield images

        return mapped_images(name, [], tuple(images.shape), make)

    return replace(
        dataset,
        train_images=in_a_file("train", dataset.train_images),
        test_images=in_a_file("test", dataset.test_images),
    )


@pytest.mark.parametrize("augmentation", [PLAIN, AugmentationConfig(), AugmentationConfig(resized_crop=True)])
def test_batches_of_a_mapped_data_set_are_those_of_one_in_memory(
    numbered: Dataset, augmentation: AugmentationConfig
) -> None:
    in_memory, in_files = (
        list(TrainLoader(dataset, ROWS, augmentation, batch_size=16, seed=1).epoch(2))
        for dataset in (numbered, mapped(numbered))
    )
    for expected, batch in zip(in_memory, in_files, strict=True):
        assert torch.equal(batch.images, expected.images)
        assert torch.equal(batch.labels, expected.labels)
        assert torch.equal(batch.index, expected.index)
    for rows in (ROWS, "test"):
        for in_one, images in zip(
            evaluation_batches(numbered, rows), evaluation_batches(mapped(numbered), rows), strict=True
        ):
            assert torch.equal(images[0], in_one[0])
            assert torch.equal(images[1], in_one[1])


@pytest.fixture
def large(numbered: Dataset, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """The same data set in files, which are taken for larger than a device."""
    monkeypatch.setattr("cktf.data.loader.WHOLE_ON_DEVICE", 0)
    return mapped(numbered)


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("read ahead")]


@pytest.mark.parametrize("world_size", [1, 2])
def test_batches_that_a_thread_reads_ahead_are_those_without_it(
    numbered: Dataset, monkeypatch: pytest.MonkeyPatch, world_size: int
) -> None:
    augmentation = AugmentationConfig(crop=1, flip=True, mixup=0.4)
    options: dict[str, Any] = {
        "batch_size": 16,
        "seed": 1,
        "rank": world_size - 1,
        "world_size": world_size,
        "has_own_view": True,
    }
    expected = [*TrainLoader(numbered, ROWS, augmentation, **options).epoch(2)]
    evaluated = [*evaluation_batches(numbered, ROWS, batch_size=7)]
    monkeypatch.setattr("cktf.data.loader.WHOLE_ON_DEVICE", 0)
    batches = [*TrainLoader(mapped(numbered), ROWS, augmentation, **options).epoch(2)]
    for batch, other in zip(batches, expected, strict=True):
        assert vars(batch).keys() == vars(other).keys()
        for name, value in vars(other).items():
            assert torch.equal(getattr(batch, name), value) if isinstance(value, torch.Tensor) else True
        assert (batch.share, batch.offset, batch.step) == (other.share, other.offset, other.step)
    for found, known in zip(evaluation_batches(mapped(numbered), ROWS, batch_size=7), evaluated, strict=True):
        assert all(map(torch.equal, found, known))
    assert not readers()


def test_one_batch_is_read_ahead_and_the_thread_ends_when_the_epoch_is_left(
    large: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, was_read = [], threading.Event()
    select = torch.index_select

    def counted(*args: Any, **kwargs: Any) -> torch.Tensor:
        read.append(threading.current_thread())
        if len(read) == 2:
            was_read.set()
        return select(*args, **kwargs)

    monkeypatch.setattr(torch, "index_select", counted)
    epoch = loader(large).epoch(1)
    next(epoch)
    assert was_read.wait(30)
    (thread,) = readers()
    assert {*read} == {thread}
    next(epoch)
    assert isinstance(epoch, Generator)
    epoch.close()
    assert not thread.is_alive()
    assert len(read) == 3


def test_an_error_of_the_reading_thread_is_raised_in_the_loop(large: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    select, calls = torch.index_select, []

    def broken(*args: Any, **kwargs: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 3:
            raise OSError("the disk is gone")
        return select(*args, **kwargs)

    monkeypatch.setattr(torch, "index_select", broken)
    epoch = loader(large).epoch(1)
    next(epoch), next(epoch)
    with pytest.raises(OSError, match="the disk is gone"):
        next(epoch)
    assert not readers()


@pytest.mark.gpu
def test_images_on_the_cpu_are_moved_batch_by_batch(numbered: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = numbered.to("cuda")
    monkeypatch.setattr("cktf.data.dataset.WHOLE_ON_DEVICE", 0)
    by_batch = mapped(numbered).to("cuda")
    assert by_batch.train_images.device.type == "cpu"
    for expected, batch in zip(loader(whole).epoch(1), loader(by_batch).epoch(1), strict=True):
        assert batch.images.device.type == "cuda"
        assert torch.equal(batch.images, expected.images)
        assert torch.equal(batch.labels, expected.labels)
