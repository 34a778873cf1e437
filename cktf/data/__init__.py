"""Data sets, their splits, and batches of them."""

from cktf.data.augmentation.change import ImageChange
from cktf.data.augmentation.config import Augmentation, AugmentationConfig
from cktf.data.augmentation.draws import uniform_integers
from cktf.data.config import DataConfig
from cktf.data.dataset import Constants, Dataset
from cktf.data.files.image_layout import IMAGE_FOLDER
from cktf.data.files.places import DataPlace, DatasetMissing
from cktf.data.load import load_dataset
from cktf.data.loader import TrainLoader, evaluation_batches
from cktf.data.sets import DATASETS
from cktf.data.sets.image_folder import look_at_image_folder
from cktf.data.sets.own import in_both_parts
from cktf.data.splits import OF_SPLIT, Samples, Split, split, unlabelled_samples, with_noise

__all__ = [
    "DATASETS",
    "IMAGE_FOLDER",
    "OF_SPLIT",
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
    "in_both_parts",
    "load_dataset",
    "look_at_image_folder",
    "split",
    "uniform_integers",
    "unlabelled_samples",
    "with_noise",
]
