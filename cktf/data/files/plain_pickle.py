"""Safe reading of pickles of plain data: dicts, lists, tuples, text, bytes, numbers and arrays of numbers.

The unpickler finds only the stand-ins of this module; a pickle that names anything else is refused.
"""

import io
import pickle
import re
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any, Self

import numpy as np

from cktf.errors import InputError

_PLAIN_TYPE = re.compile(r"[<>=|]*[biuf][1248]")


def read_plain_pickle(path: Path, keys: Collection[str]) -> dict[str, Any]:
    """Return the entries ``keys`` of the dict in a pickle of plain data, written by any version of Python and NumPy.

    Missing keys are left out; keys of bytes are decoded to text.

    Raises:
        ValueError: If the file is not such a pickle, is damaged, or names anything but data.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of odd escapes in a damaged file
            found = _Reader(io.BytesIO(path.read_bytes()), encoding="latin-1").load()
        if not isinstance(found, dict):
            raise InputError(f"it holds a {type(found).__name__}, and a batch of images is a dict")  # noqa: TRY301
        entries = ((_text(key), value) for key, value in found.items())
        return {key: value.array() if isinstance(value, _Array) else value for key, value in entries if key in keys}
    except _AsksForMoreError as error:
        raise InputError(
            f"data.root: {path} is not read: it is a pickle that asks for {error}, and data need nothing but dicts, "
            "lists, text, numbers and NumPy's arrays of numbers"
        ) from None
    except OSError:
        raise
    except Exception as error:  # a damaged pickle may raise anything
        raise InputError(f"data.root: {path} is damaged, or is no pickle of images: {error}") from error


class _AsksForMoreError(Exception):
    """A pickle names something other than data."""


class _Type:
    """Stand-in for an array's dtype."""

    def __init__(self, code: Any, *_: Any) -> None:
        code = _text(code)
        if not (isinstance(code, str) and _PLAIN_TYPE.fullmatch(code)):
            raise _AsksForMoreError(f"an array of type {str(code)[:40]!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        self.dtype = self.dtype.newbyteorder(_text(state[1]))


class _Array:
    """Stand-in for an array; its state holds the numbers, as bytes of the file."""

    def __init__(self, *_: Any) -> None:
        self.found: Any = None

    def __setstate__(self, state: Any) -> None:
        _, shape, numbers, columns_first, content = state
        self.found = content, numbers, shape, "F" if columns_first else "C"

    def array(self) -> np.ndarray[Any, Any]:
        """Return the array, a view of the bytes that the file holds."""
        content, numbers, shape, order = self.found
        content = content.encode("latin-1") if isinstance(content, str) else content
        return np.frombuffer(content, numbers.dtype).reshape(shape, order=order)

    @classmethod
    def of_buffer(cls, *found: Any) -> Self:
        """Return an array; stands in for NumPy's `_frombuffer`."""
        made = cls()
        made.found = found
        return made

    @classmethod
    def scalar(cls, numbers: Any, content: Any) -> Any:
        """Return a number; stands in for NumPy's `scalar`."""
        return cls.of_buffer(content, numbers, (), "C").array().item()

    @classmethod
    def encoded(cls, text: Any = b"", _: Any = None) -> Any:
        """Return the text as it is, one letter for each byte; stands in for `_codecs.encode` and `bytes`."""
        return text


_STAND_INS: dict[str, Any] = {
    "numpy.ndarray": "ndarray",
    "numpy.dtype": _Type,
    "numpy.core.multiarray._reconstruct": _Array,
    "numpy.core.multiarray.scalar": _Array.scalar,
    "numpy.core.numeric._frombuffer": _Array.of_buffer,
    "_codecs.encode": _Array.encoded,
    "__builtin__.bytes": _Array.encoded,
    "builtins.bytes": _Array.encoded,
}
"""Name in a pickle to its stand-in; functions are bound methods, whose attributes a pickle cannot set."""


# Python's reader, because C's allocates memory up to any memo index that a file names. A bytearray is read as bytes,
# because it would be allocated at whatever size a file states before it is read.
_READERS = pickle._Unpickler.dispatch
_DISPATCH = {**_READERS, pickle.BYTEARRAY8[0]: _READERS[pickle.BINBYTES8[0]]}


class _Reader(pickle._Unpickler):
    dispatch = _DISPATCH

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name in a pickle."""
        named = f"{module}.{name}"
        try:
            return _STAND_INS[named.replace("numpy._core.", "numpy.core.")]
        except KeyError:
            raise _AsksForMoreError(repr(named[:80])) from None


def _text(value: Any) -> Any:
    return value.decode("latin-1") if isinstance(value, bytes | bytearray) else value
