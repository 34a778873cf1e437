"""PyTorch's own files, zipped or older: loaded without running anything that they hold, and bounded in size."""

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
"""How many times as many bytes as a larger file its tensors may have: numbers that were trained hardly compress."""

LARGEST_PICKLE = 2**23
"""Bytes of the part of a zipped file that says what its tensors are; one of ten thousand tensors has a tenth."""

_PICKLES = 5
"""Pickles that an older file begins with: a mark, the version, the machine, the content, the names of its storages."""

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
"""Classes and functions that training scripts leave in checkpoints and that do nothing but hold what they are given."""


def most_bytes(file_size: int) -> int:
    """Return how many bytes the tensors of a file of so many bytes may have."""
    return max(FLOOR, MOST_TIMES * file_size)


def read_pytorch(path: Path, content: bytes) -> object:
    """Return what `torch.save` wrote into a file, on the CPU.

    Args:
        path: The file, which messages name.
        content: Its bytes.

    Raises:
        InputError: If it is damaged or of another kind, unpacks to far more than it has itself, or holds anything that
            could run code. Nothing of it has run then.
    """
    _require_bounded(path, content)
    try:
        # Published checkpoints keep their options in a Namespace, which is harmless: a bag of attributes, whose class
        # has no __setstate__, __setattr__ or __del__ of its own. Making one and filling it therefore runs nothing of
        # the file's choice, and what is put in has to be allowed itself. It is thrown away here.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of kinds of tensors that are refused afterwards
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may raise anything
        if refused := re.search(r"\bGLOBAL (\S+)", str(error)):
            raise InputError(_refusal(path, refused[1], content)) from error
        # PyTorch's own text advises to load the file without its guard; the reason stands behind it.
        said = re.search(r"WeightsUnpickler error:\s+(.+)", str(error)) or re.search(r"(.+)", str(error))
        # Of a damaged file it may be no more than the number of the instruction that it broke off at.
        is_reason = said and " " in said[1] and not re.search("weights_only|Unsupported operand", said[1])
        reason = said[1] if said and is_reason else _kind(content)
        raise InputError(f"{path} is not a PyTorch file of tensors: {reason}") from error


def _kind(content: bytes) -> str:
    if content.startswith(b"version https://git-lfs.github.com/"):
        return "it is a pointer of Git LFS, not the file itself, which 'git lfs pull' fetches"
    if content[:200].lstrip().lower().startswith((b"<!doctype", b"<html")):
        return "it is a web page"
    return "it is damaged, or of another kind"


def _require_bounded(path: Path, content: bytes) -> None:
    """Look into the table of contents of a zipped file, before anything is unpacked."""
    # With it a file of a few bytes makes as many as it likes, and no weights are kept in one.
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
    """Say what is refused, and how somebody who trusts the file can make one of tensors alone from it."""
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
    """Return the names of all classes and functions that a file's pickles ask for; empty where that is not plain."""
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
                    return set()  # names that are put together while it is read
                if opcode.name == "GLOBAL":
                    module, _, attribute = str(argument).partition(" ")
                    found.add(f"{'builtins' if module == '__builtin__' else module}.{attribute}")
    except (ValueError, zipfile.BadZipFile, NotImplementedError):
        return set()
    return {
        name for name in found if not name.startswith("torch._utils._rebuild_") and not _is_of_tensors(name)
    }


def _is_of_tensors(name: str) -> bool:
    return bool(
        re.fullmatch(
            r"torch\.(\w+Storage|Size|device|Tensor|nn\.parameter\.Parameter)|torch\.storage\.\w+", name
        )
    )
