"""Ablations of contrastive knowledge transfer on Ray: which parts of a recipe matter, and by how much."""

__version__ = "0.1.0"
