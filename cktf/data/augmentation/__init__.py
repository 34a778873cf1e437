"""Random crops and flips, drawn for each sample by its address."""
