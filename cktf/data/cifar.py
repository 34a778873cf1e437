"""CIFAR-10 and CIFAR-100, 32x32 colour, 50,000 and 10,000 samples (Krizhevsky, 2009)."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cktf.data.augmentation import Augmentation
from cktf.data.checksums import checksums
from cktf.data.config import DataConfig
from cktf.data.dataset import Dataset
from cktf.data.places import DatasetMissing, data_folder, writing


def load_cifar10(config: DataConfig) -> Dataset:
    """Return CIFAR-10.

    Raises:
        DatasetMissing: If it is not there, is damaged, or cannot be fetched.
    """
    from torchvision.datasets import CIFAR10  # here, since it takes seconds

    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    return _load(config, CIFAR10, num_classes=10, mean=mean, std=std)


def load_cifar100(config: DataConfig) -> Dataset:
    """Return CIFAR-100 with its 100 fine labels.

    Raises:
        DatasetMissing: If it is not there, is damaged, or cannot be fetched.
    """
    from torchvision.datasets import CIFAR100  # here, since it takes seconds

    mean, std = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
    return _load(config, CIFAR100, num_classes=100, mean=mean, std=std)


def _load(
    config: DataConfig,
    torchvision_class: Any,
    *,
    num_classes: int,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> Dataset:
    folder = data_folder(config.root)
    reader = _reader(folder, torchvision_class)
    try:
        if config.download:
            with writing(folder):
                reader(folder, download=True)
        train, test = reader(folder, train=True), reader(folder, train=False)
    except (OSError, RuntimeError) as error:
        unpacked = torchvision_class.base_folder
        remedy = (
            f"set data.download: true, or data.root to the folder that holds {unpacked}/, "
            f"as unpacked from {torchvision_class.filename}"
        )
        reason = str(error).partition(". ")[0]  # what follows is advice on torchvision's own arguments
        raise DatasetMissing(config.name, [folder / unpacked], remedy, reason) from error
    return Dataset(
        train_images=_channels_first(train.data),
        train_labels=torch.tensor(train.targets),
        test_images=_channels_first(test.data),
        test_labels=torch.tensor(test.targets),
        num_classes=num_classes,
        mean=torch.tensor(mean),
        std=torch.tensor(std),
        standard_augmentation=Augmentation(crop=4, flip=True),
    )


def _reader(folder: Path, torchvision_class: Any) -> Any:
    """Return the class, which reads no file whose checksum it does not know, with the checksums of these files."""
    train, test, meta = torchvision_class.train_list, torchvision_class.test_list, torchvision_class.meta
    published = dict([*train, *test, (meta["filename"], meta["md5"])])
    sums = checksums(folder / torchvision_class.base_folder, published)
    members = {
        "train_list": [[name, sums[name]] for name, _ in train],
        "test_list": [[name, sums[name]] for name, _ in test],
        "meta": {**meta, "md5": sums[meta["filename"]]},
    }
    return type(torchvision_class.__name__, (torchvision_class,), members)


def _channels_first(images: Any) -> Tensor:
    # torchvision keeps (samples, height, width, channels), as PIL wants it.
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
