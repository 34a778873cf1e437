"""Small damage to trees of values, to texts and to bytes, drawn from a generator."""

import json
import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

ODD_TEXTS = (
    "",
    " ",
    "\u200b",
    "a\u200bb",
    "\xa0",
    "x\u2028y",
    "\x00",
    "a\x1bb",
    "e\u0301",
    "\u202eabc",
    "\U0001f4a5",
    "x" * 20_000,
    "x" * 300,
    "é" * 200,
    "../../x",
    "/",
    "/dev/null",
    "~nobody-at-all/x",
    "=1+1",
    "<b>",
    "[red]x[/red]",
    "{x}",
    "%s",
    "$HOME",
    "null",
    "true",
    "nan",
    "1e5",
    "0",
    "01",
    "1_000",
    "1,5",
    "-",
    "__class__",
    "a.b.c",
    "baseline",
    "日本",
    "line\nline",
    "tab\tx",
    "'",
    '"',
    "\\",
    "|",
    ",",
    ";",
)
ODD_NUMBERS = (
    *(
        0,
        1,
        -1,
        2,
        3,
        255,
        256,
        10**6,
        2**31 - 1,
        2**31,
        2**53 + 1,
        2**63 - 1,
        2**63,
        -(2**63) - 1,
        10**30,
        10**400,
    ),
    *(0.0, -0.0, 0.5, 1.5, -0.5, 1e-320, 1e-8, 1e308, -1e308, 99.9, math.inf, -math.inf, math.nan),
)
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    [],
    {},
    [[]],
    [{}],
    [None],
    {"": 1},
    {"x": {}},
    [1, "1", True],
    {"weight": 1},
)
HALF_A_PAIR = "a\ud800"
"""No character; JSON can write it."""

CHARACTERS = "{}[]:,#&*!|>'\"%@`-? \t\n\r\\/=~<.0123456789eE\x00\x07\x1b\x7f\x85\xa0\u200b\u2028\ufeff\U0001f4a5é"


def odd_value(draws: Random) -> Any:
    """Return a value that is seldom meant."""
    return draws.choice(draws.choice((ODD_TEXTS, ODD_NUMBERS, ODD_VALUES)))


def spots(tree: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to everything in a tree of mappings and lists, the top too."""
    found = [above]
    below = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in below:
        found += spots(value, (*above, key))
    return found


def changed(tree: Any, draws: Random) -> tuple[Any, str]:
    """Return a tree with one thing in it changed, and in words what."""
    tree = json.loads(json.dumps(tree))
    way = draws.choice(spots(tree))
    if not way:
        value = odd_value(draws) if draws.random() < 0.2 else {**tree} if isinstance(tree, dict) else [tree]
        if isinstance(value, dict) and isinstance(tree, dict):
            value[draws.choice(ODD_TEXTS)] = odd_value(draws)
        return value, "the whole"
    *above, last = way
    here = tree
    for key in above:
        here = here[key]
    what = draws.choice(_CHANGES)(here, last, tree, draws)
    return tree, f"{what} at {way!r}"


def _replace(here: Any, key: Any, _: Any, draws: Random) -> str:
    here[key] = odd_value(draws)
    return "an odd value"


def _delete(here: Any, key: Any, _: Any, __: Random) -> str:
    del here[key]
    return "nothing left"


def _retype(here: Any, key: Any, _: Any, draws: Random) -> str:
    value = here[key]
    here[key] = draws.choice((str(value), [value], {"x": value}, [value, value], {str(value)[:50]: 1}))
    return "another type"


def _elsewhere(here: Any, key: Any, tree: Any, draws: Random) -> str:
    other: Any = json.loads(json.dumps(tree))
    for step in draws.choice(spots(other)):
        other = other[step]
    here[key] = other
    return "another part"


def _rename(here: Any, key: Any, _: Any, draws: Random) -> str:
    if isinstance(here, list):
        here.insert(draws.randrange(len(here) + 1), odd_value(draws))
        return "one more entry"
    value = here.pop(key)
    name = draws.choice((f"{key} ", f"{key}\u200b", key.upper(), key[:-1], f"{key}.{key}", draws.choice(ODD_TEXTS)))
    here[name] = value
    return "another key"


def _scale(here: Any, key: Any, _: Any, draws: Random) -> str:
    value = here[key]
    if isinstance(value, int | float) and not isinstance(value, bool):
        here[key] = draws.choice((-value, value * 10**6, value / 7, value + 1, value - 1, float(value), 0 * value))
    else:
        here[key] = draws.choice(ODD_NUMBERS)
    return "another number"


_CHANGES: Sequence[Callable[[Any, Any, Any, Random], str]] = (
    *(_replace, _replace, _replace),
    *(_delete, _retype, _elsewhere, _rename, _scale),
)


def changed_text(text: str, draws: Random, pieces: Sequence[str] = ()) -> tuple[str, str]:
    """Return a text with something in it changed, and in words what.

    Args:
        text: The text.
        draws: The generator.
        pieces: What may be put in beside single characters.
    """
    what = draws.choice(("insert", "insert", "delete", "swap", "repeat", "cut", "indent", "line"))
    lines = text.splitlines(keepends=True) or [""]
    at = draws.randrange(len(text) + 1)
    row = draws.randrange(len(lines))
    match what:
        case "insert":
            piece = draws.choice(pieces) if pieces and draws.random() < 0.6 else draws.choice(CHARACTERS)
            return text[:at] + piece + text[at:], f"{piece[:40]!a} at character {at}"
        case "delete":
            length = draws.choice((1, 1, 2, 10, 100))
            return text[:at] + text[at + length :], f"{length} characters less at {at}"
        case "swap":
            other = draws.randrange(len(lines))
            lines[row], lines[other] = lines[other], lines[row]
        case "repeat":
            lines.insert(row, lines[row])
        case "cut":
            return text[:at], f"ends at character {at}"
        case "indent":
            lines[row] = draws.choice((" ", "  ", "\t", "\xa0", "- ", "# ")) + lines[row]
        case "line":
            lines.insert(row, f"{draws.choice(pieces) if pieces else draws.choice(ODD_TEXTS)}\n")
    return "".join(lines), f"{what} at line {row + 1}"


def changed_bytes(content: bytes, draws: Random) -> tuple[bytes, str]:
    """Return bytes with something in them changed, and in words what."""
    at = draws.randrange(len(content) + 1)
    match draws.choice(("flip", "flip", "cut", "insert", "zeros", "repeat", "empty", "noise")):
        case "flip":
            damaged = bytearray(content)
            for _ in range(draws.choice((1, 1, 4, 50))):
                if damaged:
                    damaged[draws.randrange(len(damaged))] = draws.randrange(256)
            return bytes(damaged), "some bytes are others"
        case "cut":
            return content[:at], f"ends at byte {at}"
        case "insert":
            return content[:at] + draws.randbytes(draws.choice((1, 3, 100))) + content[at:], f"more bytes at {at}"
        case "zeros":
            length = draws.choice((1, 16, 1000))
            return content[:at] + bytes(length) + content[at + length :], f"zeros at byte {at}"
        case "repeat":
            return content + content[at:], f"repeats itself from byte {at}"
        case "empty":
            return b"", "is empty"
        case _:
            return draws.randbytes(draws.choice((1, 10, 5000))), "is noise"
