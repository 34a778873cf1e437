"""Data sets, their splits, and batches of them."""

from cktf.data.augmentation.changes import ImageChange as ImageChange
from cktf.data.augmentation.config import Augmentation as Augmentation
from cktf.data.augmentation.config import AugmentationConfig as AugmentationConfig
from cktf.data.augmentation.draws import uniform_integers as uniform_integers
from cktf.data.config import DataConfig as DataConfig
from cktf.data.config import load_dataset as load_dataset
from cktf.data.dataset import Constants as Constants
from cktf.data.dataset import Dataset as Dataset
from cktf.data.files.image_layout import IMAGE_FOLDER as IMAGE_FOLDER
from cktf.data.files.places import DataPlace as DataPlace
from cktf.data.files.places import DatasetMissing as DatasetMissing
from cktf.data.loader import TrainLoader as TrainLoader
from cktf.data.loader import evaluation_batches as evaluation_batches
from cktf.data.sets import DATASETS as DATASETS
from cktf.data.sets.image_folder import look_at_image_folder as look_at_image_folder
from cktf.data.sets.own import in_both_parts as in_both_parts
from cktf.data.splits import OF_SPLIT as OF_SPLIT
from cktf.data.splits import Samples as Samples
from cktf.data.splits import Split as Split
from cktf.data.splits import split as split
from cktf.data.splits import unlabelled_samples as unlabelled_samples
from cktf.data.splits import with_noise as with_noise
