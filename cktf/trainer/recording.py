"""Records a training step as a CUDA graph, and detects effects of the step that a replay would not repeat."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

SMALLEST_CHANGE = 1e-30
"""Square of the change below which a part of the state counts as unchanged."""


class Recorder:
    """Records CUDA graphs of a device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def rehearse(self, run: Callable[[], None]) -> None:
        """Run on the recording's own stream; raise `NotRecorded` if the memory is too small for a recording."""
        allocated = torch.cuda.memory_allocated(self.device)
        free, total = torch.cuda.mem_get_info(self.device)
        share = torch.cuda.get_per_process_memory_fraction(self.device) * total
        usable = min(free + torch.cuda.memory_reserved(self.device), share)
        if usable - allocated < 2 * (torch.cuda.max_memory_allocated(self.device) - allocated):
            raise NotRecorded("the GPU's memory does not hold a step twice")
        self.stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.stream):
            run()
        torch.cuda.current_stream(self.device).wait_stream(self.stream)

    def record(self, run: Callable[[], None]) -> Callable[[], None]:
        """Record ``run`` as a graph and return the function that replays it; nothing is computed yet."""
        graph = torch.cuda.CUDAGraph()
        # A thread that writes a checkpoint meanwhile is no part of it.
        with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
            run()
        return graph.replay


def recorder_of(device: torch.device) -> Recorder | None:
    """Return the recorder of a device; None if it has none."""
    return Recorder(device) if device.type == "cuda" else None


class NotRecorded(RuntimeError):  # noqa: N818  # it says what has not happened
    """A step cannot be recorded; the message is the reason."""


class Unknown:
    """Number of the batch or epoch in a recorded step, which serves all of them: using it raises `NotRecorded`."""

    def _raise(self, *_: object) -> NoReturn:
        raise NotRecorded("it reads the number of the batch or of the epoch")

    __str__ = __repr__ = __int__ = __index__ = __float__ = __bool__ = __hash__ = _raise
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = __sub__ = __rsub__ = _raise
    __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __floordiv__ = __mod__ = _raise


class Moment:
    """A copy of a training's state, which can be restored: tensors, modules' attributes, random states."""

    def __init__(self, state: dict[str, list[Tensor]], modules: Sequence[nn.Module], device: torch.device) -> None:
        self.state, self.modules, self.device = state, modules, device
        self.copies = {part: [value.clone() for value in values] for part, values in state.items()}
        self.attributes = self._attributes()
        self.streams = self._streams()

    @torch.no_grad()
    def restore(self) -> None:
        """Restore the state."""
        for part, values in self.state.items():
            for value, copy in zip(values, self.copies[part], strict=True):
                value.copy_(copy)
        for (module, name), value in self.attributes.items():
            vars(module)[name] = value
        torch.set_rng_state(self.streams[0])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(self.streams[1], self.device)

    def require_pure(self) -> None:
        """Raise `NotRecorded` if anything but tensors has changed since the copy."""
        if not all(map(torch.equal, self.streams, self._streams())):
            raise NotRecorded("it draws random numbers")
        if self.attributes != self._attributes():
            raise NotRecorded("it changes attributes of modules that are no tensors")

    def differences(self, other: "Moment") -> dict[str, float]:
        """Return how far each part of the current state is from ``other``, as a share of its change since the copy."""

        def squared(part: str, copies: list[Tensor]) -> float:
            total = 0.0
            for value, copy in zip(self.state[part], copies, strict=True):
                # Not all in float64, in which a bank might not fit into the memory.
                kind = torch.promote_types(value.dtype, torch.float32)
                total += float(torch.linalg.vector_norm(value.to(kind) - copy.to(kind), dtype=torch.float64)) ** 2
            return total

        return {
            part: math.sqrt(squared(part, other.copies[part]) / max(squared(part, copies), SMALLEST_CHANGE))
            for part, copies in self.copies.items()
        }

    def _attributes(self) -> dict[tuple[nn.Module, str], Any]:
        named = [(module, *item) for module in self.modules for item in vars(module).items()]
        plain = bool | int | float | str | None
        return {(module, name): value for module, name, value in named if isinstance(value, plain)}

    def _streams(self) -> list[Tensor]:
        of_device = [torch.cuda.get_rng_state(self.device)] if self.device.type == "cuda" else []
        return [torch.get_rng_state(), *of_device]
