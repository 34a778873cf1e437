"""The content of a pickle that holds data alone, read without Python's own reader, which runs what a pickle names.

`pickletools` takes the file apart; what is put together here are dicts, lists, tuples, text, bytes, numbers and NumPy's
arrays of numbers. Whatever else a pickle asks for is refused before anything is done about it.
"""

import math
import pickletools
import re
import warnings
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cktf.errors import InputError

MOST_STEPS = 2_000_000
"""Instructions of a pickle; a batch of CIFAR has 200,000, and each may take a hundred times its own size in memory."""

_VALUES = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    }
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_KNOWN = re.compile(
    r"numpy (?:ndarray|dtype)|numpy\._?core\.(?:multiarray (?:_reconstruct|scalar)|numeric _frombuffer)|_codecs encode"
    r"|(?:__builtin__|builtins) bytes"
)
_PLAIN_TYPE = re.compile(r"[biuf][1248]")


def read_plain_pickle(path: Path, keys: Collection[str]) -> dict[str, Any]:
    """Return some entries of the dict that a file of data alone holds, whatever version of Python and NumPy wrote it.

    Args:
        path: The file.
        keys: Of the entries that are wanted; those that are not there are left out. Keys of bytes are known as text.

    Raises:
        ValueError: If it is no such file, is damaged, or asks for anything but data.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of an odd escape in what is damaged
            found = _put_together(pickletools.genops(path.read_bytes()))
        if not isinstance(found, dict):
            raise InputError(f"it holds a {type(found).__name__}, and a batch of images is a dict")
        entries = ((_text(key), value) for key, value in found.items())
        return {key: value.array() if isinstance(value, _Array) else value for key, value in entries if key in keys}
    except _AsksForMore as error:
        raise InputError(
            f"data.root: {path} is not read: it is a pickle that asks for {error}, and data need nothing but dicts, "
            "lists, text, numbers and NumPy's arrays of numbers"
        ) from None
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError) as error:
        raise InputError(f"data.root: {path} is damaged, or is no pickle of images: {error}") from error


class _AsksForMore(Exception):  # noqa: N818  # it is never seen
    """A pickle names something that is no data."""


@dataclass(frozen=True)
class _Name:
    """A class or function of NumPy's that a pickle names, and which stays a name."""

    name: str


class _Type:
    """The type of an array's numbers."""

    def __init__(self, code: Any) -> None:
        if not (isinstance(code, str) and _PLAIN_TYPE.fullmatch(code.lstrip("<>=|"))):
            raise _AsksForMore(f"an array of type {str(code)[:40]!r}")
        self.dtype = np.dtype(code)

    def build(self, state: Any) -> None:
        """Take the order of the bytes, which is all that numbers have."""
        self.dtype = self.dtype.newbyteorder(_text(state[1]))


class _Array:
    """An array, whose numbers are known once it is built."""

    def __init__(self) -> None:
        self.found: tuple[Any, Any, Any, Any] | None = None

    def build(self, state: Any) -> None:
        """Take shape, type, whether columns come first, and the bytes."""
        _, shape, numbers, columns_first, content = state
        self.found = content, numbers, shape, columns_first

    def array(self) -> np.ndarray[Any, Any]:
        """Return the numbers; nothing is larger in memory than in the file."""
        if self.found is None:
            raise InputError("an array without numbers")
        content, numbers, shape, columns_first = self.found
        if not (len(shape) < 5 and all(isinstance(size, int) and 0 <= size < 2**40 for size in shape)):
            raise InputError(f"an array whose shape does not go with its {len(content)} bytes")
        if not isinstance(numbers, _Type) or len(content) != math.prod(shape) * numbers.dtype.itemsize:
            raise InputError(f"an array of shape {tuple(shape)} in {len(content)} bytes")
        content = content.encode("latin-1") if isinstance(content, str) else content
        return np.frombuffer(content, numbers.dtype).reshape(shape, order="F" if columns_first else "C")


def _text(value: Any) -> Any:
    return value.decode("latin-1") if isinstance(value, bytes | bytearray) else value


def _put_together(steps: Iterable[tuple[pickletools.OpcodeInfo, Any, int | None]]) -> Any:
    """Return what the instructions of a pickle come to, as the format's description in `pickletools` says."""
    stack: list[Any] = []
    below: list[list[Any]] = []  # stacks that stand below a mark
    memo: dict[int, Any] = {}
    for number, (opcode, value, _) in enumerate(steps):
        if number == MOST_STEPS:
            raise _AsksForMore(f"more than {MOST_STEPS:,} instructions")
        name = opcode.name
        if name in _VALUES:
            stack.append(value)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name == "MARK":
            below.append(stack)
            stack = []
        elif name in ("TUPLE", "LIST", "DICT", "APPENDS", "SETITEMS", "POP_MARK"):
            since, stack = stack, below.pop()
            if name == "TUPLE":
                stack.append(tuple(since))
            elif name == "LIST":
                stack.append(since)
            elif name == "DICT":
                stack.append(_pairs(since))
            elif name == "APPENDS":
                stack[-1].extend(since)
            elif name == "SETITEMS":
                stack[-1].update(_pairs(since))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            length = int(name[-1])
            stack[-length:] = [tuple(stack[-length:])]
        elif name == "APPEND":
            last = stack.pop()
            stack[-1].append(last)
        elif name == "SETITEM":
            last, key = stack.pop(), stack.pop()
            stack[-1][key] = last
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if name == "MEMOIZE" else value] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[value])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            if name == "STACK_GLOBAL":
                last = stack.pop()
                value = f"{stack.pop()} {last}"
            if not _KNOWN.fullmatch(value):
                raise _AsksForMore(repr(value.replace(" ", ".")[:80]))
            stack.append(_Name(value.rpartition(" ")[2]))
        elif name == "REDUCE":
            arguments = stack.pop()
            stack.append(_made(stack.pop(), arguments))
        elif name == "BUILD":
            state = stack.pop()
            stack[-1].build(state)
        elif name == "STOP":
            return stack.pop()
        elif name not in ("PROTO", "FRAME"):
            raise _AsksForMore(f"the instruction {name}")
    raise InputError("it ends too early")


def _pairs(values: list[Any]) -> dict[Any, Any]:
    return dict(zip(values[::2], values[1::2], strict=True))


def _made(what: Any, arguments: Any) -> Any:
    match what:
        case _Name("_reconstruct"):
            return _Array()
        case _Name("dtype"):
            return _Type(_text(arguments[0]))
        case _Name("_frombuffer"):
            content, numbers, shape, order = arguments
            made = _Array()
            made.found = content, numbers, shape, order == "F"
            return made
        case _Name("scalar"):
            numbers, content = arguments
            made = _Array()
            made.found = content, numbers, (), False
            return made.array().item()
        case _Name("bytes") if arguments == ():
            return b""  # as Python 3 writes them for Python 2
        case _Name("encode"):
            return arguments[0]  # bytes, which text of the same letters stands for everywhere here
    raise _AsksForMore("something that is made by no function of NumPy's")
