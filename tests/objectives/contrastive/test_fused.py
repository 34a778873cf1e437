"""The fused kernel, in Triton's interpreter: equal to float64; and compiled, for GPUs that are not there."""

import math
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from cktf.objectives.contrastive.nce import kernel_for
from cktf.objectives.contrastive.negatives import Negatives
from tests.objectives.contrastive.one_side import info_nce_loss, noise_contrastive_loss

BATCH, TEMPERATURE, PARTITION, COUNT = 19, 0.1, 300.0, 40
CPU = torch.device("cpu")


def case(candidates: int, dim: int, kind: str) -> tuple[Tensor, Tensor, Tensor, Negatives]:
    """Return anchors, positives and rows, and which rows are negatives: of the first anchor none."""
    generator = torch.Generator().manual_seed(0)
    vectors = [
        torch.nn.functional.normalize(torch.randn(count, dim, generator=generator), dim=1)
        for count in (BATCH, BATCH, candidates)
    ]
    weights = (torch.rand(BATCH, candidates, generator=generator) < 0.4).float()
    weights[0] = 0
    if kind == "repeated":
        weights *= torch.randint(1, 300, weights.shape, generator=generator)
    scale = torch.rand(BATCH, generator=generator) + 0.5 if kind == "scaled" else None
    anchors, positives, rows = vectors
    return anchors, positives, rows, Negatives(weights, COUNT, distinct=kind != "repeated", scale=scale)


def slow_loss(anchors: Tensor, positives: Tensor, rows: Tensor, negatives: Negatives, estimator: str) -> Tensor:
    """Return a loss as the papers write it, in the precision of the anchors."""
    positives, rows, weights = (values.to(anchors.dtype) for values in (positives, rows, negatives.weights))
    if negatives.scale is not None:
        weights = weights * negatives.scale.to(anchors.dtype).unsqueeze(1)
    own = ((anchors * positives).sum(1) / TEMPERATURE).exp()
    others = (anchors @ rows.T / TEMPERATURE).exp()
    if estimator == "infonce":
        return -(own / (own + (weights * others).sum(1))).log().mean()
    noise = COUNT / len(rows)
    own, others = own / PARTITION, others / PARTITION
    pulled = (own / (own + noise + 1e-7)).log()
    return -(pulled + (weights * (noise / (others + noise + 1e-7)).log()).sum(1)).mean()


@pytest.mark.parametrize("estimator", ["nce", "infonce"])
@pytest.mark.parametrize(
    ("candidates", "dim", "kind", "precision"),
    [
        (300, 128, "once", torch.float32),
        (1, 1, "once", torch.float32),
        (200, 20, "repeated", torch.float32),
        (130, 33, "scaled", torch.float32),
        (300, 256, "once", torch.bfloat16),
    ],
)
def test_loss_and_gradients_equal_float64(
    candidates: int, dim: int, kind: str, precision: torch.dtype, estimator: str, fused_kernel: ModuleType
) -> None:
    anchors, positives, rows, negatives = case(candidates, dim, kind)
    rows = rows.to(precision)
    assert kernel_for(CPU, anchors.shape[-1]) is fused_kernel
    fast, slow = anchors.clone().requires_grad_(), anchors.double().requires_grad_()
    if estimator == "infonce":
        loss = info_nce_loss(fast, positives, rows, negatives, temperature=TEMPERATURE)
    else:
        loss = noise_contrastive_loss(
            *(fast, positives, rows, negatives), temperature=TEMPERATURE, partition=PARTITION, num_samples=candidates
        )
    expected = slow_loss(slow, positives, rows, negatives, estimator)
    if estimator == "nce":  # the constant that the published epsilon leaves, of the weights' mean instead of K
        missing = COUNT - (
            negatives.weights if negatives.scale is None else negatives.weights * negatives.scale[:, None]
        ).sum(1)
        expected = expected + missing.double().mean() * math.log1p(1e-7 / (COUNT / candidates))
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
    of_fast, of_slow = torch.autograd.grad(loss, fast)[0], torch.autograd.grad(expected, slow)[0]
    torch.testing.assert_close(of_fast.double(), of_slow, rtol=1e-5, atol=1e-5 * float(of_slow.abs().max()))


def test_wide_embeddings_are_left_to_the_products(fused_kernel: ModuleType) -> None:
    assert kernel_for(CPU, fused_kernel.LARGEST_DIM + 1) is None


def test_a_kernel_is_tested_before_it_is_used(fused_kernel: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fused_kernel.fault(CPU) == ""
    right = fused_kernel.nce_sums
    monkeypatch.setattr(fused_kernel, "nce_sums", lambda *given: tuple(1.01 * value for value in right(*given)))
    assert fused_kernel.fault(CPU).startswith("it differs from float64 by 0.01")

    def wrong_in_bfloat16(in_bits: Tensor, rows: list[Tensor], *given: Any) -> Any:
        factor = 1.01 if rows[0].dtype == torch.bfloat16 else 1.0
        return tuple(factor * value for value in right(in_bits, rows, *given))

    monkeypatch.setattr(fused_kernel, "nce_sums", wrong_in_bfloat16)
    assert fused_kernel.fault(CPU).startswith("it differs from float64 by 0.01")

    def broken(*_: object) -> None:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(fused_kernel, "nce_sums", broken)
    assert fused_kernel.fault(CPU) == "RuntimeError: no compiler"


COMPILE = """
import re
import subprocess
import sys
from pathlib import Path
import triton
from triton.backends import nvidia
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from cktf.objectives.contrastive.fused import ANCHORS, ELEMENTS, LAUNCH, _contrast

for capability, rows, is_nce, width in ((80, "*fp32", True, 128), (90, "*bf16", False, 128), (90, "*fp32", True, 256)):
    constants = {"per_stretch": 3, "num_anchors": ANCHORS, "is_nce": is_nce}
    constants |= {"width": width, "block_rows": min(64, ELEMENTS // width)}
    kinds = {"rows": rows, "weights": "*u8", "odds": "fp32"}
    kinds |= dict.fromkeys(("anchors", "sums", "peaks", "vectors"), "*fp32")
    signature = {name: "constexpr" if name in constants else kinds.get(name, "i32") for name in _contrast.arg_names}
    source = ASTSource(fn=_contrast, signature=signature, constexprs=constants)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=LAUNCH)
    Path("cubin").write_bytes(compiled.asm["cubin"])
    tool = Path(next(iter(nvidia.__path__))) / "bin" / "cuobjdump"
    used = subprocess.run([tool, "-res-usage", "cubin"], capture_output=True, text=True, check=True).stdout
    print(compiled.metadata.shared, *re.findall(r"STACK:(\\d+)", used))
"""


@pytest.mark.slow
def test_it_compiles_for_gpus_and_fits_into_their_shared_memory_and_registers(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    surroundings = os.environ | {"TRITON_DEFAULT_FP_FUSION": "1"}  # the interpreter is for the other tests alone
    surroundings.pop("TRITON_INTERPRET", None)
    surroundings["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", COMPILE]
    done = subprocess.run(command, env=surroundings, cwd=tmp_path, capture_output=True, text=True, check=True)
    smallest, a_few_numbers = 99 * 1024, 64  # of sm_86 and sm_89; what does not fit into registers lies on the stack
    used = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert len(used) == 3
    assert all(shared < smallest and stack <= a_few_numbers for shared, stack in used), used
