"""Mixup and CutMix: images mixed from two samples each.

A sample's partner is the one in the mirrored place of its batch, the last for the first: random, as the order is.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cktf.data.augmentation.boxes import inside
from cktf.data.augmentation.config import Augmentation
from cktf.data.augmentation.draws import uniform_integers, uniform_reals
from cktf.seeding import derive


@dataclass(frozen=True, eq=False)
class Mixes:
    """Weights and boxes by which the samples of an epoch, in its order, are mixed with their partners.

    Attributes:
        weights: (samples,), float32: weight of the sample's own pixels within its box; outside it is 1.
        boxes: (4, samples), int64, as `draw_boxes` returns them.
        shares: (samples,), float32: mean of the weights over the image, which is the weight of the sample's own label.
    """

    weights: Tensor
    boxes: Tensor
    shares: Tensor

    def of(self, images: Tensor, partners: Tensor, chosen: slice) -> Tensor:
        """Return the images (batch, channels, height, width), of the samples ``chosen``, mixed with their partners."""
        weights = self.weights[chosen, None, None, None]
        is_in = inside(self.boxes[:, chosen], *images.shape[2:])
        return torch.lerp(partners, images, torch.where(is_in, weights, 1.0))


def draw_mixes(
    augmentation: Augmentation, index: Tensor, seed: int, epoch: int, height: int, width: int, device: torch.device
) -> Mixes:
    """Return the `Mixes` of samples in an epoch, on a device.

    ``index`` (samples,), int64, CPU, are the samples' positions in the training split; ``epoch`` counts from 1.
    lambda is drawn from Beta(alpha, alpha), as the quantile of a uniform number. mixup (Zhang, Cisse, Dauphin and
    Lopez-Paz, ICLR 2018, arXiv 1710.09412) weighs the images with it. CutMix (Yun et al., ICCV 2019, arXiv 1905.04899)
    takes a box with the share 1 - lambda of the area, before it is cut at the image's edges, from the partner.
    """
    from scipy.special import betaincinv  # which takes long to import

    def key(purpose: str) -> int:
        return derive(seed, "mixing", purpose, epoch)

    is_cut = torch.full_like(index, augmentation.cutmix > 0, dtype=torch.bool)
    if augmentation.mixup and augmentation.cutmix:
        is_cut = uniform_integers(key("kind"), index, 2) == 1
    alpha = torch.where(is_cut, augmentation.cutmix, augmentation.mixup).double().numpy()
    own = torch.from_numpy(betaincinv(alpha, alpha, uniform_reals(key("lambda"), index).numpy()))
    ends = []
    for purpose, side in (("row", height), ("column", width)):
        half = ((1 - own).sqrt() * side).long() // 2
        centre = uniform_integers(key(purpose), index, side)
        first, last = (centre - half).clamp(min=0), (centre + half).clamp(max=side)
        ends.append((torch.where(is_cut, first, 0), torch.where(is_cut, last - first, side)))
    (tops, heights), (lefts, widths) = ends
    is_mixed = uniform_reals(key("whether"), index) < augmentation.mix_probability
    weights = torch.where(is_mixed, torch.where(is_cut, 0.0, own), 1.0)
    shares = 1 - (1 - weights) * (heights * widths) / (height * width)
    drawn = weights.float(), torch.stack([tops, lefts, heights, widths]), shares.float()
    return Mixes(*(values.to(device) for values in drawn))
