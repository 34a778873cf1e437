"""Which box is drawn for a sample, and what is made of it."""

import math

import pytest
import torch
from scipy import stats
from torchvision.transforms import functional

from cktf.data.augmentation.boxes import draw_boxes
from cktf.data.augmentation.crops import resized_crop
from cktf.data.augmentation.draws import uniform_reals
from cktf.seeding import derive


def boxes_reference(index: int, seed: int, epoch: int, height: int, width: int) -> list[int]:
    """Draw one sample's box with a plain loop over the attempts."""

    def real(*purpose: str | int) -> float:
        return uniform_reals(derive(seed, "augmentation", *purpose, epoch), torch.tensor(index)).item()

    for attempt in range(10):
        area = height * width * (0.08 + 0.92 * real("area", attempt))
        ratio = math.exp(math.log(3 / 4) + math.log(16 / 9) * real("ratio", attempt))
        box_height, box_width = (max(1, round(math.sqrt(x))) for x in (area / ratio, area * ratio))
        if box_height <= height and box_width <= width:
            break
    else:
        box_height, box_width = height, width
    top = math.floor(real("top") * (height - box_height + 1))
    left = math.floor(real("left") * (width - box_width + 1))
    return [top, left, box_height, box_width]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (8, 8), (5, 9), (4, 40)])
def test_boxes_equal_the_reference(height: int, width: int) -> None:
    # In the last shape, ten times as wide as high, no attempt at a large area fits.
    expected = [boxes_reference(i, 2, 3, height, width) for i in range(60)]
    boxes = draw_boxes(torch.arange(60), 2, 3, height, width)
    assert boxes.T.tolist() == expected
    if width == 40:
        assert [0, 0, 4, 40] in expected


def test_areas_are_uniform_and_ratios_in_their_range() -> None:
    _, _, heights, widths = draw_boxes(torch.arange(20_000), 0, 1, 1000, 1000).double()
    ratios = widths / heights
    assert 0.74 < ratios.min() < 0.76
    assert 1.32 < ratios.max() < 1.34
    # Attempts that do not fit are drawn again; an area of at most 3/4 fits at any ratio.
    areas = heights * widths / 1e6
    areas = areas[areas < 0.74]
    assert areas.min() > 0.079
    assert stats.kstest(areas.numpy(), stats.uniform(0.08, 0.66).cdf).pvalue > 0.001


def test_boxes_are_in_the_image_and_reach_its_edges() -> None:
    tops, lefts, heights, widths = draw_boxes(torch.arange(20_000), 0, 1, 16, 16)
    assert tops.min() == lefts.min() == 0
    assert (tops + heights).max() == (lefts + widths).max() == 16


def test_a_draw_does_not_depend_on_the_batch_it_is_in() -> None:
    index = torch.randperm(500)
    together = draw_boxes(index, 3, 2, 32, 32)
    alone = torch.cat([draw_boxes(index[i : i + 1], 3, 2, 32, 32) for i in range(30)], dim=1)
    assert torch.equal(alone, together[:, :30])


def test_draws_are_pinned_and_differ_by_seed_and_epoch() -> None:
    # Other numbers here mean that a study that is resumed or extended no longer repeats its own augmentation.
    boxes = draw_boxes(torch.arange(4), 0, 1, 32, 32)
    assert boxes.tolist() == [[6, 5, 10, 0], [5, 4, 3, 1], [24, 25, 12, 31], [25, 24, 15, 31]]
    assert not torch.equal(draw_boxes(torch.arange(4), 1, 1, 32, 32), boxes)
    assert not torch.equal(draw_boxes(torch.arange(4), 0, 2, 32, 32), boxes)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (7, 12)])
def test_the_images_are_torchvisions(height: int, width: int) -> None:
    images = torch.randint(256, (80, 3, height, width), dtype=torch.uint8)
    boxes = draw_boxes(torch.arange(80), 1, 1, height, width)
    result = resized_crop(images, boxes, height, width)
    assert result.dtype == torch.uint8
    for image, box, ours in zip(images.float(), boxes.T.tolist(), result, strict=True):
        expected = functional.resized_crop(image, *box, [height, width], antialias=True)
        # Ours is rounded to a whole level.
        assert (ours - expected).abs().max() <= 0.501


@pytest.mark.parametrize(("height", "width"), [(6, 6), (20, 5)])
def test_boxes_of_larger_images_are_reduced_as_by_torchvision(height: int, width: int) -> None:
    images = torch.randint(256, (80, 3, 15, 15), dtype=torch.uint8)
    boxes = draw_boxes(torch.arange(80), 1, 1, 15, 15)
    result = resized_crop(images, boxes, height, width)
    for image, box, ours in zip(images.float(), boxes.T.tolist(), result, strict=True):
        expected = functional.resized_crop(image, *box, [height, width], antialias=True)
        assert (ours - expected).abs().max() <= 0.501


def test_a_hand_computed_box() -> None:
    image = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4) * 12
    # Rows 1 and 2, columns 2 and 3: [[72, 84], [120, 132]] is enlarged twofold. New pixels lie at -1/4, 1/4, 3/4 and
    # 5/4 of the way from the first to the second, and not beyond either: 0, 1/4, 3/4, 1.
    result = resized_crop(image, torch.tensor([[1], [2], [2], [2]]), 4, 4)
    assert result[0, 0].tolist() == [
        [72, 75, 81, 84],
        [84, 87, 93, 96],
        [108, 111, 117, 120],
        [120, 123, 129, 132],
    ]


def test_the_whole_image_is_left_as_it_is() -> None:
    images = torch.randint(256, (5, 3, 9, 6), dtype=torch.uint8)
    whole = torch.tensor([0, 0, 9, 6])[:, None].expand(4, 5)
    assert torch.equal(resized_crop(images, whole, 9, 6), images)


@pytest.mark.gpu
def test_images_are_the_same_on_a_gpu_up_to_rounding() -> None:
    images = torch.randint(256, (100, 3, 32, 32), dtype=torch.uint8)
    boxes = draw_boxes(torch.arange(100), 0, 1, 32, 32)
    on_gpu = resized_crop(images.cuda(), boxes.cuda(), 32, 32).cpu()
    assert (on_gpu.int() - resized_crop(images, boxes, 32, 32).int()).abs().max() <= 1
