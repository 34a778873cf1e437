"""Training images per second: `TrainLoader` against torchvision's transforms in a DataLoader.

Both crop with 4 black pixels, flip and normalise generated images of CIFAR size, in batches of 64. They
take turns, epoch by epoch; the DataLoader's workers are started beforehand; figures are medians of epochs.

With ``--file`` instead: images in a file that is in no cache, of each batch a network makes its logits, and the thread
that reads one batch ahead is compared with the same reads in turn with the network.

Run ``python benchmarks/input.py [--device cuda] [--file]``.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from cktf.data import Augmentation, AugmentationConfig, Dataset, TrainLoader, loader
from cktf.data.files.mapped import as_tensor
from cktf.mapped_arrays import read_array, write_array
from cktf.models import ModelConfig, build_model

MEAN, STD = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
NUM_WORKERS = 2


class TransformedImages(TorchDataset[tuple[torch.Tensor, int]]):
    """Images as torchvision's CIFAR classes hold them, transformed one by one.

    Args:
        dataset: The same images that `TrainLoader` reads.
        padding: Of the random crop, in pixels.
    """

    def __init__(self, dataset: Dataset, padding: int) -> None:
        self.images = dataset.train_images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels: list[int] = dataset.train_labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(dataset.image_shape[1:], padding=padding),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Return one transformed image and its label."""
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def generated(num_samples: int) -> Dataset:
    """Return random images of CIFAR size."""
    draws = torch.Generator().manual_seed(0)
    images = torch.randint(256, (num_samples, 3, 32, 32), generator=draws, dtype=torch.uint8)
    labels = torch.randint(100, (num_samples,), generator=draws)
    standard = Augmentation(crop=4, flip=True)
    return Dataset(images, labels, images[:1], labels[:1], 100, torch.tensor(MEAN), torch.tensor(STD), standard)


def images_per_second(batches: Iterable[Any], num_samples: int, device: torch.device) -> float:
    """Time one epoch, up to the moment when the last batch is on the device."""
    started = time.perf_counter()
    for _ in batches:
        pass
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return num_samples / (time.perf_counter() - started)


def rates(num_samples: int, batch_size: int, epochs: int, device: torch.device) -> tuple[float, float]:
    """Return images per second of `TrainLoader` and of the DataLoader, after an epoch of each that warms up."""
    dataset = generated(num_samples)
    rows = torch.arange(num_samples)
    ours = TrainLoader(dataset.to(device), rows, AugmentationConfig(), batch_size=batch_size, seed=0)
    theirs = DataLoader(
        TransformedImages(dataset, padding=dataset.standard_augmentation.crop),
        batch_size=batch_size,
        shuffle=True,
        num_workers=NUM_WORKERS,
        persistent_workers=True,
        pin_memory=device.type == "cuda",
    )

    def their_epoch() -> Iterable[Any]:
        return ((images.to(device, non_blocking=True), labels.to(device)) for images, labels in theirs)

    our_rates, their_rates = [], []
    for epoch in range(epochs + 1):
        our_rates.append(images_per_second(ours.epoch(epoch + 1), num_samples, device))
        their_rates.append(images_per_second(their_epoch(), num_samples, device))
    return statistics.median(our_rates[1:]), statistics.median(their_rates[1:])


def print_rates(num_samples: int, batch_size: int, epochs: int, device: torch.device) -> None:
    """Measure, and print the ratio."""
    ours, theirs = rates(num_samples, batch_size, epochs, device)
    print(f"input: crop, flip and normalisation, batches of {batch_size}")
    print(f"  TrainLoader                             {ours:>12,.0f} images/s")
    print(f"  torchvision in a DataLoader, {NUM_WORKERS} workers  {theirs:>12,.0f} images/s")
    print(f"  ratio                                   {ours / theirs:>12.1f}")


class InTurn(ThreadPoolExecutor):
    """Runs what is submitted when its result is asked for, in the thread that asks."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ARG002
        """Return the call's future."""
        future: Future[Any] = Future()
        future.result = lambda timeout=None: call(*args)  # type: ignore[method-assign]  # noqa: ARG005
        return future


def print_rates_of_a_file(num_samples: int, batch_size: int, epochs: int, device: torch.device) -> None:
    """Measure, and print the ratio; the file is thrown out of the cache before each epoch."""
    shape, draws = (num_samples, 3, 128, 128), np.random.default_rng(0)
    network = build_model(ModelConfig(model="resnet8"), 100, shape[1:]).to(device).eval()
    found: dict[type[ThreadPoolExecutor], list[float]] = {InTurn: [], ThreadPoolExecutor: []}
    loader.WHOLE_ON_DEVICE = 0  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images"
        write_array(path, (draws.integers(256, size=(1, *shape[1:]), dtype=np.uint8) for _ in range(num_samples)))
        pixels = read_array(path, np.uint8, shape)
        assert pixels is not None
        dataset = replace(generated(num_samples).to(device), train_images=as_tensor(pixels))
        options: dict[str, Any] = {"batch_size": batch_size, "seed": 0}
        batches = TrainLoader(dataset, torch.arange(num_samples), AugmentationConfig(), **options)
        for epoch in range(1, epochs + 1):
            for way, rates_found in found.items():
                with path.open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                loader.ThreadPoolExecutor = way  # type: ignore[attr-defined]
                with torch.no_grad():
                    logits = (network(batch.images).logits for batch in batches.epoch(epoch))
                    rates_found.append(images_per_second(logits, num_samples, device))
    in_turn, ahead = (statistics.median(rates_found) for rates_found in found.values())
    print(f"input: {num_samples:,} images of 3 x 128 x 128 in a file, batches of {batch_size}, logits of a resnet8")
    print(f"  read in turn with the network  {in_turn:>10,.0f} images/s")
    print(f"  one batch ahead                {ahead:>10,.0f} images/s")
    print(f"  ratio                          {ahead / in_turn:>10.2f}")


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--samples", type=int, default=12_800, help="images of an epoch")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=5, help="measured epochs, after one that warms up")
    parser.add_argument("--file", action="store_true", help="images in a file that is in no cache")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    print(f"{where}; torch {torch.__version__}, {torch.get_num_threads()} CPU thread(s)")
    measure = print_rates_of_a_file if arguments.file else print_rates
    measure(arguments.samples, arguments.batch_size, arguments.epochs, device)


if __name__ == "__main__":
    main()
