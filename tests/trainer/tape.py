"""A recorder of what the CPU does: it stands in for CUDA graphs, of which it has all that matters.

What it records are the operators that reach PyTorch's dispatcher, with the very tensors and numbers. A replay does them
again on the same memory: no Python runs, so a number that Python had worked out is the recorded one for ever.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def is_view(operator: Any) -> bool:
    """Return whether an operator only looks at its argument's memory."""
    return any(out.alias_info is not None and not out.alias_info.is_write for out in operator._schema.returns)


class Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records operators while it is entered."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.work: list[Callable[[], Any]] = []

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = operator(*args, **kwargs)
        name = operator._schema.name
        if is_view(operator) or name.startswith("profiler::"):
            return result
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        written = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        fresh = [out for out in outputs if all(out.data_ptr() != old.data_ptr() for old in written)]

        def again() -> None:
            found = [leaf for leaf in tree_leaves(operator(*args, **kwargs)) if isinstance(leaf, Tensor)]
            for out, value in zip(outputs, found, strict=True):
                if any(out is one for one in fresh):
                    out.copy_(value)

        self.work.append(again)
        return result


class TapeRecorder:
    """A `cktf.trainer.recording.Recorder` of the CPU."""

    def __init__(self) -> None:
        self.tapes: list[Tape] = []
        self.replays = 0

    def rehearse(self, run: Callable[[], None]) -> None:
        run()

    def record(self, run: Callable[[], None]) -> Callable[[], None]:
        with Tape() as tape:
            run()
        self.tapes.append(tape)

        @torch.no_grad()
        def replay() -> None:
            self.replays += 1
            for work in tape.work:
                work()

        return replay
