"""The data sets, one module each: where the files are, how they are read, and what is known without them."""

from collections.abc import Callable

from cktf.data.dataset import Dataset, Kind
from cktf.data.files.image_layout import IMAGE_FOLDER, folder_digest
from cktf.data.files.places import DataPlace
from cktf.data.sets.arrays import ARRAYS, arrays_digest, load_arrays
from cktf.data.sets.cifar import CIFAR10_KIND, CIFAR100_KIND, load_cifar10, load_cifar100
from cktf.data.sets.digits import DIGITS_KIND, load_digits
from cktf.data.sets.huggingface import HUGGINGFACE, load_huggingface, tables_digest
from cktf.data.sets.image_folder import IMAGE_FOLDER_KIND, load_image_folder
from cktf.data.sets.mnist import FASHION_MNIST_KIND, MNIST_KIND, load_fashion_mnist, load_mnist
from cktf.data.sets.own import OWN_KIND
from cktf.data.sets.stl10 import STL10_KIND, load_stl10
from cktf.data.sets.tiny_imagenet import TINY_IMAGENET_KIND, load_tiny_imagenet

_BUILT_IN: dict[str, tuple[Callable[[DataPlace], Dataset], Kind]] = {
    "digits": (load_digits, DIGITS_KIND),
    "fashion_mnist": (load_fashion_mnist, FASHION_MNIST_KIND),
    "mnist": (load_mnist, MNIST_KIND),
    "cifar10": (load_cifar10, CIFAR10_KIND),
    "cifar100": (load_cifar100, CIFAR100_KIND),
    "tiny_imagenet": (load_tiny_imagenet, TINY_IMAGENET_KIND),
    "stl10": (load_stl10, STL10_KIND),
    IMAGE_FOLDER: (load_image_folder, IMAGE_FOLDER_KIND),
    ARRAYS: (load_arrays, OWN_KIND),
    HUGGINGFACE: (load_huggingface, OWN_KIND),
}

DATASETS = {name: loader for name, (loader, _) in _BUILT_IN.items()}
"""Name to loader; plug-ins add theirs."""

KINDS = {name: kind for name, (_, kind) in _BUILT_IN.items()}
"""Name to the facts about a data set that are known without its files."""

OWN: dict[str, Callable[[str | None], str | None]] = {
    IMAGE_FOLDER: folder_digest,
    ARRAYS: arrays_digest,
    HUGGINGFACE: tables_digest,
}
"""Name of a data set of the user's own images to the function that returns its files' SHA-256, None without files."""
