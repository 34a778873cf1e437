"""Matrix products by the faster library."""

import pytest
import torch

from cktf.objectives.parts.products import times_transposed


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_product_with_rows_and_with_strided_rows_is_that_of_plain_sums(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(3, 5, generator=generator, dtype=dtype)
    right = torch.randn(7, 5, generator=generator, dtype=dtype)
    plain = torch.tensor(
        [[sum(float(left[i, k] * right[j, k]) for k in range(5)) for j in range(7)] for i in range(3)]
    )
    for rows in (right, right.T.contiguous().T):
        torch.testing.assert_close(times_transposed(left, rows), plain.to(dtype), rtol=1e-5, atol=1e-6)
