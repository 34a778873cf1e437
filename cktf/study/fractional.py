"""Fractional factorial designs: of all combinations of two levels each, a fraction that still tells effects apart.

A fraction has a full factorial of its first factors; every other factor follows a product of these, its generator. The
products of factors that are the same in every run are the words of its defining relation (Box and Hunter 1961), and the
shortest of them has as many factors as the resolution says:

    III   main effects are confounded with interactions of two factors
    IV    main effects are clear of these, which are confounded with one another
    V     main effects and interactions of two factors are clear of one another
"""

import itertools
from dataclasses import dataclass
from functools import cached_property

from cktf.errors import InputError

LETTERS = "ABCDEFGHJKL"
"""Of the factors, as tables of designs have them: without I, which stands for the identity."""

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
"""(factors, runs) to the generators of the factors that follow others, in the order of their letters.

These are the designs of minimum aberration (Fries and Hunter 1980) that textbooks print (Box, Hunter and Hunter 2005):
of all of one size they have the fewest short words. Left out are sizes that no resolution asks for.
"""

FEWEST_FACTORS, MOST_FACTORS = 3, len(LETTERS)

Effect = tuple[int, ...]
"""A main effect or an interaction: the positions of its factors, ascending."""


@dataclass(frozen=True)
class Fraction:
    """A fraction of the 2^k combinations of k factors.

    Attributes:
        num_factors: k.
        num_runs: Combinations that it has.
        generators: For each factor after the first ones, the positions of those whose product it follows.
    """

    num_factors: int
    num_runs: int
    generators: tuple[Effect, ...]

    @cached_property
    def runs(self) -> tuple[tuple[int, ...], ...]:
        """The level of each factor in each run (runs, factors): 0 or 1; the first run has 0 everywhere."""
        free = self.num_factors - len(self.generators)
        return tuple(
            (*levels, *(sum(levels[position] for position in word) % 2 for word in self.generators))
            for levels in itertools.product((0, 1), repeat=free)
        )

    @cached_property
    def words(self) -> tuple[Effect, ...]:
        """The defining relation: every product of generators, each with the factor that follows it."""
        free = self.num_factors - len(self.generators)
        basis = [{*word, free + number} for number, word in enumerate(self.generators)]
        words = [set[int]()]
        for word in basis:
            words += [word ^ other for other in words]
        return tuple(
            sorted((tuple(sorted(word)) for word in words if word), key=lambda word: (len(word), word))
        )

    @property
    def resolution(self) -> int:
        """Number of factors in the shortest word."""
        return len(self.words[0])

    def aliases(self) -> list[list[Effect]]:
        """Return the main effects and interactions of two factors that are confounded: groups of two or more."""
        factors = range(self.num_factors)
        groups: dict[Effect, list[Effect]] = {}
        for effect in [(factor,) for factor in factors] + [*itertools.combinations(factors, 2)]:
            same = [effect, *(tuple(sorted({*effect} ^ {*word})) for word in self.words)]
            groups.setdefault(min(same, key=lambda other: (len(other), other)), []).append(effect)
        return [group for group in groups.values() if len(group) > 1]


def smallest_fraction(num_factors: int, resolution: int) -> Fraction:
    """Return the fraction with the fewest runs that has at least this resolution.

    Raises:
        ValueError: If there is none, but all combinations; the message says what to do.
    """
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
