"""Random changes of images, drawn for each sample and made for whole batches on the device that holds them."""

from cktf.data.augmentation.boxes import draw_boxes
from cktf.data.augmentation.change import ImageChange
from cktf.data.augmentation.config import AUGMENTATIONS, Augmentation, AugmentationConfig
from cktf.data.augmentation.crops import crop_and_flip, draw, normalise, resized_crop
from cktf.data.augmentation.draws import splitmix64, uniform_integers, uniform_reals
from cktf.data.augmentation.mixing import draw_mixes

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "AugmentationConfig",
    "ImageChange",
    "crop_and_flip",
    "draw",
    "draw_boxes",
    "draw_mixes",
    "normalise",
    "resized_crop",
    "splitmix64",
    "uniform_integers",
    "uniform_reals",
]
