"""Addressed randomness: every random number comes from a generator keyed by (seed, purpose, epoch or step).

PyTorch's global stream is neither read nor moved. Switching one objective on therefore never changes the numbers that
another part draws, a resumed trial draws the same numbers as an uninterrupted one, and two arms at the same seed are
paired.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit key for one purpose of one seed, the same on every platform.

    The purpose of the random numbers goes from the general to the particular: ``("order", epoch)``.
    """
    text = "\x1f".join([str(seed), *(str(part) for part in purpose)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, *purpose: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a fresh generator on ``device`` for one purpose of one seed."""
    return torch.Generator(device=device).manual_seed(derive(seed, *purpose))


@contextmanager
def initialisation(seed: int, *purpose: str | int) -> Iterator[None]:
    """Seed the initial parameters of modules built inside; PyTorch's global stream is restored afterwards.

    Build modules on the CPU and move them, so that a seed means the same parameters on every device.
    """
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would also move the streams of GPUs, which are not restored here.
        torch.default_generator.manual_seed(derive(seed, *purpose))
        yield
