"""PyTorch's own files, zipped or older: loaded without running any code in them, and bounded in size."""

import argparse
import io
import pickletools
import re
import shlex
import warnings
import zipfile
from pathlib import Path

import torch

from cktf.errors import InputError

FLOOR = 2**28
"""Bytes that the tensors of any file may have, however small the file is."""

MOST_TIMES = 10
"""Largest ratio of the bytes of a larger file's tensors to its own; trained numbers hardly compress."""

LARGEST_PICKLE = 2**23
"""Largest size in bytes of the index of tensors in a zipped file; one of ten thousand tensors has a tenth."""

_PICKLES = 5
"""Pickles at the beginning of an older file: magic number, version, machine, content, names of its storages."""

_HARMLESS = re.compile(
    r"argparse\.Namespace|types\.SimpleNamespace|typing\.Any|copyreg\._reconstructor|uuid\.UUID|decimal\.Decimal"
    r"|collections\.(OrderedDict|defaultdict|Counter|deque)|datetime\.(date|datetime|time|timedelta|timezone)"
    r"|pathlib\.(_local\.)?(Pure)?(Posix|Windows)?Path"
    r"|numpy\.(ndarray|dtype|dtypes\.\w+DType|bool_?|u?int\d+|float\d+|str_|bytes_)"
    r"|numpy\.(core|_core)\.(multiarray\.(scalar|_reconstruct)|numeric\._frombuffer)"
    r"|numpy\.random\._pickle\.__\w+_ctor|_codecs\.encode|torch\.torch_version\.TorchVersion"
    r"|builtins\.(object|dict|list|tuple|set|frozenset|int|float|complex|bool|str|bytes|bytearray|slice|range)"
    r"|omegaconf\.(dictconfig\.DictConfig|listconfig\.ListConfig|base\.(Container)?Metadata|nodes\.\w+Node)"
    r"|easydict\.EasyDict|yacs\.config\.CfgNode|(pytorch_lightning|lightning\.\w+)\.utilities\.parsing\.AttributeDict"
    r"|(pytorch_lightning|lightning\.pytorch)\.callbacks\.(model_checkpoint\.ModelCheckpoint|early_stopping\.EarlyStopping)"
)
"""Classes and functions that training scripts leave in checkpoints and that only hold data."""

_OF_TENSORS = re.compile(
    r"torch\._utils\._rebuild_.*|torch\.storage\.\w+"
    r"|torch\.(\w+Storage|Size|device|Tensor|nn\.parameter\.Parameter)"
)
"""Names that every file of tensors has."""


def most_bytes(file_size: int) -> int:
    """Return the number of bytes that the tensors of a file of this size may have."""
    return max(FLOOR, MOST_TIMES * file_size)


def read_pytorch(path: Path, content: bytes) -> object:
    """Return the object that `torch.save` wrote into a file, on the CPU; messages name ``path``.

    Raises:
        InputError: If it is damaged or of another kind, unpacks to far more than its own size, or holds anything that
            could run code. No code of it is run.
    """
    _require_bounded(path, content)
    try:
        # Published checkpoints keep their options in a Namespace. It is harmless: the class has no __setstate__,
        # __setattr__ or __del__ of its own, so filling one runs no code of the file, and its values must be allowed
        # themselves.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about kinds of tensors that are refused afterwards
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may raise anything
        if refused := re.search(r"\bGLOBAL (\S+)", str(error)):
            raise InputError(_refusal(path, refused[1], content)) from error
        # PyTorch's own text advises to load the file without its guard; the reason follows it.
        said = re.search(r"WeightsUnpickler error:\s+(.+)", str(error)) or re.search(r"(.+)", str(error))
        # For a damaged file it may be only the number of an instruction.
        is_reason = said and " " in said[1] and not re.search("weights_only|Unsupported operand", said[1])
        if said and is_reason:
            reason = said[1]
        elif content.startswith(b"version https://git-lfs.github.com/"):
            reason = "it is a pointer of Git LFS, not the file itself, which 'git lfs pull' fetches"
        elif content[:200].lstrip().lower().startswith((b"<!doctype", b"<html")):
            reason = "it is a web page"
        else:
            reason = "it is damaged, or of another kind"
        raise InputError(f"{path} is not a PyTorch file of tensors: {reason}") from error


