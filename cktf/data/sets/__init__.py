"""The data sets, one file each: where its files are, and how they are read."""

from collections.abc import Callable

from cktf.data.dataset import Dataset
from cktf.data.files.image_layout import IMAGE_FOLDER
from cktf.data.files.places import DataPlace
from cktf.data.sets.cifar import load_cifar10, load_cifar100
from cktf.data.sets.digits import load_digits
from cktf.data.sets.image_folder import load_image_folder
from cktf.data.sets.mnist import load_fashion_mnist, load_mnist
from cktf.data.sets.stl10 import load_stl10
from cktf.data.sets.tiny_imagenet import load_tiny_imagenet

DATASETS: dict[str, Callable[[DataPlace], Dataset]] = {
    "digits": load_digits,
    "fashion_mnist": load_fashion_mnist,
    "mnist": load_mnist,
    "cifar10": load_cifar10,
    "cifar100": load_cifar100,
    "tiny_imagenet": load_tiny_imagenet,
    "stl10": load_stl10,
    IMAGE_FOLDER: load_image_folder,
}
"""Name to loader."""
