"""Parameters of a network from a file of weights: a teacher's trained ones, or initial ones for fine-tuning."""

from collections.abc import Callable
from functools import partial

from torch import nn

from cktf.errors import InputError, within
from cktf.models import ModelConfig, under_own_keys, with_own_classifier
from cktf.trial.weights import differences, part_of, read_weights, unusable, wrong_kinds


def initial_weights(config: ModelConfig, role: str) -> Callable[[nn.Module], None] | None:
    """Return a function that loads the file of a network's initial parameters into it; None if it has none.

    The network keeps its own classifier if the file's is missing or has another number of classes. ``role`` is
    ``student`` or ``teacher``, for messages. The function raises what `load_file` does.
    """
    if config.weights_file is None:
        return None
    return partial(
        load_file,
        file=config.weights_file,
        sha256=config.weights_sha256,
        key=f"{role}.weights",
        model=config.model,
        keeps_classifier=True,
    )


def load_file(
    network: nn.Module,
    file: str,
    sha256: str | None,
    key: str,
    model: str,
    *,
    keeps_classifier: bool = False,
    accept_any: bool = False,
) -> None:
    """Load a file of weights into a network, whatever it is wrapped in (see `read_weights`).

    ``key`` and ``model``, the setting that names the file and the network's name, are for messages. With
    ``keeps_classifier`` the classifier may be for other classes; with ``accept_any`` numbers may be NaN or infinite.

    Raises:
        InputError: If the file cannot be read or does not hold such weights.
    """
    expected, place = network.state_dict(), f"{key}: {file}"
    with within(key):  # the error names the file
        found = under_own_keys(network, read_weights(file, sha256))
    try:
        weights = part_of(expected, found)
    except ValueError as error:
        raise InputError(f"{place} {error}") from error
    if keeps_classifier:
        weights = with_own_classifier(network, weights)
    if wrong := wrong_kinds(expected, weights):
        raise InputError(
            f"{place} does not hold the weights of {model}, which are dense floating-point numbers: {wrong}"
        )
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"{place} does not hold the weights of {model}: {differences(expected, weights) or error}"
        ) from error
    # Checked after loading, because a number of another precision may have become infinite.
    if not accept_any and (wrong := unusable(network.state_dict())):
        allowed = "" if keeps_classifier else ", or set teacher.accept_any: true to learn from it all the same"
        raise InputError(f"{place} holds {wrong}; name another file{allowed}")
