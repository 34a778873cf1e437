"""Fractional designs, from their runs alone: slow counts of signs, and every choice of generators."""

import itertools
import math

import numpy as np
import pytest

from cktf.study.fractional import GENERATORS, LETTERS, Fraction, smallest_fraction

ASKED = [
    (factors, resolution)
    for factors in range(3, 12)
    for resolution in (3, 4, 5)
    if (factors, resolution) not in {(3, 4), (3, 5), (4, 5)}
]


def signs_of(fraction: Fraction) -> np.ndarray:
    """Return -1 and 1 (runs, factors)."""
    return 2 * np.array(fraction.runs) - 1


def lengths_of_words(signs: np.ndarray) -> list[int]:
    """Return how many products of 1, 2, ... factors are the same in every run, counted one by one."""
    factors = range(signs.shape[1])
    return [
        sum(len(set(signs[:, word].prod(axis=1))) == 1 for word in map(list, itertools.combinations(factors, size)))
        for size in range(1, signs.shape[1] + 1)
    ]


@pytest.mark.parametrize(("factors", "resolution"), ASKED)
def test_a_fraction_is_balanced_orthogonal_and_of_its_resolution(factors: int, resolution: int) -> None:
    fraction = smallest_fraction(factors, resolution)
    signs = signs_of(fraction)
    assert len({tuple(run) for run in signs}) == len(signs) == fraction.num_runs
    assert (signs[0] == -1).all(), "the first levels are always a run"
    np.testing.assert_array_equal(signs.T @ signs, len(signs) * np.eye(factors))
    assert not signs.sum(axis=0).any()
    lengths = lengths_of_words(signs)
    assert 1 + next(size for size, count in enumerate(lengths) if count) == fraction.resolution >= resolution
    assert [sum(len(word) == size for word in fraction.words) for size in range(1, factors + 1)] == lengths


@pytest.mark.parametrize(("factors", "resolution"), ASKED)
def test_confounded_effects_are_those_whose_signs_agree_in_every_run(factors: int, resolution: int) -> None:
    fraction = smallest_fraction(factors, resolution)
    signs = signs_of(fraction)
    effects = [(factor,) for factor in range(factors)] + [*itertools.combinations(range(factors), 2)]
    groups: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for effect in effects:
        column = signs[:, list(effect)].prod(axis=1)
        groups.setdefault(tuple(column * column[0]), []).append(effect)
    assert fraction.aliases() == [group for group in groups.values() if len(group) > 1]


def word_lengths(words: list[int], factors: int) -> list[int]:
    return [sum(word.bit_count() == size for word in words) for size in range(1, factors + 1)]


def defining_words(generators: tuple[int, ...], free: int) -> list[int]:
    words = [0]
    for number, generator in enumerate(generators):
        words += [(generator | 1 << (free + number)) ^ word for word in words]
    return words[1:]


@pytest.mark.parametrize("size", [size for size in GENERATORS if size[1] <= 64 and size != (11, 32)])
def test_no_other_generators_have_fewer_short_words(size: tuple[int, int]) -> None:
    factors, runs = size
    free = int(math.log2(runs))
    own = tuple(sum(1 << LETTERS.index(letter) for letter in word) for word in GENERATORS[size].split())
    best = word_lengths(defining_words(own, free), factors)
    products = [word for word in range(1 << free) if word.bit_count() >= 2]
    if not best[2]:  # without words of three, a generator is a product of three or more
        products = [word for word in products if word.bit_count() >= 3]
    for others in itertools.combinations(products, factors - free):
        assert word_lengths(defining_words(others, free), factors) >= best


def test_the_half_of_four_factors_by_hand() -> None:
    fraction = smallest_fraction(4, 4)
    assert fraction.words == ((0, 1, 2, 3),)  # I = ABCD
    assert fraction.runs[:4] == ((0, 0, 0, 0), (0, 0, 1, 1), (0, 1, 0, 1), (0, 1, 1, 0))
    assert fraction.aliases() == [[(0, 1), (2, 3)], [(0, 2), (1, 3)], [(0, 3), (1, 2)]]


def test_the_runs_of_each_resolution_are_those_of_the_textbooks() -> None:
    runs = {(factors, resolution): smallest_fraction(factors, resolution).num_runs for factors, resolution in ASKED}
    assert [runs[factors, 3] for factors in range(3, 12)] == [4, 8, 8, 8, 8, 16, 16, 16, 16]
    assert [runs[factors, 4] for factors in range(4, 12)] == [8, 16, 16, 16, 16, 32, 32, 32]
    assert [runs[factors, 5] for factors in range(5, 12)] == [16, 32, 64, 64, 128, 128, 128]
    sizes = {(factors, runs[factors, resolution]) for factors, resolution in ASKED}
    assert sizes == set(GENERATORS), "no size is listed that nobody can ask for"


@pytest.mark.parametrize(
    ("factors", "resolution", "message"),
    [
        (2, 3, "must have 3 to 11 factors; got 2"),
        (12, 3, "must have 3 to 11 factors; got 12"),
        (3, 4, "no fraction of 3 factors has resolution 4; 'grid:' has all 8 combinations"),
    ],
)
def test_what_is_no_fraction_is_refused(factors: int, resolution: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        smallest_fraction(factors, resolution)
