"""Parts that several methods share: maps, pooled maps, stages, regressor, workers."""