def _require_bounded(path: Path, content: bytes) -> None:
    """Raise an InputError if a file would unpack to too much; only its table of contents is read."""
    # A bytearray of any size takes a few bytes in a pickle, and no weights are stored in one.
    if b"bytearray\n" in content:
        raise InputError(f"{path} is not loaded, for it holds a bytearray, which may be of any size")
    if not content.startswith(b"PK"):
        return
    try:
        entries = zipfile.ZipFile(io.BytesIO(content)).infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise InputError(f"{path} is not a PyTorch file of tensors: it is damaged ({error})") from error
    size, most = sum(entry.file_size for entry in entries), most_bytes(len(content))
    if size > most:
        raise InputError(
            f"{path} is not loaded: it has {len(content)} bytes and would unpack to {size}, where {most} are allowed"
        )
    names = {entry.filename.rpartition("/")[2] for entry in entries}
    if "constants.pkl" in names:
        raise InputError(
            f"{path} is not a PyTorch file of tensors: it is a program (TorchScript); save its state_dict() instead"
        )
    for entry in entries:
        if entry.filename.endswith("data.pkl") and entry.file_size > LARGEST_PICKLE:
            raise InputError(
                f"{path} is not loaded: what says which tensors it has ({entry.filename}) has {entry.file_size} bytes, "
                f"where {LARGEST_PICKLE} are allowed"
            )


def _refusal(path: Path, refused: str, content: bytes) -> str:
    """Return the message for a refused file; if it looks harmless, with the command that extracts its tensors."""
    why = f"{path} is not loaded, for it asks for {refused}, and loading that could run any code."
    asked = _asked_for(content)
    if not asked or not all(_HARMLESS.fullmatch(name) for name in asked):
        return f"{why} Have whoever made the file save its tensors alone: a state dict, or safetensors"
    cleaned = path.with_suffix(".tensors.pth")
    code = (
        "import torch; f = lambda x: x.detach() if torch.is_tensor(x) "
        "else torch.as_tensor(x) if type(x).__name__ == 'ndarray' and x.dtype.kind in 'fiub' "
        "else {k: y for k, y in ((k, f(v)) for k, v in x.items() if isinstance(k, str)) if torch.is_tensor(y) or y} "
        "if isinstance(x, dict) else None; "
        f"torch.save(f(torch.load({str(path)!r}, map_location='cpu', weights_only=False)), {str(cleaned)!r})"
    )
    return (
        f"{why} If you trust whoever made the file, run this, on a machine with nothing to lose: python -c "
        f"{shlex.quote(code)}; then name {cleaned}, which holds its tensors alone ('cktf convert-teacher' makes "
        "safetensors of it)"
    )


def _asked_for(content: bytes) -> set[str]:
    """Return the names of all classes and functions in a file's pickles; empty if they cannot be read off."""
    pickles = io.BytesIO(content)
    count = _PICKLES
    try:
        if content.startswith(b"PK"):
            archive = zipfile.ZipFile(pickles)
            (name,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
            pickles, count = io.BytesIO(archive.read(name)), 1
        found = set()
        for _ in range(count):
            for opcode, argument, _ in pickletools.genops(pickles):
                if opcode.name in {"STACK_GLOBAL", "EXT1", "EXT2", "EXT4", "INST"}:
                    return set()  # names that are assembled while loading
                if opcode.name == "GLOBAL":
                    module, _, attribute = str(argument).partition(" ")
                    found.add(f"{'builtins' if module == '__builtin__' else module}.{attribute}")
    except (ValueError, zipfile.BadZipFile, NotImplementedError):
        return set()
    return {name for name in found if not _OF_TENSORS.fullmatch(name)}
