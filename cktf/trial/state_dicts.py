"""Finds the state dict of a network in a checkpoint, and removes the prefixes of training frameworks from its keys."""

from collections.abc import Iterator, Mapping

from torch import Tensor

from cktf.errors import InputError

StateDict = dict[str, Tensor]

PLACES = (
    *("model", "state_dict", "model_state_dict", "model_state", "net", "network", "weights", "params"),
    *("module", "state_dict_ema", "model_ema", "ema_model", "ema_state_dict", "ema"),
)
"""Usual keys of the state dict in a checkpoint; if several are there, the first in this order is taken. A state dict
under any other key is taken if it is the only one."""

WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""Parts of keys that wrappers of a network add: DataParallel, averages of weights, ``torch.compile``, sharding."""

OUTER = {"model", "net", "network", "backbone", "student", "teacher", "ema", "ema_model", "model_ema"}
"""Names of the network in a larger module (Lightning's, a trainer's)."""

COUNTERS = {"n_averaged", "initted", "step", "num_updates", "decay"}
"""Keys of an average of weights that are no weights."""

EXTRA_STATE = "_extra_state"
"""Last part of the key of a module's extra state, which is of any type and no weight."""

MOST_NAMED = 3
"""Number of keys of one kind that a message names."""

DEEPEST = 4
"""Largest depth of nested mappings in which a state dict is searched."""


def state_dict_in(loaded: object) -> StateDict:
    """Return the state dict in an object that was loaded from a file, without prefixes of wrappers in its keys.

    Raises:
        InputError: If there is none, or several and none under a usual key. The message names them.
    """
    found = list(_state_dicts(loaded, (), set()))
    if not found:
        raise InputError(f"holds no state dict, which is a mapping of names to tensors; it holds {_outline(loaded)}")
    ranks = {place: [PLACES.index(key) if key in PLACES else len(PLACES) for key in place] for place, _ in found}
    first = min(ranks.values())
    best = [(place, weights) for place, weights in found if ranks[place] == first]
    if len(best) > 1:
        places = first_few([repr(".".join(place)) for place, _ in best])
        raise InputError(f"holds several state dicts, under {places}; save the one that is wanted alone")
    return _bare(best[0][1])


def part_of(expected: Mapping[str, Tensor], weights: StateDict) -> StateDict:
    """Return the part of a state dict whose keys are those of a network; all of it if there is no such part.

    Args:
        expected: The network's state dict.
        weights: State dict of a file, in which several networks may have prefixes (``student.``).

    Raises:
        InputError: If several parts have these keys.
    """
    first = next(iter(expected))
    fitting = {}
    for key in weights:
        if key == first or key.endswith(f".{first}"):
            prefix = key[: -len(first)]
            part = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
            if not prefix:
                part = {key: value for key, value in part.items() if key in expected or key not in COUNTERS}
            # Batch-norms of PyTorch before 0.4.1 had no counter.
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
    """Return the first few entries in words, and the number of others."""
    rest = len(entries) - MOST_NAMED
    return ", ".join(entries[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _state_dicts(loaded: object, place: tuple[str, ...], seen: set[int]) -> Iterator[tuple[tuple[str, ...], StateDict]]:
    """Yield the keys that lead to each state dict, and the state dict; each mapping is visited once."""
    if not isinstance(loaded, Mapping) or id(loaded) in seen or len(place) > DEEPEST:
        return
    seen.add(id(loaded))
    weights = {key: value for key, value in loaded.items() if str(key).rpartition(".")[2] != EXTRA_STATE}
    if weights and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in weights.items()):
        yield place, weights
        return
    for key, value in loaded.items():
        if isinstance(key, str) and not any(word in key.lower() for word in ("optim", "sched", "scaler")):
            yield from _state_dicts(value, (*place, key), seen)


def _bare(weights: StateDict) -> StateDict:
    """Return a state dict without wrappers' parts of its keys, and without `OUTER` names that all keys begin with."""
    inner = {".".join(p for p in key.split(".") if p not in WRAPPERS): value for key, value in weights.items()}
    if len(inner) < len(weights):  # two keys would be one, so these are the network's own names
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
    """Return a description of a loaded object that holds no state dict."""
    if not isinstance(loaded, Mapping):
        return f"a {type(loaded).__name__}"
    if not loaded:
        return "an empty mapping"
    return first_few([f"{key!r:.60} ({_kind(value)})" for key, value in loaded.items()])


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"tensor {tuple(value.shape)}"
    return f"mapping of {len(value)}" if isinstance(value, Mapping) else type(value).__name__
