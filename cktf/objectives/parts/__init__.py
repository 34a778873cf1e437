"""Parts that several methods share: maps, stages, regressor, workers."""
