"""Teachers' weights: files of tensors that are damaged, of other shapes and types, under other keys."""

import argparse
import io
from collections import OrderedDict
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as dump_safetensors
from torch import Tensor

from cktf.data import DATASETS, DataPlace
from cktf.models import build_model
from cktf.trainer.teacher import TeacherConfig
from cktf.trial.teachers import build_teacher
from cktf.trial.weights import convert_weights
from tests.fuzz.driver import Case
from tests.fuzz.mutations import ODD_TEXTS, changed_bytes

WRAPPERS = ("model", "state_dict", "net", "model_state_dict", "state_dict_ema", "teacher", "weights", "x")
PREFIXES = ("", "module.", "_orig_mod.", "model.", "student.", "x.", "module.module.")


@cache
def _weights() -> dict[str, Tensor]:
    teacher = TeacherConfig(model="resnet8", epochs=1)
    return dict(build_model(teacher, 10, (1, 8, 8)).state_dict())


@cache
def _digits() -> Any:
    return DATASETS["digits"](DataPlace(name="digits"))


def checkpoints(draws: Random, folder: Path) -> Case:
    """Return a file of weights that is converted, or read as a teacher's."""
    digits = _digits()
    weights: dict[Any, Any] = {
        draws.choice(PREFIXES[:1] * 3 + PREFIXES) + key: value for key, value in _weights().items()
    }
    if draws.random() < 0.7:
        prefix = draws.choice(PREFIXES)
        weights = {prefix + key: value for key, value in _weights().items()}
    words = []
    for _ in range(draws.choice((0, 1, 1, 1, 2))):
        key = draws.choice(list(weights))
        what, change = draws.choice(_CHANGES)
        change(weights, key, draws)
        words.append(f"{what} at {key}")
    is_safe = draws.random() < 0.4
    name = "teacher.safetensors" if is_safe else "teacher.pth"
    try:
        content = dump_safetensors(weights) if is_safe else _pytorch(weights, draws)
    except Exception as error:  # what cannot even be written needs no reader
        content, name = _pytorch(weights, draws), "teacher.pth"
        words.append(f"no safetensors: {type(error).__name__}")
    if draws.random() < 0.4:
        content, what = changed_bytes(content, draws)
        words.append(what)
    file = folder / name
    file.write_bytes(content)

    def read() -> None:
        if draws.random() < 0.4:
            convert_weights(file, folder / "out.safetensors")
        else:
            teacher = TeacherConfig(model="resnet8", checkpoint=str(file))
            network = build_teacher(teacher, digits).eval()
            with torch.no_grad():
                network(torch.zeros(2, 1, 8, 8))

    return Case(f"{name}, {', '.join(words)}", read, (str(file),))


def _pytorch(weights: dict[Any, Any], draws: Random) -> bytes:
    saved: Any = draws.choice((dict, OrderedDict))(weights)
    if draws.random() < 0.5:
        saved = {draws.choice(WRAPPERS): saved}
        if draws.random() < 0.5:
            others = (
                ("epoch", 3),
                ("best", np.float64(0.5)),
                ("args", argparse.Namespace(lr=0.1)),
                ("model", "resnet8"),
                (1, None),
            )
            saved |= dict([draws.choice(others)])
    elif draws.random() < 0.1:
        saved = draws.choice(
            (None, [], {}, [saved], next(iter(weights.values())), "text", torch.nn.Linear(2, 2), {1: 2})
        )
    stream = io.BytesIO()
    torch.save(saved, stream, _use_new_zipfile_serialization=draws.random() < 0.7)
    return stream.getvalue()


def _value(make: Any) -> Any:
    def change(weights: dict[Any, Any], key: Any, _: Random) -> None:
        value = weights[key]
        weights[key] = make(value) if isinstance(value, Tensor) else value

    return change


def _gone(weights: dict[Any, Any], key: Any, _: Random) -> None:
    del weights[key]


def _renamed(weights: dict[Any, Any], key: Any, draws: Random) -> None:
    weights[draws.choice((*ODD_TEXTS, f"{key}x", 7))] = weights.pop(key)


def _added(weights: dict[Any, Any], key: Any, draws: Random) -> None:
    extra: Any = draws.choice((b"", None, 3, "text", torch.zeros(1), torch.zeros(0), {}, np.zeros(2)))
    weights[draws.choice((f"{key}_extra_state", "num_batches_tracked", "x"))] = extra


_CHANGES = (
    ("NaN", _value(lambda value: value * float("nan") if value.is_floating_point() else value)),
    ("large", _value(lambda value: torch.full_like(value, 1e30) if value.is_floating_point() else value)),
    ("whole numbers", _value(lambda value: value.to(torch.int64))),
    ("truth values", _value(lambda value: value.to(torch.bool))),
    ("complex", _value(lambda value: value.to(torch.complex64))),
    ("half", _value(lambda value: value.to(torch.bfloat16))),
    ("8 bits", _value(lambda value: value.to(torch.float8_e4m3fn) if value.is_floating_point() else value)),
    ("sparse", _value(lambda value: value.to_sparse() if value.ndim else value)),
    ("no data", _value(lambda value: value.to("meta"))),
    ("unfolded", _value(lambda _: torch.zeros(1).expand(2**30))),
    ("another shape", _value(lambda value: value[..., :1] if value.ndim else value.reshape(1))),
    ("no numbers", _value(lambda _: torch.zeros(0))),
    ("a view", _value(lambda value: value.t() if value.ndim == 2 else value)),
    ("nothing", _gone),
    ("another name", _renamed),
    ("something more", _added),
)
