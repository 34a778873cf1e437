"""Working plug-ins to start from; ``cktf new`` writes copies of them."""
