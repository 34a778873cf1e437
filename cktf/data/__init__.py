"""Data sets, their splits, and batches of them."""

from cktf.data.augmentation import Augmentation, AugmentationConfig, ImageChange, uniform_integers
from cktf.data.config import DataConfig
from cktf.data.dataset import Constants, Dataset
from cktf.data.files.image_layout import IMAGE_FOLDER
from cktf.data.files.places import DataPlace, DatasetMissing
from cktf.data.load import load_dataset
from cktf.data.loader import TrainLoader, evaluation_batches
from cktf.data.sets import DATASETS
from cktf.data.sets.image_folder import look_at_image_folder
from cktf.data.splits import Samples, Split, split, unlabelled_samples

__all__ = [
    "DATASETS",
    "IMAGE_FOLDER",
    "Augmentation",
    "AugmentationConfig",
    "Constants",
    "DataConfig",
    "DataPlace",
    "Dataset",
    "DatasetMissing",
    "ImageChange",
    "Samples",
    "Split",
    "TrainLoader",
    "evaluation_batches",
    "load_dataset",
    "look_at_image_folder",
    "split",
    "uniform_integers",
    "unlabelled_samples",
]
