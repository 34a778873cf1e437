"""The content of a pickle that holds data alone: dicts, lists, tuples, text, bytes, numbers and arrays of numbers.

Its instructions are checked before Python's own reader runs them, and that reader finds nothing but the stand-ins of
this module. Whatever else a pickle asks for is refused before anything is done about it.
"""

import io
import math
import pickle
import pickletools
import re
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any, Self

import numpy as np

from cktf.errors import InputError

MOST_STEPS = 2_000_000
"""Instructions of a pickle; a batch of CIFAR has 200,000, and each may take a hundred times its own size in memory."""

_ALLOWED = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "NONE", "NEWTRUE", "NEWFALSE"),
        *("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "LIST", "DICT"),
        *("APPEND", "APPENDS", "SETITEM", "SETITEMS", "MARK", "POP_MARK", "STOP", "PROTO", "FRAME"),
        *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET"),
        *("GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"),
    }
)
_PLAIN_TYPE = re.compile(r"[<>=|]*[biuf][1248]")


def read_plain_pickle(path: Path, keys: Collection[str]) -> dict[str, Any]:
    """Return some entries of the dict that a file of data alone holds, whatever version of Python and NumPy wrote it.

    Keys that are not there are left out; keys of bytes are known as text.

    Raises:
        ValueError: If it is no such file, is damaged, or asks for anything but data.
    """
    try:
        content = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of an odd escape in what is damaged
            _require_plain(content)
            found = _Reader(io.BytesIO(content), encoding="latin-1").load()
        if not isinstance(found, dict):
            raise InputError(f"it holds a {type(found).__name__}, and a batch of images is a dict")
        entries = ((_text(key), value) for key, value in found.items())
        return {key: value.array() if isinstance(value, _Array) else value for key, value in entries if key in keys}
    except _AsksForMore as error:
        raise InputError(
            f"data.root: {path} is not read: it is a pickle that asks for {error}, and data need nothing but dicts, "
            "lists, text, numbers and NumPy's arrays of numbers"
        ) from None
    except (
        *(ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, EOFError, MemoryError),
        pickle.UnpicklingError,
    ) as error:
        raise InputError(f"data.root: {path} is damaged, or is no pickle of images: {error}") from error


class _AsksForMore(Exception):  # noqa: N818  # it is never seen
    """A pickle names something that is no data."""


def _require_plain(content: bytes) -> None:
    for number, (opcode, value, _) in enumerate(pickletools.genops(content)):
        if number == MOST_STEPS:
            raise _AsksForMore(f"more than {MOST_STEPS:,} instructions")
        if opcode.name not in _ALLOWED:
            raise _AsksForMore(f"the instruction {opcode.name}")
        # The reader makes room for all places up to this one.
        if opcode.name.endswith("PUT") and value is not None and value > MOST_STEPS:
            raise _AsksForMore(f"a place {value:,} in a memory of at most {MOST_STEPS:,}")


class _Type:
    """The type of an array's numbers; its state is the order of the bytes."""

    def __init__(self, code: Any, *_: Any) -> None:
        code = _text(code)
        if not (isinstance(code, str) and _PLAIN_TYPE.fullmatch(code)):
            raise _AsksForMore(f"an array of type {str(code)[:40]!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        self.dtype = self.dtype.newbyteorder(_text(state[1]))


class _Array:
    """An array, whose numbers are known once its state is; nothing is larger in memory than in the file."""

    def __init__(self, *_: Any) -> None:
        self.found: Any = None

    def __setstate__(self, state: Any) -> None:
        _, shape, numbers, columns_first, content = state
        self.found = shape, numbers, columns_first, content

    def array(self) -> np.ndarray[Any, Any]:
        """Return the array, a view of the bytes that the file holds."""
        if self.found is None:
            raise InputError("an array without numbers")
        shape, numbers, columns_first, content = self.found
        if not (len(shape) < 5 and all(isinstance(size, int) and 0 <= size < 2**40 for size in shape)):
            raise InputError(f"an array whose shape does not go with its {len(content)} bytes")
        if not isinstance(numbers, _Type) or len(content) != math.prod(shape) * numbers.dtype.itemsize:
            raise InputError(f"an array of shape {tuple(shape)} in {len(content)} bytes")
        content = content.encode("latin-1") if isinstance(content, str) else content
        return np.frombuffer(content, numbers.dtype).reshape(shape, order="F" if columns_first else "C")

    @classmethod
    def of_buffer(cls, content: Any, numbers: Any, shape: Any, order: Any) -> Self:
        """Stand in for NumPy's `_frombuffer`."""
        made = cls()
        made.found = shape, numbers, order == "F", content
        return made

    @classmethod
    def scalar(cls, numbers: Any, content: Any) -> Any:
        """Stand in for NumPy's `scalar`."""
        return cls.of_buffer(content, numbers, (), "C").array().item()

    @classmethod
    def encoded(cls, text: Any, _: Any) -> Any:
        """Stand in for `_codecs.encode`: text of the same letters stands for bytes everywhere here."""
        return text

    @classmethod
    def no_bytes(cls) -> bytes:
        """Stand in for `bytes`, which Python 3 writes for Python 2."""
        return b""


_STAND_INS: dict[str, Any] = {
    "numpy.ndarray": "ndarray",
    "numpy.dtype": _Type,
    "numpy.core.multiarray._reconstruct": _Array,
    "numpy.core.multiarray.scalar": _Array.scalar,
    "numpy.core.numeric._frombuffer": _Array.of_buffer,
    "_codecs.encode": _Array.encoded,
    "__builtin__.bytes": _Array.no_bytes,
    "builtins.bytes": _Array.no_bytes,
}
"""What a pickle may name; a function is a bound method, whose attributes a pickle cannot set."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for what a pickle names."""
        named = f"{module}.{name}"
        try:
            return _STAND_INS[named.replace("numpy._core.", "numpy.core.")]
        except KeyError:
            raise _AsksForMore(repr(named[:80])) from None


def _text(value: Any) -> Any:
    return value.decode("latin-1") if isinstance(value, bytes | bytearray) else value
