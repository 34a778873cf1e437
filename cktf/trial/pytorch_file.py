"""PyTorch's own files, zipped or older: loaded without running any code in them."""

import argparse
import io
import re
import warnings
from pathlib import Path

import torch

from cktf.errors import InputError


def read_pytorch(path: Path, content: bytes) -> object:
    """Return the object that `torch.save` wrote into a file, on the CPU; messages name ``path``.

    Raises:
        InputError: If it is damaged or of another kind, or holds anything that could run code. No code of it is run.
    """
    try:
        # Published checkpoints keep their options in a Namespace, a class without code that filling one would run.
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
