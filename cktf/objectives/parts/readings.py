"""Readings that several methods share: a network's logits and its penultimate vector."""

from cktf.batch import Reading, Shapes


def logits_of(network: Shapes) -> Reading:
    """Return the reading of a network's logits."""
    return Reading("logits", network.logits, of_batch=False, compute=lambda activations, _: activations.logits)


def penultimate_of(network: Shapes) -> Reading:
    """Return the reading of a network's penultimate vector."""
    return Reading(
        "penultimate",
        network.penultimate,
        of_batch=False,
        compute=lambda activations, _: activations.penultimate,
    )
