"""Trained weights: read from a file without running any code in it, found in a checkpoint, identified by content."""

import hashlib
import math
import os
import stat
from collections.abc import Iterator, Mapping
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

StateDict = dict[str, Tensor]

PLACES = (
    *("model", "state_dict", "model_state_dict", "model_state", "net", "network", "weights", "params"),
    *("module", "state_dict_ema", "model_ema", "ema_model", "ema_state_dict", "ema"),
)
"""Usual keys of the state dict in a checkpoint; if several are there, the first in this order is taken. A state dict
under any other key is taken if it is the only one."""

WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""Parts of keys that wrappers of a network add: DataParallel, averages of weights, ``torch.compile``, sharding."""

OUTER = {"model", "net", "network", "backbone", "student", "teacher", "ema", "ema_model", "model_ema"}
"""Names of the network in a larger module (Lightning's, a trainer's)."""

COUNTERS = {"n_averaged", "initted", "step", "num_updates", "decay"}
"""Keys of an average of weights that are no weights."""

EXTRA_STATE = "_extra_state"
"""Last part of the key of a module's extra state, which is of any type and no weight."""

MOST_NAMED = 3
"""Number of keys of one kind that a message names."""

DEEPEST = 4
"""Largest depth of nested mappings in which a state dict is searched."""

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

    Raises:
        InputError: If the file cannot be read or has another SHA-256 than the one given, is of neither kind, holds no
            state dict, tensors far larger than itself, or anything that could run code. No code of it is run.
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
            kind = str(tensor.dtype).removeprefix("torch.")
        wrong += [f"{key} is {kind}"] if kind else []
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
    return "" if value.dtype in FLOATS | WHOLE else str(value.dtype).removeprefix("torch.")


def _read_safetensors(path: Path, content: bytes) -> StateDict:
    try:
        return load_safetensors(content)
    except KeyError as error:  # a type that PyTorch does not have
        kind = error.args[0]
        (key, *_) = (key for key, view in deserialize(content) if view["dtype"] == kind)  # type: ignore[no-untyped-call]
        raise InputError(f"{path} cannot be read: {key} is {kind}, which is no type of PyTorch's") from error
    except Exception as error:  # a wrong header raises SafetensorError and several others
        raise InputError(f"{path} is not a safetensors file: {error}") from error


def state_dict_in(loaded: object) -> StateDict:
    """Return the state dict in an object that was loaded from a file, without prefixes of wrappers in its keys.

    Raises:
        InputError: If there is none, or several and none under a usual key. The message names them.
    """
    found = list(_state_dicts(loaded, (), set()))
    if not found:
        raise InputError(f"holds no state dict, which is a mapping of names to tensors; it holds {_outline(loaded)}")
    ranks = {place: [PLACES.index(key) if key in PLACES else len(PLACES) for key in place] for place, _ in found}
    first = min(ranks.values())
    best = [(place, weights) for place, weights in found if ranks[place] == first]
    if len(best) > 1:
        places = first_few([repr(".".join(place)) for place, _ in best])
        raise InputError(f"holds several state dicts, under {places}; save the one that is wanted alone")
    return _bare(best[0][1])


def part_of(expected: Mapping[str, Tensor], weights: StateDict) -> StateDict:
    """Return the part of a file's state dict whose keys are those of a network; all of it if there is no such part.

    Several networks may have prefixes in it (``student.``); ``expected`` is the network's own state dict.

    Raises:
        InputError: If several parts have these keys.
    """
    first = next(iter(expected))
    fitting = {}
    for key in weights:
        if key == first or key.endswith(f".{first}"):
            prefix = key[: -len(first)]
            part = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
            if not prefix:
                part = {key: value for key, value in part.items() if key in expected or key not in COUNTERS}
            # Batch-norms of PyTorch before 0.4.1 had no counter.
            missing = [key for key in expected if key not in part and not key.endswith("num_batches_tracked")]
            if not missing and part.keys() <= expected.keys():
                fitting[prefix] = part
    if len(fitting) > 1:
        raise InputError(
            f"holds several networks of this kind, under {first_few([repr(prefix) for prefix in fitting])}; save the "
            "one that is wanted alone"
        )
    return next(iter(fitting.values()), weights)


def first_few(entries: list[str]) -> str:
    """Return the first few entries in words, and the number of others."""
    rest = len(entries) - MOST_NAMED
    return ", ".join(entries[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _state_dicts(loaded: object, place: tuple[str, ...], seen: set[int]) -> Iterator[tuple[tuple[str, ...], StateDict]]:
    """Yield the keys that lead to each state dict, and the state dict; each mapping is visited once."""
    if not isinstance(loaded, Mapping) or id(loaded) in seen or len(place) > DEEPEST:
        return
    seen.add(id(loaded))
    weights = {key: value for key, value in loaded.items() if str(key).rpartition(".")[2] != EXTRA_STATE}
    if weights and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in weights.items()):
        yield place, weights
        return
    for key, value in loaded.items():
        if isinstance(key, str) and not any(word in key.lower() for word in ("optim", "sched", "scaler")):
            yield from _state_dicts(value, (*place, key), seen)


def _bare(weights: StateDict) -> StateDict:
    """Return a state dict without wrappers' parts of its keys, and without `OUTER` names that all keys begin with."""
    inner = {".".join(p for p in key.split(".") if p not in WRAPPERS): value for key, value in weights.items()}
    if len(inner) < len(weights):  # two keys would be one, so these are the network's own names
        return dict(weights)
    if inner.keys() != weights.keys():
        inner = {key: value for key, value in inner.items() if key not in COUNTERS}
    while True:
        own = {key for key in inner if key not in COUNTERS}
        outer = {key.partition(".")[0] for key in own}
        if len(outer) != 1 or not outer <= OUTER or not all("." in key for key in own):
            return inner
        inner = {key.partition(".")[2]: inner[key] for key in inner if key in own}


def _outline(loaded: object) -> str:
    """Return a description of a loaded object that holds no state dict."""

    def kind(value: object) -> str:
        if isinstance(value, Tensor):
            return f"tensor {tuple(value.shape)}"
        return f"mapping of {len(value)}" if isinstance(value, Mapping) else type(value).__name__

    if not isinstance(loaded, Mapping):
        return f"a {type(loaded).__name__}"
    return first_few([f"{key!r:.60} ({kind(value)})" for key, value in loaded.items()]) or "an empty mapping"
