"""Trained weights: read from a file without running any code in it, found in a checkpoint, identified by content."""

import argparse
import hashlib
import io
import os
import re
import stat
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as dump_safetensors
from torch import Tensor

from cktf.data.files.places import file_digest, some_of
from cktf.errors import InputError, naming, refusal_of
from cktf.storage import Storage

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
"""Keys that averages of weights add to a state dict, and that are no weights."""

EXTRA_STATE = "_extra_state"
"""Last part of the key of a module's extra state, which is of any type and no weight."""

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
        return file_digest(_regular(file))
    except (OSError, InputError):
        return None


def _regular(file: str | os.PathLike[str]) -> Path:
    """Return the path of a file; raise an InputError if it is missing, no regular file, or too large."""
    try:
        path = Path(file).expanduser()
        status = path.stat()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {refusal_of(error)}") from error
    except (ValueError, RuntimeError) as error:  # a NUL in its name; no home of that user
        raise InputError(f"{file} cannot be read: it is not the name of a file ({error})") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{file} cannot be read: it is no regular file")
    if status.st_size > LARGEST_FILE:
        raise InputError(f"{file} cannot be read: it has {status.st_size} bytes, where {LARGEST_FILE} are allowed")
    return path


def read_weights(file: str | os.PathLike[str], sha256: str | None = None) -> StateDict:
    """Return the state dict of a file: safetensors, or PyTorch's own, zipped or older.

    A PyTorch file may hold the state dict alone or where `state_dict_in` finds it. Prefixes of wrappers and entries
    that are no weights are removed.

    Raises:
        InputError: If the file cannot be read or has another SHA-256 than the one given, is of neither kind, holds no
            state dict, tensors far larger than itself, or anything that could run code. No code of it is run.
    """
    path = _regular(file)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {refusal_of(error)}") from error
    if sha256 is not None and (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise InputError(f"{path} is not the file that was asked for: its SHA-256 is {found}, not {sha256}")
    loaded: object
    if path.suffix == SAFETENSORS:
        try:
            loaded = load_safetensors(content)
        except Exception as error:  # a wrong header raises SafetensorError and several others
            raise InputError(f"{path} is not a safetensors file of PyTorch's types: {error}") from error
    else:
        loaded = _read_pytorch(path, content)
    try:
        weights = state_dict_in(loaded)
    except InputError as error:
        raise InputError(f"{path} {error}") from error
    size = sum(value.numel() * value.element_size() for value in weights.values())
    if size > max(LARGEST_FILE // 16, 10 * len(content)):  # views of a few numbers; trained weights hardly compress
        raise InputError(f"{path} is not loaded: it has {len(content)} bytes and its tensors would have {size}")
    return weights


def _read_pytorch(path: Path, content: bytes) -> object:
    """Return the object that `torch.save` wrote into a file, on the CPU; no code of it is run."""
    try:
        # Published checkpoints keep their options in a Namespace, a class that runs no code when it is filled.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about kinds of tensors that are refused afterwards
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may raise anything
        # PyTorch's own text advises to load the file without its guard, so only its reason is passed on.
        if refused := re.search(r"\bGLOBAL (\S+)", str(error)):
            raise InputError(
                f"{path} is not loaded, for it asks for {refused[1]}, and loading that could run any code. Save its "
                "tensors alone: a state dict, or safetensors; if you did not make the file, on a machine with nothing "
                "to lose"
            ) from error
        reason = "it is damaged, or of another kind"
        if "TorchScript" in str(error):
            reason = "it is a program (TorchScript); save its state_dict() instead"
        elif content.startswith(b"version https://git-lfs.github.com/"):
            reason = "it is a pointer of Git LFS, not the file itself, which 'git lfs pull' fetches"
        elif said := re.search(r"WeightsUnpickler error:\s+(.+)", str(error)):
            reason += f" ({said[1]})"
        raise InputError(f"{path} is not a PyTorch file of tensors: {reason}") from error


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
    if wrong := some_of([f"{key} is {kind}" for key, value in weights.items() if (kind := _odd_kind(value))]):
        raise InputError(f"{source} cannot be converted, for its tensors must be dense numbers: {wrong}")
    # Tensors of a checkpoint may share memory or have strides; safetensors takes neither.
    dense = {key: value.detach().clone(memory_format=torch.contiguous_format) for key, value in weights.items()}
    with naming(path):
        Storage(path.parent).write(path.name, dump_safetensors(dense))


def differences(expected: StateDict, found: StateDict) -> str:
    """Return one line on the keys and shapes that differ between two state dicts, with the first few of each kind."""
    shapes = [
        f"{key} is {tuple(found[key].shape)}, not {tuple(value.shape)}"
        for key, value in expected.items()
        if key in found and found[key].shape != value.shape
    ]
    kinds = {
        "missing": [key for key in expected if key not in found],
        "not among its keys": [f"{key} {tuple(value.shape)}" for key, value in found.items() if key not in expected],
        "shapes": shapes,
    }
    return "; ".join(f"{kind}: {some_of(entries)}" for kind, entries in kinds.items() if entries)


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
        if kind:
            wrong.append(f"{key} is {kind}")
    return some_of(wrong)


def unusable(weights: StateDict) -> str:
    """Return one line on tensors with numbers that no training yields; empty if there are none."""
    numbers = {key: value for key, value in weights.items() if value.is_floating_point() and value.numel()}
    beyond = [key for key, value in numbers.items() if not float(value.abs().max()) <= LARGEST_WEIGHT]
    return f"NaN or numbers beyond {LARGEST_WEIGHT:g}, in {some_of(beyond)}" if beyond else ""


def _odd_kind(value: Tensor) -> str:
    """Return the kind of a tensor that is not a dense array of plain numbers; empty if it is one."""
    if value.is_meta:
        return "without data"
    if value.layout != torch.strided or value.is_nested:
        return "sparse or nested"
    return "" if value.dtype in FLOATS | WHOLE else str(value.dtype).removeprefix("torch.")


def state_dict_in(loaded: object) -> StateDict:
    """Return the state dict in an object that was loaded from a file, without prefixes of wrappers in its keys.

    Raises:
        InputError: If there is none, or several and none under a usual key. The message names them.
    """
    found = list(_state_dicts(loaded, (), set()))
    if not found:
        keys = [repr(key)[:60] for key in loaded] if isinstance(loaded, Mapping) else [f"a {type(loaded).__name__}"]
        held = some_of(keys) or "nothing"
        raise InputError(f"holds no state dict, which is a mapping of names to tensors; it holds {held}")
    ranks = {place: [PLACES.index(key) if key in PLACES else len(PLACES) for key in place] for place, _ in found}
    first = min(ranks.values())
    best = [(place, weights) for place, weights in found if ranks[place] == first]
    if len(best) > 1:
        places = some_of([repr(".".join(place)) for place, _ in best])
        raise InputError(f"holds several state dicts, under {places}; save the one that is wanted alone")
    return _bare(best[0][1])


def part_of(expected: Mapping[str, Tensor], weights: StateDict) -> StateDict:
    """Return the part of a file's state dict whose keys are those of a network; all of it if there is no such part.

    Several networks may have prefixes in it (``student.``); ``expected`` is the network's own state dict, whose keys
    may have parts that were taken for a wrapper's (``net.``).

    Raises:
        InputError: If several parts have these keys.
    """
    own = {_inner(key): key for key in expected}
    own = {inner: key for inner, key in own.items() if inner not in expected and key not in weights}
    weights = {own.get(key, key): value for key, value in weights.items()}
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
            f"holds several networks of this kind, under {some_of([repr(prefix) for prefix in fitting])}; save the "
            "one that is wanted alone"
        )
    return next(iter(fitting.values()), weights)


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
    """Return a state dict whose keys lack parts that wrappers add, and `OUTER` names with which all of them begin."""
    inner = {_without_wrappers(key): value for key, value in weights.items()}
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


def _without_wrappers(key: str) -> str:
    return ".".join(part for part in key.split(".") if part not in WRAPPERS)


def _inner(key: str) -> str:
    """Return a key without all that `_bare` may remove."""
    key = _without_wrappers(key)
    while "." in key and key.partition(".")[0] in OUTER:
        key = key.partition(".")[2]
    return key
