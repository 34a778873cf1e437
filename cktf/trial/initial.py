"""Initial parameters of a network from a file of weights, for fine-tuning."""

from collections.abc import Callable

from torch import nn

from cktf.errors import InputError
from cktf.models import ModelConfig, under_own_keys, with_own_classifier
from cktf.trial.weights import differences, part_of, read_weights, unusable, wrong_kinds


def initial_weights(config: ModelConfig, role: str) -> Callable[[nn.Module], None] | None:
    """Return a function that loads the file of a network's initial parameters into it; None if it has none.

    The network keeps its own classifier where the file's is for another number of classes, or not there.

    Args:
        config: The network and its file.
        role: ``student`` or ``teacher``, for messages.

    Raises:
        InputError: By the function, if the file cannot be read or does not hold such weights.
    """
    if config.weights_file is None:
        return None
    place = f"{role}.weights: {config.weights_file}"

    def load(network: nn.Module) -> None:
        expected = network.state_dict()
        try:
            weights = under_own_keys(network, read_weights(str(config.weights_file), config.weights_sha256))
            weights = with_own_classifier(network, part_of(expected, weights))
        except ValueError as error:
            raise InputError(f"{place}: {error}") from error
        if wrong := wrong_kinds(expected, weights) or unusable(weights):
            raise InputError(f"{place} does not hold usable weights of {config.model}: {wrong}")
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise InputError(
                f"{place} does not hold weights of {config.model}: {differences(expected, weights) or error}"
            ) from error

    return load
