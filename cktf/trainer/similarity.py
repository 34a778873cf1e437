"""Similarity of student and teacher on the same samples: of predictions and of representations."""

from torch import Tensor
from torch.nn import functional


def agreement(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the share of samples for which both networks predict the same class, per cent; a scalar.

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
    q, p = (functional.log_softmax(logits.double(), dim=1) for logits in (student, teacher))
    return functional.kl_div(q, p, reduction="batchmean", log_target=True)


def linear_cka(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the linear centred kernel alignment of two representations, from 0 to 1; a scalar.

    Kornblith, Norouzi, Lee and Hinton, ICML 2019, arXiv 1905.00414, section 3: with columns of mean 0

        ||Y^T X||_F^2 / (||X^T X||_F ||Y^T Y||_F)

    It is invariant to rotation and scale of either side and takes different widths. NaN if one side is constant.

    Args:
        student: (samples, features): X, all samples at once, because a mean over minibatches is biased.
        teacher: (samples, other features): Y.
    """
    x, y = (side.double() - side.double().mean(dim=0) for side in (student, teacher))
    yx, xx, yy = (product.square().sum() for product in (y.T @ x, x.T @ x, y.T @ y))
    return yx / (xx * yy).sqrt()
