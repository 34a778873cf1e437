"""Where a checkpoint keeps its state dict, and what training frameworks put before the keys of a network."""

from collections.abc import Iterator, Mapping

from torch import Tensor

from cktf.errors import InputError

StateDict = dict[str, Tensor]

PLACES = (
    *("model", "state_dict", "model_state_dict", "model_state", "net", "network", "weights", "params"),
    *("module", "state_dict_ema", "model_ema", "ema_model", "ema_state_dict", "ema"),
)
"""Keys under which checkpoints keep the state dict, next to the epoch, the options, the optimizer's state; the first
of them counts where a file has several. Any other place counts where it is the only one."""

WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""Parts of a key that belong to what was wrapped around a network: by DataParallel and averages of weights, by
``torch.compile``, by sharding."""

OUTER = {"model", "net", "network", "backbone", "student", "teacher", "ema", "ema_model", "model_ema"}
"""Names under which a larger module (Lightning's, a trainer's) keeps the network."""

COUNTERS = {"n_averaged", "initted", "step", "num_updates", "decay"}
"""Keys of an average of weights beside the network's own."""

EXTRA_STATE = "_extra_state"
"""Last part of the key under which a module keeps what is no weight; of any type."""

MOST_NAMED = 3
"""Keys of one kind that a message names."""

DEEPEST = 4
"""Mappings within each other in which a state dict is looked for."""


def state_dict_in(loaded: object) -> StateDict:
    """Return the state dict in what a file held, under keys that are as near to the network's own as can be told.

    Raises:
        InputError: If there is none, or several, of which none stands where checkpoints keep it. What was found is
            named.
    """
    found = list(_state_dicts(loaded, (), set()))
    if not found:
        raise InputError(
            f"holds no state dict, which is a mapping of names to tensors; it holds {_outline(loaded)}"
        )
    ranks = {place: [_rank(key) for key in place] for place, _ in found}
    first = min(ranks.values())
    best = [(place, weights) for place, weights in found if ranks[place] == first]
    if len(best) > 1:
        places = first_few([repr(".".join(place)) for place, _ in best])
        raise InputError(f"holds several state dicts, under {places}; save the one that is wanted alone")
    return _bare(best[0][1])


def part_of(expected: Mapping[str, Tensor], weights: StateDict) -> StateDict:
    """Return the part of a state dict whose keys are those of a network; all of it where there is no such part.

    Args:
        expected: The network's own state dict.
        weights: A file's, in which the network may stand beside others, each behind a prefix (``student.``).

    Raises:
        InputError: If several parts have these keys.
    """
    first = next(iter(expected))
    fitting = {}
    for key in weights:
        if key == first or key.endswith(f".{first}"):
            prefix = key[: -len(first)]
            part = {
                key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)
            }
            if not prefix:
                part = {key: value for key, value in part.items() if key in expected or key not in COUNTERS}
            # Batch-norms of PyTorch before 0.4.1 did not count, and are loaded without that.
            missing = [key for key in expected if key not in part and not key.endswith("num_batches_tracked")]
            if not missing and part.keys() <= expected.keys():
                fitting[prefix] = part
    if len(fitting) > 1:
        raise InputError(
            f"holds several networks of this kind, under {first_few([repr(prefix) for prefix in fitting])}; save the "
            "one that is wanted alone"
        )
    return next(iter(fitting.values()), weights)


def first_few(entries: list[str]) -> str:
    """Return a list in words, cut after the first few."""
    rest = len(entries) - MOST_NAMED
    return ", ".join(entries[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _state_dicts(
    loaded: object, place: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], StateDict]]:
    """Yield each state dict and the keys that lead to it; each mapping is looked at once, however often it stands."""
    if not isinstance(loaded, Mapping) or id(loaded) in seen or len(place) > DEEPEST:
        return
    seen.add(id(loaded))
    weights = {key: value for key, value in loaded.items() if not _is_extra(key)}
    if weights and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in weights.items()):
        yield place, weights
        return
    for key, value in loaded.items():
        if isinstance(key, str) and not any(word in key.lower() for word in ("optim", "sched", "scaler")):
            yield from _state_dicts(value, (*place, key), seen)


def _is_extra(key: object) -> bool:
    return isinstance(key, str) and key.rpartition(".")[2] == EXTRA_STATE


def _rank(key: str) -> int:
    return PLACES.index(key) if key in PLACES else len(PLACES)


def _bare(weights: StateDict) -> StateDict:
    """Return a state dict without wrappers' parts of its keys, and without the name that all of them begin with."""
    inner = {
        ".".join(p for p in key.split(".") if p not in WRAPPERS): value for key, value in weights.items()
    }
    if len(inner) < len(weights):  # two keys would be one, so that these are the network's own names
        return dict(weights)
    if inner.keys() != weights.keys():
        inner = {key: value for key, value in inner.items() if key not in COUNTERS}
    while True:
        own = {key for key in inner if key not in COUNTERS}
        outer = {key.partition(".")[0] for key in own}
        if len(outer) != 1 or not outer <= OUTER or not all("." in key for key in own):
            return inner
        inner = {key.partition(".")[2]: inner[key] for key in inner if key in own}


def _outline(loaded: object) -> str:
    """Say what a file holds instead."""
    if not isinstance(loaded, Mapping):
        return f"a {type(loaded).__name__}"
    if not loaded:
        return "an empty mapping"
    return first_few([f"{key!r:.60} ({_kind(value)})" for key, value in loaded.items()])


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"tensor {tuple(value.shape)}"
    return f"mapping of {len(value)}" if isinstance(value, Mapping) else type(value).__name__
