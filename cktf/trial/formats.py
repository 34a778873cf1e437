"""Export of a student to other programs' formats; a file is read back and compared before it counts as written."""

import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cktf.errors import InputError
from cktf.models import Adapter
from cktf.models.zoo import TIMM_PREFIX, TORCHVISION_PREFIX
from cktf.plugins import ORIGINS
from cktf.seeding import generator
from cktf.trainer.stored_student import Student

TOLERANCE = 1e-5
"""Absolute and relative tolerance of logits, between a student and its exported file."""

Reader = Callable[[Tensor], Tensor]
"""A file read back: images (batch, channels, height, width), float32 from 0 to 1, to logits."""


def write_student(student: Student, to: str, path: Path) -> str:
    """Write a student in one of `FORMATS`, and return how the file is used.

    Raises:
        InputError: If the format does not take this student, a package is missing, or the file's outputs differ. A file
            that was there is then as before.
    """
    before = path.read_bytes() if path.exists() else b""
    student.float().eval()
    try:
        run, usage = FORMATS[to](student, path)
        few = torch.rand(3, *student.about.image_shape, generator=generator(0, "images of an export"))
        with torch.no_grad():
            found, expected = run(few), student(few)
        if not torch.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE):
            apart = float((found - expected).abs().max())
            said = f"logits of the file differ from the student's by {apart:.2g}: it is not kept"
            raise InputError(f"--to {to}: {said}")  # noqa: TRY301
    except Exception as error:  # whatever a tracer raises for a user's network
        if before:
            path.write_bytes(before)
        else:
            path.unlink(missing_ok=True)
        if isinstance(error, InputError):
            raise
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        if isinstance(error, ImportError):
            raise InputError(
                f"--to {to}: needs a package that is not there: pip install 'cktf[onnx]' ({said})"
            ) from error
        raise InputError(f"--to {to}: {student.about.config.student.model} cannot be exported: {said}") from error
    return usage


def _as_torchscript(student: Student, path: Path) -> tuple[Reader, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecation and fixed shapes; another batch size is compared later
        traced = torch.jit.trace(student, torch.zeros(2, *student.about.image_shape))  # type: ignore[no-untyped-call]
        torch.jit.save(traced, path)
        loaded: Reader = torch.jit.load(path)  # type: ignore[no-untyped-call]
    return loaded, f"logits = torch.jit.load({str(path)!r})(images)  # images: uint8, or float32 from 0 to 1"


def _as_onnx(student: Student, path: Path) -> tuple[Reader, str]:
    from onnxruntime import InferenceSession

    sizes = {"images": {0: torch.export.Dim.DYNAMIC}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about onnxscript's own code
        program: Any = torch.onnx.export(
            *(student, (torch.zeros(2, *student.about.image_shape),)),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=sizes,
            verbose=False,
        )
    program.model.metadata_props.update(student.about.metadata())
    program.save(path)
    session = InferenceSession(path)
    usage = f"logits, = onnxruntime.InferenceSession({str(path)!r}).run(None, {{'images': images}})  # float32, 0 to 1"
    return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0]), usage


def _as_torch(student: Student, path: Path) -> tuple[Reader, str]:
    if student.about.is_extended:
        raise InputError(
            "--to torch: this student has a probe, or layers of an objective, so that no library has its network; "
            "use --to torchscript, --to onnx or cktf.load_student"
        )
    torch.save(student.network.state_dict(), path)

    def run(program: str, images: Tensor) -> Tensor:
        scope = {"images": images}
        exec(program, scope)  # noqa: S102  # the usage that is shown to the user, to test it
        return scope["logits"]

    *programs, last = _programs(student, path)
    for program in programs:
        with suppress(TypeError):  # raised by networks that reject an argument
            run(program, torch.zeros(1, *student.about.image_shape))
            return partial(run, program), program
    return partial(run, last), last


def _programs(student: Student, path: Path) -> list[str]:
    """Return programs that load a state dict into the library's own network; the first that runs is right."""
    about = student.about
    model, classes, shape = about.config.student.model, about.num_classes, about.image_shape
    name, shown = model.partition("/")[2], "(images - mean) / std"
    if model.startswith(TORCHVISION_PREFIX):
        size = f", image_size={shape[-1]}" if name.startswith("vit_") else ""
        shown = f"({shown}).expand(-1, 3, -1, -1)" if shape[0] == 1 else shown
        ways = [f"import torchvision\nnetwork = torchvision.models.get_model({name!r}, num_classes={classes}{size})"]
    elif model.startswith(TIMM_PREFIX):
        begin = f"import timm\nnetwork = timm.create_model({name!r}, num_classes={classes}, in_chans={shape[0]}"
        ways = [f"{begin}, img_size={shape[1:]})", f"{begin})"]  # some take no img_size
    else:
        origin, width = ORIGINS.get(("MODELS", model)), about.config.student.width
        of = f"  # with the plug-in {origin.name}, once it is registered" if origin else ""
        scale = f", scale={width}" if width != 1 else ""
        ways = [f"from cktf.models import MODELS{of}\nnetwork = MODELS[{model!r}]({classes}, {shape[0]}{scale})"]
    after = "" if isinstance(student.network, Adapter) else ".logits"
    return [
        f"""import torch
{way}
network.load_state_dict(torch.load({str(path)!r}, weights_only=True))
network.eval()
mean, std = (torch.tensor(each)[:, None, None] for each in ({[*about.mean]}, {[*about.std]}))
logits = network({shown}){after}  # images: (batch, {", ".join(map(str, shape))}), float32 from 0 to 1"""
        for way in ways
    ]


FORMATS: dict[str, Callable[[Student, Path], tuple[Reader, str]]] = {
    "torch": _as_torch,
    "torchscript": _as_torchscript,
    "onnx": _as_onnx,
}
"""Format to the function that writes a student's file, and returns a reader of that file and its usage."""

SUFFIXES = {"torch": ".pt", "torchscript": ".torchscript", "onnx": ".onnx"}
