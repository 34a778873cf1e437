"""Readings that several methods have in common: a network's two vectors."""

from cktf.batch import Reading, Shapes


def logits_of(network: Shapes) -> Reading:
    """Return the reading of a network's logits."""
    return Reading(
        "logits", network.logits, of_batch=False, compute=lambda activations, _: activations.logits
    )


def penultimate_of(network: Shapes) -> Reading:
    """Return the reading of a network's penultimate vector."""
    return Reading(
        "penultimate",
        network.penultimate,
        of_batch=False,
        compute=lambda activations, _: activations.penultimate,
    )
