"""Matrix products by the faster library."""

import pytest
import torch

from cktf.objectives.contrastive import nce
from cktf.objectives.contrastive.nce import times_transposed


@pytest.mark.parametrize("has_slow_mkl", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_product_with_rows_and_with_strided_rows_is_that_of_plain_sums(
    dtype: torch.dtype, has_slow_mkl: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nce, "_has_slow_mkl", lambda: has_slow_mkl)
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(3, 5, generator=generator, dtype=dtype)
    right = torch.randn(7, 5, generator=generator, dtype=dtype)
    plain = torch.tensor([[sum(float(left[i, k] * right[j, k]) for k in range(5)) for j in range(7)] for i in range(3)])
    for rows in (right, right.T.contiguous().T):
        torch.testing.assert_close(times_transposed(left, rows), plain.to(dtype), rtol=1e-5, atol=1e-6)


def test_a_product_with_rows_in_bfloat16_is_exact_to_its_rounding() -> None:
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(3, 200, generator=generator)
    right = torch.randn(7, 200, generator=generator).bfloat16()
    exact = left.double() @ right.double().T
    lengths = left.norm(dim=1, keepdim=True) * right.float().norm(dim=1)
    for rows in (right, right.T.contiguous().T):
        product = times_transposed(left, rows)
        assert product.dtype == torch.float32
        error = (product - exact).abs()
        assert bool((error <= (exact.abs() + lengths) / 2**9).all())
        assert error.max() > 0, "it was not taken in bfloat16"
