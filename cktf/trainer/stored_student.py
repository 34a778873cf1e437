"""A stored student: the description in its file beside its weights, and the network that is built from both."""

import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Self

import torch
from torch import Tensor, nn

from cktf.data import Dataset
from cktf.data.augmentation.crops import normalise
from cktf.errors import InputError
from cktf.models import build_model
from cktf.objectives import extends_student
from cktf.trainer.assembly import built_student
from cktf.trainer.checkpoint import load_weights, metadata_of
from cktf.trainer.config import TrialConfig

VERSIONS = {"cktf": version("cktf"), "torch": torch.__version__}
"""Versions that a student's file names, looked up once: each look-up takes milliseconds."""


@dataclass(frozen=True, kw_only=True)
class AboutStudent:
    """Description of a stored student: all that is needed to use its weights.

    Attributes:
        config: The trial that trained it.
        study: Name of the study; empty if it was trained without one.
        num_classes: Classes of the student's logits.
        student_classes: Classes of the student's own classifier: within a probe the teacher's, else ``num_classes``.
        image_shape: (channels, height, width).
        mean: Mean of each channel of the training images, scaled to [0, 1].
        std: Standard deviation, likewise.
        class_names: Names of the classes in the order of the logits; empty if they are not known.
    """

    config: TrialConfig
    study: str
    num_classes: int
    student_classes: int
    image_shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]

    @classmethod
    def of(cls, config: TrialConfig, dataset: Dataset, student_classes: int, study: str = "") -> Self:
        """Return the description of a trial's student."""
        return cls(
            config=config,
            study=study,
            num_classes=dataset.num_classes,
            student_classes=student_classes,
            image_shape=tuple(dataset.image_shape),
            class_names=dataset.class_names,
            **asdict(dataset.constants),
        )

    def metadata(self) -> dict[str, str]:
        """Return the description as metadata of a safetensors file: texts, and all else as JSON."""
        values = {
            "format": "pt",  # which other libraries ask for
            "model": self.config.student.model,
            "trial_id": self.config.trial_id,
            **{name: value for name, value in vars(self).items() if name != "config"},
            "versions": VERSIONS,
            "config": self.config.model_dump(mode="json"),
        }
        return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}

    @classmethod
    def read(cls, content: bytes) -> Self:
        """Return the description in a student's file.

        Raises:
            InputError: If it has none.
            pydantic.ValidationError: If this process cannot read the trial's settings, as without its plug-ins.
        """
        metadata = metadata_of(content)
        if not cls.__dataclass_fields__.keys() <= metadata.keys():  # other programs may store a "config" too
            raise InputError("says nothing of its network: it is no file of a stored student")
        values = {name: metadata[name] for name in cls.__dataclass_fields__}
        study = values.pop("study")
        found = {name: json.loads(text) for name, text in values.items()}
        found |= {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
        return cls(**{**found, "study": study, "config": TrialConfig.model_validate(found["config"])})

    @property
    def is_extended(self) -> bool:
        """Whether it has more than its network's layers: a probe, or layers of an objective."""
        return self.config.probe is not None or extends_student(self.config.objective)


class Student(nn.Module):
    """A trained student: images as they are stored -> logits. Normalisation is part of it.

    Attributes:
        network: The network, which maps normalised images to `cktf.batch.Activations`.
        about: Its description.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, about: AboutStudent) -> None:
        super().__init__()
        self.network, self.about = network, about
        self.register_buffer("mean", torch.tensor(about.mean))
        self.register_buffer("std", torch.tensor(about.std))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes), float32, of images (batch, channels, height, width).

        Images are uint8, from 0 to 255, or floats from 0 to 1, as torchvision's ``to_tensor`` gives them; they are not
        normalised yet, and of the size in ``about.image_shape``.
        """
        logits: Tensor = self.network(normalise(_pixels(images), self.mean, self.std)).logits
        return logits


# A trace alone would take all images for the type that it was made with.
@torch.jit.script_if_tracing  # type: ignore[untyped-decorator]
def _pixels(images: Tensor) -> Tensor:
    """Return images with values from 0 to 255, whether they are uint8 or floats from 0 to 1."""
    return images if images.dtype == torch.uint8 else 255 * images


def student_of(content: bytes, about: AboutStudent) -> Student:
    """Return the student in the bytes of its file, in eval mode, on the CPU.

    Raises:
        InputError: If they are damaged, or are not the weights of that network.
    """
    weights = load_weights(content)
    blank = {"weights": None, "weights_sha256": None}
    config = about.config.model_copy(update={"student": about.config.student.model_copy(update=blank)})
    teacher = None
    if extends_student(config.objective):  # whose added layers have the teacher's shapes
        first = next(iter(config.read_teachers.values()))
        teacher = build_model(first.model_copy(update=blank), about.student_classes, about.image_shape)
    classes = about.student_classes, about.num_classes
    student, probe, _ = built_student(config, about.image_shape, classes, torch.zeros(0, dtype=torch.int64), teacher)
    network = probe or student
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"does not hold the weights of {config.student.model}: {error}") from error
    return Student(network, about).eval().requires_grad_(False)
