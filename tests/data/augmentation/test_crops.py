"""What is drawn for a sample, and what is done with it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import stats
from torch import Tensor

from cktf.data import Augmentation, AugmentationConfig
from cktf.data.augmentation.crops import crop_and_flip, draw, normalise

STANDARD = Augmentation(crop=4, flip=True)


def crop_and_flip_reference(image: np.ndarray, draws: list[int], padding: int) -> np.ndarray:
    """Do to one image, pixel by pixel, what `crop_and_flip` does to a batch."""
    row, column, flip = draws
    channels, height, width = image.shape
    result = np.zeros_like(image)
    for channel in range(channels):
        for y in range(height):
            for x in range(width):
                source_y, source_x = y + row - padding, x + column - padding
                if 0 <= source_y < height and 0 <= source_x < width:
                    source_x = width - 1 - source_x if flip else source_x
                    result[channel, y, x] = image[channel, source_y, source_x]
    return result


@pytest.mark.parametrize(
    ("shape", "padding"), [((3, 16, 16), 4), ((1, 8, 8), 1), ((2, 5, 7), 2), ((1, 3, 4), 5), ((3, 6, 5), 0)]
)
def test_crop_and_flip_equals_the_reference_at_every_offset(shape: tuple[int, int, int], padding: int) -> None:
    num_offsets = 2 * padding + 1
    offsets = torch.arange(num_offsets)
    draws = torch.cartesian_prod(offsets, offsets, torch.arange(2)).T
    images = torch.randint(1, 256, (draws.shape[1], *shape), dtype=torch.uint8)
    expected = [
        crop_and_flip_reference(image.numpy(), values, padding)
        for image, values in zip(images, draws.T.tolist(), strict=True)
    ]
    result = crop_and_flip(images, draws, padding)
    assert result.dtype == torch.uint8
    assert result.is_contiguous()
    assert np.array_equal(result.numpy(), np.stack(expected))


def test_a_hand_computed_window() -> None:
    image = torch.tensor([[[[1, 2], [3, 4]]]], dtype=torch.uint8)
    # One black pixel around the mirrored image [[2, 1], [4, 3]]; the window begins in row 1, column 0.
    draws = torch.tensor([[1], [0], [1]])
    assert crop_and_flip(image, draws, padding=1).tolist() == [[[[0, 2], [0, 4]]]]


def test_images_are_unchanged_where_nothing_is_drawn() -> None:
    images = torch.randint(256, (9, 3, 5, 4), dtype=torch.uint8)
    draws = draw(Augmentation(crop=0, flip=False), torch.arange(9), seed=0, epoch=1)
    assert not draws.any()
    assert torch.equal(crop_and_flip(images, draws, padding=0), images)


def test_a_draw_does_not_depend_on_the_batch_it_is_in() -> None:
    index = torch.randperm(1000)
    together = draw(STANDARD, index, seed=3, epoch=2)
    alone = torch.cat([draw(STANDARD, index[i : i + 1], seed=3, epoch=2) for i in range(50)], dim=1)
    halves = torch.cat([draw(STANDARD, half, seed=3, epoch=2) for half in (index[:300], index[300:])], dim=1)
    assert torch.equal(alone, together[:, :50])
    assert torch.equal(halves, together)


def test_draws_are_pinned() -> None:
    # Other numbers here mean that a study that is resumed or extended no longer repeats its own augmentation.
    pinned = [[7, 8, 3, 7, 1, 1], [6, 8, 3, 7, 8, 7], [1, 0, 0, 0, 1, 0]]
    assert draw(STANDARD, torch.arange(6), seed=0, epoch=1).tolist() == pinned


@pytest.mark.gpu
def test_draws_and_images_are_the_same_on_a_gpu() -> None:
    index = torch.arange(1000)
    images = torch.randint(256, (1000, 3, 32, 32), dtype=torch.uint8)
    draws = draw(STANDARD, index, seed=5, epoch=7)
    assert torch.equal(draw(STANDARD, index.cuda(), seed=5, epoch=7).cpu(), draws)
    assert torch.equal(crop_and_flip(images.cuda(), draws.cuda(), 4).cpu(), crop_and_flip(images, draws, 4))


def test_offsets_and_flips_are_uniform_and_independent_of_each_other() -> None:
    rows, columns, flips = draw(STANDARD, torch.arange(50_000), seed=1, epoch=1)
    cells = (rows * 9 + columns) * 2 + flips
    counts = torch.bincount(cells, minlength=9 * 9 * 2)
    assert stats.chisquare(counts.numpy()).pvalue > 0.001


@pytest.mark.parametrize(
    "other",
    [
        lambda index: draw(STANDARD, index, seed=2, epoch=1),
        lambda index: draw(STANDARD, index, seed=1, epoch=2),
        lambda index: draw(STANDARD, index + 1, seed=1, epoch=1),
    ],
    ids=["seed", "epoch", "index"],
)
def test_neighbouring_addresses_have_independent_draws(other: Callable[[Tensor], Tensor]) -> None:
    index = torch.arange(50_000)
    rows, neighbours = draw(STANDARD, index, seed=1, epoch=1)[0], other(index)[0]
    table = torch.bincount(rows * 9 + neighbours, minlength=81).view(9, 9)
    assert stats.chi2_contingency(table.numpy()).pvalue > 0.001


def test_normalise_equals_torchvision() -> None:
    from torchvision.transforms import v2

    mean, std = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
    images = torch.randint(256, (8, 3, 6, 5), dtype=torch.uint8)
    expected = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)])(images)
    torch.testing.assert_close(normalise(images, torch.tensor(mean), torch.tensor(std)), expected)


def test_what_is_not_set_is_the_data_sets_standard() -> None:
    assert AugmentationConfig().resolve(STANDARD) == STANDARD
    assert AugmentationConfig(crop=0).resolve(STANDARD) == Augmentation(crop=0, flip=True)
    assert AugmentationConfig(flip=False).resolve(STANDARD) == Augmentation(crop=4, flip=False)


def test_a_negative_crop_is_refused() -> None:
    with pytest.raises(ValidationError, match="crop"):
        AugmentationConfig(crop=-1)


def test_the_resized_crop_takes_the_place_of_the_other_one() -> None:
    resized = Augmentation(crop=0, flip=True, resized_crop=True)
    assert AugmentationConfig(resized_crop=True).resolve(STANDARD) == resized
    assert AugmentationConfig().resolve(resized) == resized
    assert AugmentationConfig(crop=8).resolve(resized) == Augmentation(crop=8, flip=True)
    assert AugmentationConfig(crop=0).resolve(resized) == Augmentation(crop=0, flip=True)
    assert AugmentationConfig(crop=0, resized_crop=True).resolve(STANDARD) == resized
    assert AugmentationConfig(resized_crop=False).resolve(resized) == Augmentation(crop=0, flip=True)


def test_both_crops_together_are_refused() -> None:
    with pytest.raises(ValidationError, match="crop: 4 and resized_crop: true exclude each other"):
        AugmentationConfig(crop=4, resized_crop=True)
