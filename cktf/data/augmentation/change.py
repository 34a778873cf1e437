"""The interface of a random change of images, built in or of a plug-in."""

from abc import ABC, abstractmethod

from torch import Tensor

from cktf.settings import Settings


class ImageChange(Settings, ABC):
    """Base of random changes of images: its fields are the settings, a call changes a batch."""

    @abstractmethod
    def __call__(self, images: Tensor, index: Tensor, *, seed: int, epoch: int) -> Tensor:
        """Return changed images, (batch, channels, height, width), uint8, as ``images`` are.

        What is drawn must depend on the seed, the epoch, from 1, and the sample's index alone (see `uniform_integers`),
        so that a sample is changed alike in any batch, by any worker and after a resume. ``index`` (batch,), int64, are
        the samples' positions in the training split.
        """
