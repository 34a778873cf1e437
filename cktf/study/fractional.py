"""Fractional factorial designs: a fraction of all combinations of factors with two levels each.

A fraction is a full factorial of its first factors; every other factor is a product of these, its generator. Products
of factors that are constant over all runs are the words of the defining relation (Box and Hunter 1961). The length of
the shortest word is the resolution:

    III   main effects are confounded with interactions of two factors
    IV    interactions of two factors are confounded with one another, but not with main effects
    V     neither main effects nor interactions of two factors are confounded with one another
"""

import itertools
from dataclasses import dataclass
from functools import cached_property

from cktf.errors import InputError

LETTERS = "ABCDEFGHJKL"
"""Letters of the factors in tables of designs; I is the identity."""

GENERATORS = {
    (3, 4): "AB",
    (4, 8): "ABC",
    (5, 8): "AB AC",
    (6, 8): "AB AC BC",
    (7, 8): "AB AC BC ABC",
    (5, 16): "ABCD",
    (6, 16): "ABC BCD",
    (7, 16): "ABC BCD ACD",
    (8, 16): "ABC BCD ACD ABD",
    (9, 16): "ABC BCD ACD ABD ABCD",
    (10, 16): "ABC BCD ACD ABD ABCD AB",
    (11, 16): "ABC BCD ACD ABD ABCD AB AC",
    (6, 32): "ABCDE",
    (9, 32): "BCDE ACDE ABDE ABCE",
    (10, 32): "ABCD ABCE ABDE ACDE BCDE",
    (11, 32): "ABC BCD CDE ACD ADE BDE",
    (7, 64): "ABCDEF",
    (8, 64): "ABCD ABEF",
    (9, 128): "ACDFG BCEFG",
    (10, 128): "ABCG BCDE ACDF",
    (11, 128): "ABCG BCDE ACDF ABCDEFG",
}
"""(factors, runs) to the generators of the last factors, in the order of their letters.

These are the designs of minimum aberration (Fries and Hunter 1980) as in Box, Hunter and Hunter (2005): among designs
of one size they have the fewest short words. Sizes that no resolution needs are left out.
"""

FEWEST_FACTORS, MOST_FACTORS = 3, len(LETTERS)

Effect = tuple[int, ...]
"""A main effect or an interaction: the positions of its factors in ascending order."""


@dataclass(frozen=True)
class Fraction:
    """A fraction of the 2^k combinations of k factors.

    Attributes:
        num_factors: k.
        num_runs: Number of its combinations.
        generators: For each factor after the first ones, the positions of the factors whose product it is.
    """

    num_factors: int
    num_runs: int
    generators: tuple[Effect, ...]

    @cached_property
    def runs(self) -> tuple[tuple[int, ...], ...]:
        """Level of each factor in each run (runs, factors), 0 or 1; all are 0 in the first run."""
        free = self.num_factors - len(self.generators)
        return tuple(
            (*levels, *(sum(levels[position] for position in word) % 2 for word in self.generators))
            for levels in itertools.product((0, 1), repeat=free)
        )

    @cached_property
    def words(self) -> tuple[Effect, ...]:
        """The defining relation: every product of generators, each with its factor."""
        free = self.num_factors - len(self.generators)
        basis = [{*word, free + number} for number, word in enumerate(self.generators)]
        words = [set[int]()]
        for word in basis:
            words += [word ^ other for other in words]
        return tuple(sorted((tuple(sorted(word)) for word in words if word), key=lambda word: (len(word), word)))

    @property
    def resolution(self) -> int:
        """Number of factors in the shortest word."""
        return len(self.words[0])

    def aliases(self) -> list[list[Effect]]:
        """Return groups of main effects and interactions of two factors that are confounded with one another."""
        factors = range(self.num_factors)
        groups: dict[Effect, list[Effect]] = {}
        for effect in [(factor,) for factor in factors] + [*itertools.combinations(factors, 2)]:
            same = [effect, *(tuple(sorted({*effect} ^ {*word})) for word in self.words)]
            groups.setdefault(min(same, key=lambda other: (len(other), other)), []).append(effect)
        return [group for group in groups.values() if len(group) > 1]


def smallest_fraction(num_factors: int, resolution: int) -> Fraction:
    """Return the fraction of at least this resolution with the fewest runs; raise an InputError if there is none."""
    if not FEWEST_FACTORS <= num_factors <= MOST_FACTORS:
        raise InputError(f"must have {FEWEST_FACTORS} to {MOST_FACTORS} factors; got {num_factors}")
    for factors, runs in sorted(GENERATORS, key=lambda size: size[1]):
        words = GENERATORS[factors, runs].split()
        fraction = Fraction(factors, runs, tuple(tuple(map(LETTERS.index, word)) for word in words))
        if factors == num_factors and fraction.resolution >= resolution:
            return fraction
    raise InputError(
        f"no fraction of {num_factors} factors has resolution {resolution}; 'grid:' has all "
        f"{2**num_factors} combinations, or ask for a lower 'resolution:'"
    )
