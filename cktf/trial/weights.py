"""Files of trained weights: read without running any code in them, identified by their content."""

import hashlib
import math
import os
import stat
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import deserialize
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as dump_safetensors
from torch import Tensor

from cktf.errors import InputError, naming, visible
from cktf.storage import Storage
from cktf.trial.pytorch_file import most_bytes, read_pytorch
from cktf.trial.state_dicts import StateDict, first_few, state_dict_in

SAFETENSORS = ".safetensors"
"""Suffix of files that are read as safetensors; all others are read as PyTorch's own."""

LARGEST_FILE = 2**32
"""Largest file in bytes: float32 weights of a network of 10^9 parameters."""

LARGEST_WEIGHT = 1e10
"""Largest absolute value of a trained weight; products with larger ones would leave float32."""

FLOATS = {torch.float64, torch.float32, torch.float16, torch.bfloat16}
WHOLE = {torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool}
"""Types of tensors that a network may be loaded from; weights must be of `FLOATS`."""


def content_digest(file: str | os.PathLike[str]) -> str | None:
    """Return the SHA-256 of a file's bytes in hexadecimal digits, None if this machine cannot read it."""
    try:
        path, status = _regular(file)
        return _digest(path, status.st_mtime_ns, status.st_size)
    except (OSError, InputError):
        return None


@lru_cache  # every arm of a study asks for it
def _digest(path: Path, _modified: int, _size: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _regular(file: str | os.PathLike[str]) -> tuple[Path, os.stat_result]:
    """Return the path and status of a file.

    Raises:
        InputError: If it is missing, no regular file, or too large.
    """
    name = visible(os.fspath(file))
    try:
        path = Path(file).expanduser()
        status = path.stat()
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from error
    except (ValueError, RuntimeError) as error:  # a NUL in its name; no home of that user
        raise InputError(f"{name} cannot be read: it is not the name of a file ({error})") from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{name} cannot be read: Is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{name} cannot be read: it is no regular file, but a device, a pipe or a socket")
    if status.st_size > LARGEST_FILE:
        raise InputError(f"{name} cannot be read: it has {status.st_size} bytes, where {LARGEST_FILE} are allowed")
    return path, status


def read_weights(file: str | os.PathLike[str], sha256: str | None = None) -> StateDict:
    """Return the state dict of a file: safetensors, or PyTorch's own, zipped or older.

    A PyTorch file may hold the state dict alone or where `state_dict_in` finds it. Prefixes of wrappers and entries
    that are no weights are removed.

    Args:
        file: The file.
        sha256: SHA-256 that its content must have; None accepts any.

    Raises:
        InputError: If the file cannot be read or has other content, is of neither kind, holds no state dict, tensors
            far larger than itself, or anything that could run code. No code of it is run.
    """
    path, _ = _regular(file)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{visible(str(path))} cannot be read: {error.strerror}") from error
    if sha256 is not None and (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise InputError(f"{path} is not the file that was asked for: its SHA-256 is {found}, not {sha256}")
    read = _read_safetensors if path.suffix == SAFETENSORS else read_pytorch
    loaded = read(path, content)
    try:
        weights = state_dict_in(loaded)
    except InputError as error:
        raise InputError(f"{path} {error}") from error
    size = sum(value.numel() * value.element_size() for value in weights.values())
    if size > (most := most_bytes(len(content))):
        raise InputError(
            f"{path} is not loaded: it has {len(content)} bytes and its tensors would have {size}, where {most} are "
            "allowed"
        )
    return weights


def convert_weights(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Write the state dict of a file, as `read_weights` reads it, as safetensors.

    Raises:
        InputError: As `read_weights`; if the target does not end in `SAFETENSORS` or cannot be written; if a tensor is
            not a dense array of numbers.
    """
    path = Path(target)
    if path.suffix != SAFETENSORS:
        raise InputError(f"{path}: the name of what is written must end in {SAFETENSORS}")
    weights = read_weights(source)
    if wrong := first_few([f"{key} is {kind}" for key, value in weights.items() if (kind := _odd_kind(value))]):
        raise InputError(f"{source} cannot be converted, for its tensors must be dense numbers: {wrong}")
    # Tensors of a checkpoint may share memory or have strides; safetensors takes neither.
    dense = {key: value.detach().clone(memory_format=torch.contiguous_format) for key, value in weights.items()}
    with naming(path):
        Storage(path.parent).write(path.name, dump_safetensors(dense))


def differences(expected: StateDict, found: StateDict) -> str:
    """Return one line on the keys and shapes that differ between two state dicts, with the first few of each kind."""
    missing = [key for key in expected if key not in found]
    unknown = [f"{key} {tuple(value.shape)}" for key, value in found.items() if key not in expected]
    shapes = [
        f"{key} is {tuple(found[key].shape)}, not {tuple(value.shape)}"
        for key, value in expected.items()
        if key in found and found[key].shape != value.shape
    ]
    kinds = {"missing": missing, "not among its keys": unknown, "shapes": shapes}
    said = "; ".join(f"{kind}: {first_few(entries)}" for kind, entries in kinds.items() if entries)
    convolutions = (key for key, value in expected.items() if value.ndim == 4 and key in found and found[key].ndim == 4)
    if (first := next(convolutions, None)) and found[first].shape[1] != expected[first].shape[1]:
        said += f": it reads images of {found[first].shape[1]} channels"
    return said


def wrong_kinds(expected: StateDict, found: StateDict) -> str:
    """Return one line on the tensors that are not floating-point numbers as the network's are; empty if all are.

    PyTorch would round whole numbers, truth values and complex numbers to weights that were never trained.
    """
    wrong = []
    for key, value in expected.items():
        tensor = found.get(key, value)
        kind = _odd_kind(tensor)
        if not kind and value.is_floating_point() and tensor.dtype not in FLOATS:
            kind = _name(tensor.dtype)
        if kind:
            wrong.append(f"{key} is {kind}")
    return first_few(wrong)


def unusable(weights: StateDict) -> str:
    """Return one line on tensors with numbers that no training yields; empty if there are none."""
    largest = {
        key: float(value.abs().max()) for key, value in weights.items() if value.is_floating_point() and value.numel()
    }
    kinds = {
        "NaN or infinite numbers": [key for key, most in largest.items() if not math.isfinite(most)],
        f"numbers beyond {LARGEST_WEIGHT:g}": [
            key for key, most in largest.items() if LARGEST_WEIGHT < most < math.inf
        ],
    }
    return "; ".join(f"{kind}, in {first_few(keys)}" for kind, keys in kinds.items() if keys)


def _odd_kind(value: Tensor) -> str:
    """Return the kind of a tensor that is not a dense array of plain numbers; empty if it is one."""
    if value.is_meta:
        return "without data"
    if value.layout != torch.strided or value.is_nested:
        return "sparse or nested"
    return "" if value.dtype in FLOATS | WHOLE else _name(value.dtype)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _read_safetensors(path: Path, content: bytes) -> StateDict:
    try:
        return load_safetensors(content)
    except KeyError as error:  # a type that PyTorch does not have
        kind = error.args[0]
        (key, *_) = (key for key, view in deserialize(content) if view["dtype"] == kind)  # type: ignore[no-untyped-call]
        raise InputError(f"{path} cannot be read: {key} is {kind}, which is no type of PyTorch's") from error
    except Exception as error:  # a wrong header raises SafetensorError and several others
        raise InputError(f"{path} is not a safetensors file: {error}") from error
