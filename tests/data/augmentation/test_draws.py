"""Uniform numbers by key and index."""

from typing import Any

import pytest
import torch
from scipy import stats
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from cktf.data.augmentation.changes import ImageChange, RandAugment, RandomErasing, TrivialAugment
from cktf.data.augmentation.draws import constant, splitmix64, uniform_integers, uniform_reals


def test_splitmix64_gives_the_published_numbers() -> None:
    # The reference implementation's first outputs for the seed 1234567.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    outputs = splitmix64(1234567, torch.arange(4)).tolist()
    assert [output % 2**64 for output in outputs] == expected


def test_uniform_integers_reach_both_ends_and_go_no_further() -> None:
    values = uniform_integers(7, torch.arange(10_000), 5)
    assert torch.unique(values).tolist() == [0, 1, 2, 3, 4]
    assert not uniform_integers(7, torch.arange(100), 1).any()


def test_each_index_may_have_a_range_of_its_own() -> None:
    index, ranges = torch.arange(1000), torch.arange(1000) % 7 + 1
    expected = [uniform_integers(3, i, int(r)).item() for i, r in zip(index, ranges, strict=True)]
    assert uniform_integers(3, index, ranges).tolist() == expected


def test_uniform_reals_are_the_upper_53_bits_as_a_fraction() -> None:
    # The first published output above, without its last eleven bits.
    assert uniform_reals(1234567, torch.tensor(0)).item() == (6457827717110365317 >> 11) / 2**53
    values = uniform_reals(1, torch.arange(50_000))
    assert values.dtype == torch.float64
    assert 0 <= values.min() < values.max() < 1
    assert stats.kstest(values.numpy(), "uniform").pvalue > 0.001


class Copies(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what copies from one device to another, or reads of one."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        devices = {value.device for value in (*args, result) if isinstance(value, torch.Tensor)}
        self.count += len(devices) > 1 or function._schema.name in ("aten::_local_scalar_dense", "aten::nonzero")
        return result


@pytest.mark.parametrize("change", [RandAugment(), TrivialAugment(), RandomErasing()])
def test_no_step_but_an_epoch_s_first_waits_for_a_gpu(change: ImageChange) -> None:
    constant.cache_clear()  # of tensors that are none
    with FakeTensorMode(allow_non_fake_inputs=True):
        images = torch.empty(8, 3, 32, 32, dtype=torch.uint8, device="cuda")
        index = torch.empty(8, dtype=torch.int64, device="cuda")
        counts = []
        for _ in range(2):
            with Copies() as copies:
                change(images, index, seed=1, epoch=1)
            counts.append(copies.count)
    constant.cache_clear()
    assert counts[0] > 0, "the copies of the first step are seen"
    assert counts[1] == 0
