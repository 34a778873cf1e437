"""How alike two networks are on the same samples: their answers, and their representations."""

from torch import Tensor
from torch.nn import functional


def agreement(student: Tensor, teacher: Tensor) -> Tensor:
    """Return on how many samples both networks choose the same class, in per cent; a scalar.

    Args:
        student: (samples, classes): logits.
        teacher: (samples, classes): logits.
    """
    return 100 * (student.argmax(dim=1) == teacher.argmax(dim=1)).double().mean()


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Return KL(teacher || student) of the class probabilities at temperature 1, in nats, mean over the samples.

    Args:
        student: (samples, classes): logits.
        teacher: (samples, classes): logits.
    """
    ours, theirs = (functional.log_softmax(logits.double(), dim=1) for logits in (student, teacher))
    return functional.kl_div(ours, theirs, reduction="batchmean", log_target=True)


def linear_cka(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the linear centred kernel alignment of two representations, from 0 to 1; a scalar.

    Kornblith, Norouzi, Lee and Hinton, ICML 2019, arXiv 1905.00414, section 3: with columns of mean 0

        ||Y^T X||_F^2 / (||X^T X||_F ||Y^T Y||_F)

    It is the same for any rotation or scale of either side, and needs no equal widths. NaN where one side is constant.

    Args:
        student: (samples, features): X, of all samples at once; so it is no mean over minibatches, which is biased.
        teacher: (samples, other features): Y.
    """
    ours, theirs = (side.double() - side.double().mean(dim=0) for side in (student, teacher))
    products = theirs.T @ ours, ours.T @ ours, theirs.T @ theirs
    shared, own, its = (product.square().sum() for product in products)
    return shared / (own * its).sqrt()
