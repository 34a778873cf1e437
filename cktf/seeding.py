"""Addressed randomness: every draw comes from a generator keyed by (seed, purpose, epoch or step).

Nothing here reads or moves PyTorch's global stream. Switching one objective on can therefore never shift the numbers
that another part draws, a resumed trial draws what the uninterrupted one would have drawn, and two arms at the same
seed are paired by construction.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit key for one purpose of one seed.

    Args:
        seed: The replicate's seed.
        purpose: What the draw is for, from the general to the particular: ``("order", epoch)``.

    The key depends on the words alone, not on the process, the platform or Python's hash seed.
    """
    text = "\x1f".join([str(seed), *(str(part) for part in purpose)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, *purpose: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a fresh generator on ``device`` for one purpose of one seed."""
    return torch.Generator(device=device).manual_seed(derive(seed, *purpose))


@contextmanager
def initialisation(seed: int, *purpose: str | int) -> Iterator[None]:
    """Draw the initial parameters of modules built inside from a stream of their own; restore the global one after.

    Modules are built on the CPU and moved afterwards, so that a seed means the same parameters on every device.
    """
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would move the stream of every GPU too, which nothing here restores.
        torch.default_generator.manual_seed(derive(seed, *purpose))
        yield
