"""Random numbers that are hashes of a key and a sample's index, the same in any batch and on every device."""

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return constants as a tensor (values,) on a device, cached: the host waits for a GPU at each copy."""
    return torch.tensor(values, dtype=dtype, device=device)


def uniform_integers(key: int | Tensor, index: Tensor, num_values: int | Tensor) -> Tensor:
    """Return an integer in [0, num_values) for each index, uniform, a pure function of (key, index).

    It is the upper half of the index-th output of SplitMix64, seeded with the 63 bits of ``key``, scaled to the range;
    ``num_values`` is at most 2^31. ``index`` is of any shape, int64; tensors of keys and ranges are broadcast with it.
    """
    upper = _shift_right(splitmix64(key, index), 32)
    return (upper * num_values) >> 32


def uniform_reals(key: int | Tensor, index: Tensor) -> Tensor:
    """Return a real in [0, 1) for each index, float64, uniform over the multiples of 2^-53."""
    return _shift_right(splitmix64(key, index), 11).double() * 2.0**-53


def splitmix64(key: int | Tensor, index: Tensor) -> Tensor:
    """Return the index-th output, from 0, of SplitMix64 seeded with ``key``: 64 bits in an int64.

    Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. Its arithmetic is
    modulo 2^64, which is what int64 tensors do on every device.
    """
    bits = key + (index + 1) * _signed(0x9E3779B97F4A7C15)
    bits = (bits ^ _shift_right(bits, 30)) * _signed(0xBF58476D1CE4E5B9)
    bits = (bits ^ _shift_right(bits, 27)) * _signed(0x94D049BB133111EB)
    return bits ^ _shift_right(bits, 31)


def _shift_right(bits: Tensor, distance: int) -> Tensor:
    # An int64 shifts in copies of its sign bit; the generator's numbers are unsigned.
    return (bits >> distance) & ((1 << (64 - distance)) - 1)


def _signed(constant: int) -> int:
    return constant - (1 << 64)
