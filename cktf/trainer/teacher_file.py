"""Files of trained weights: read without running anything that they hold, known by their content."""

import argparse
import hashlib
import io
import os
import re
import shlex
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as dump_safetensors
from torch import Tensor

from cktf.errors import InputError

StateDict = dict[str, Tensor]

SAFETENSORS = ".safetensors"
"""What the name of a file ends with that is read as safetensors; any other is PyTorch's own."""

STATE_DICT_KEYS = ("model", "state_dict")
"""Keys under which checkpoints keep the state dict, next to the epoch, the options, the optimizer's state."""

MOST_NAMED = 3
"""Keys of one kind that a message names."""


def content_digest(file: str | os.PathLike[str]) -> str | None:
    """Return the SHA-256 of a file's bytes in hexadecimal digits, None where this machine cannot read it."""
    path = Path(file).expanduser()
    try:
        status = path.stat()
        return _digest(path, status.st_mtime_ns, status.st_size)
    except OSError:
        return None


@lru_cache  # a study makes the configurations of all its arms, and checks each
def _digest(path: Path, _modified: int, _size: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_weights(file: str | os.PathLike[str], sha256: str | None = None) -> StateDict:
    """Return the state dict that a file holds: safetensors, or PyTorch's own, zipped or older.

    A PyTorch file may hold it alone or under one of `STATE_DICT_KEYS`. What `torch.nn.DataParallel` puts before
    each key is taken away.

    Args:
        file: The file.
        sha256: Digest that its content must have; None takes it as it is.

    Raises:
        ValueError: If the file cannot be read or has other content, is of neither kind, or holds anything that could
            run code. Nothing of it has run then.
    """
    path = Path(file).expanduser()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if sha256 is not None and (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise InputError(f"{path} is not the file that was asked for: its SHA-256 is {found}, not {sha256}")
    weights = _read_safetensors(path, content) if path.suffix == SAFETENSORS else _read_pytorch(path, content)
    prefix = "module."
    if all(key.startswith(prefix) for key in weights):
        return {key.removeprefix(prefix): value for key, value in weights.items()}
    return weights


def convert_weights(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Write the state dict of a file, as `read_weights` reads it, as safetensors.

    Raises:
        ValueError: As `read_weights`, or if the target's name is not one of safetensors.
        OSError: If the target cannot be written.
    """
    path = Path(target).expanduser()
    if path.suffix != SAFETENSORS:
        raise InputError(f"{path}: the name of what is written must end in {SAFETENSORS}")
    # Tensors of a checkpoint may share memory or skip through it; safetensors has room for neither.
    weights = {
        key: value.clone(memory_format=torch.contiguous_format) for key, value in read_weights(source).items()
    }
    path.write_bytes(dump_safetensors(weights))


def differences(expected: StateDict, found: StateDict) -> str:
    """Say in one line which keys and shapes differ between two state dicts, naming the first few of each kind."""
    missing = [key for key in expected if key not in found]
    unknown = [key for key in found if key not in expected]
    shapes = [
        f"{key} is {tuple(found[key].shape)}, not {tuple(value.shape)}"
        for key, value in expected.items()
        if key in found and found[key].shape != value.shape
    ]
    kinds = {"missing": missing, "not among its keys": unknown, "shapes": shapes}
    return "; ".join(f"{kind}: {_first(entries)}" for kind, entries in kinds.items() if entries)


def wrong_kinds(expected: StateDict, found: StateDict) -> str:
    """Say in one line which tensors are not floating-point numbers where a network's are; empty where all are.

    PyTorch would round whole numbers, truth values and complex numbers to weights that were never trained.
    """
    wrong = []
    for key, value in expected.items():
        kind = found.get(key, value)
        if kind.is_meta or kind.layout != torch.strided:
            wrong.append(f"{key} is {'without data' if kind.is_meta else 'sparse'}")
        elif value.is_floating_point() and not kind.is_floating_point():
            wrong.append(f"{key} is {str(kind.dtype).removeprefix('torch.')}")
    return _first(wrong)


def not_finite(weights: StateDict) -> str:
    """Say in one line which tensors hold NaN or infinite numbers; empty where none does."""
    return _first([key for key, value in weights.items() if not bool(value.isfinite().all())])


def _first(entries: list[str]) -> str:
    rest = len(entries) - MOST_NAMED
    return ", ".join(entries[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _read_safetensors(path: Path, content: bytes) -> StateDict:
    try:
        return load_safetensors(content)
    except (SafetensorError, KeyError) as error:  # the second of a type that PyTorch has not
        raise InputError(f"{path} is not a safetensors file: {error}") from error


def _read_pytorch(path: Path, content: bytes) -> StateDict:
    try:
        # Published checkpoints keep their options in a Namespace, which is harmless: a bag of attributes, whose class
        # has no __setstate__, __setattr__ or __del__ of its own. Making one and filling it therefore runs nothing of
        # the file's choice, and what is put in has to be allowed itself. It is thrown away here.
        with torch.serialization.safe_globals([argparse.Namespace]):
            loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may raise anything
        if refused := re.search(r"\bGLOBAL (\S+)", str(error)):
            raise InputError(_refusal(path, refused[1])) from error
        # PyTorch's own text advises to load the file without its guard; the reason stands behind it.
        said = re.search(r"WeightsUnpickler error:\s+(.+)", str(error)) or re.search(r"(.+)", str(error))
        # Of a damaged file it may be no more than the number of the instruction that it broke off at.
        reason = said[1] if said and " " in said[1] else "it is damaged, or of another kind"
        raise InputError(f"{path} is not a PyTorch file of tensors: {reason}") from error
    weights = loaded
    if isinstance(loaded, dict):
        weights = next((loaded[key] for key in STATE_DICT_KEYS if key in loaded), loaded)
    is_state_dict = isinstance(weights, dict) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in weights.items()
    )
    if not is_state_dict or not weights:
        places = " or ".join(repr(key) for key in STATE_DICT_KEYS)
        raise InputError(f"{path} holds no state dict, neither at its top nor under {places}")
    return dict(weights)


def _refusal(path: Path, refused: str) -> str:
    """Say what is refused, and how somebody who trusts the file can make one of tensors alone from it."""
    cleaned = path.with_suffix(".tensors.pth")
    code = (
        f"import torch; c = torch.load({str(path)!r}, map_location='cpu', weights_only=False); "
        f"torch.save(c.get('model', c) if isinstance(c, dict) else c.state_dict(), {str(cleaned)!r})"
    )
    return (
        f"{path} is not loaded, for it asks for {refused}, and loading that could run any code. If you trust whoever "
        f"made the file, run this, on a machine with nothing to lose: python -c {shlex.quote(code)}; "
        f"then name {cleaned}, which holds tensors alone ('cktf convert-teacher' makes safetensors of it)"
    )
