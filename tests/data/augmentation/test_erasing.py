"""Random erasing against the paper's algorithm, and boxes as masks."""

import torch

from cktf.data.augmentation.boxes import draw_boxes, inside
from cktf.data.augmentation.changes import RandomErasing
from cktf.data.augmentation.draws import splitmix64, uniform_reals
from cktf.seeding import derive

SIDES = 24, 16


def test_the_pixels_inside_are_those_from_the_first_row_and_column_on() -> None:
    boxes = torch.tensor([[0, 2], [1, 3], [2, 0], [3, 4]])
    expected = torch.zeros(2, 1, 5, 8, dtype=torch.bool)
    expected[0, 0, 0:2, 1:4] = True
    assert torch.equal(inside(boxes, 5, 8), expected)


def test_boxes_have_the_published_areas_and_ratios() -> None:
    _, _, heights, widths = draw_boxes(torch.arange(20_000), 3, 1, 1000, 1000, (0.02, 0.4), (0.3, 1 / 0.3)).double()
    area, ratio = heights * widths / 10**6, (widths / heights).log()
    assert 0.019 < area.min() < 0.025
    assert 0.39 < area.max() < 0.401
    assert abs(float(ratio.mean())) < 0.02
    assert ratio.abs().max() < 1.21  # log of 1 / 0.3, and the rounding of small boxes


def erased(index: torch.Tensor, **settings: object) -> torch.Tensor:
    images = torch.full((len(index), 3, *SIDES), 200, dtype=torch.uint8)
    return RandomErasing(**settings)(images, index, seed=7, epoch=3)


def test_the_share_of_images_that_was_asked_for_loses_one_box_of_the_allowed_area() -> None:
    found = erased(torch.arange(4000), probability=0.3, largest=0.2, fill="black")
    is_black = (found == 0).all(dim=1)
    assert torch.equal(is_black, (found == 0).any(dim=1)), "all channels alike"
    areas = is_black.flatten(1).double().mean(dim=1)
    assert 0.27 < float((areas > 0).double().mean()) < 0.33
    assert areas[areas > 0].min() > 0.015
    assert areas.max() < 0.24  # sides are whole pixels
    for one in is_black[areas > 0][:200]:
        rows, columns = one.any(dim=1).nonzero(), one.any(dim=0).nonzero()
        height, width = (int(ends.max() - ends.min()) + 1 for ends in (rows, columns))
        assert height * width == int(one.sum()), "it is a box"


def test_a_long_image_that_no_box_fits_into_is_left_alone() -> None:
    images = torch.full((4000, 1, 16, 160), 200, dtype=torch.uint8)
    found = RandomErasing(probability=1, fill="black")(images, torch.arange(4000), seed=7, epoch=3)
    areas = (found == 0).flatten(1).double().mean(dim=1)
    assert areas.max() < 0.41
    assert 0.02 < float((areas == 0).double().mean()) < 0.06


def test_paint_is_a_value_of_its_own_for_each_pixel_and_channel_drawn_by_the_sample() -> None:
    index = torch.tensor([5, 900, 31])
    seed = derive(7, "random_erasing")
    boxes = draw_boxes(index, seed, 3, *SIDES, (0.02, 0.4), (0.3, 1 / 0.3)).T.tolist()
    found = erased(index, probability=1)
    for image, address, (top, left, height, width) in zip(found, index, boxes, strict=True):
        expected = torch.full((3, *SIDES), 200, dtype=torch.uint8)
        for channel in range(3):
            for row in range(top, top + height):
                for column in range(left, left + width):
                    pixel = (channel * SIDES[0] + row) * SIDES[1] + column
                    word = splitmix64(derive(seed, "pixels", 3), address * 3 * 24 * 16 // 8 + pixel // 8)
                    expected[channel, row, column] = int(word) >> 8 * (pixel % 8) & 255
        assert torch.equal(image, expected)


def test_whether_an_image_loses_a_box_is_drawn_by_its_address() -> None:
    index = torch.arange(50)
    is_erased = uniform_reals(derive(derive(7, "random_erasing"), "whether", 3), index) < 0.5
    assert torch.equal((erased(index) != 200).flatten(1).any(dim=1), is_erased)
    assert not (erased(index, probability=0) != 200).any()
