"""A measure: a study names this file under ``plugins:``, and ``measures: [{brier: {scale: 100}}]``."""

from typing import ClassVar

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cktf.measures import OfPredictions, Predictions


class Brier(OfPredictions):
    """Brier score: squared distance of probabilities from a one-hot label; its settings are the class's own fields."""

    maximise: ClassVar[bool] = False

    scale: float = Field(default=1.0, gt=0)
    """Factor by which the score is multiplied."""

    def __call__(self, predictions: Predictions) -> Tensor:
        """Return the scaled score, from logits (samples, classes) and labels (samples,)."""
        probabilities = functional.softmax(predictions.logits.double(), dim=1)
        labels = functional.one_hot(predictions.labels, probabilities.shape[1])
        return self.scale * (probabilities - labels).square().sum(dim=1).mean()


METRICS = {"brier": Brier}
