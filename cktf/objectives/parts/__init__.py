"""Parts that several methods share: maps, stages, regressor, relations, readings, workers."""
