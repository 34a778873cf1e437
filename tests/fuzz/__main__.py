"""Thousands of generated inputs of each kind: ``python -m tests.fuzz --kind studies --cases 7000 --seed 1``."""

import argparse
import sys
import warnings
from collections import Counter

from tests.fuzz.driver import Outcome, outcome
from tests.fuzz.kinds import KINDS


def main() -> int:
    """Run what is asked for and return the exit code: 0 where nothing was handled wrongly."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--kind", action="append", choices=KINDS, help="may be repeated; default: all")
    parser.add_argument("--cases", type=int, default=1000, help="of each kind (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the generator (default: 0)")
    parser.add_argument("--first", type=int, default=0, help="number of the first case, to repeat one (default: 0)")
    parser.add_argument("--messages", action="store_true", help="show each refusal too")
    asked = parser.parse_args()
    warnings.simplefilter("error")  # a library's warning reaches the user's terminal raw
    rows = []
    for name in asked.kind or KINDS:
        found: list[Outcome] = []
        for number in range(asked.first, asked.first + asked.cases):
            one = outcome(name, KINDS[name], asked.seed, number)
            found.append(one)
            if one.fault or asked.messages:
                say(f"--- {name}, seed {asked.seed}, case {number}: {one.words}\n{one.fault or one.message or 'valid'}")
        counts = Counter("fault" if one.fault else "valid" if one.is_valid else "refused" for one in found)
        slowest = max(range(len(found)), key=lambda row: found[row].seconds, default=None)
        slow = "" if slowest is None else f"{found[slowest].seconds:7.2f} s (case {asked.first + slowest})"
        rows.append((name, len(found), counts["valid"], counts["refused"], counts["fault"], slow))
    say(f"{'kind':<14}{'cases':>8}{'valid':>8}{'refused':>9}{'faults':>8}  slowest")
    for name, cases, valid, refused, faults, slow in rows:
        say(f"{name:<14}{cases:>8}{valid:>8}{refused:>9}{faults:>8}  {slow}")
    return int(any(row[4] for row in rows))


def say(text: str) -> None:
    """Write a line, with what a terminal cannot show written out."""
    sys.stdout.write(text.encode(errors="backslashreplace").decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
