"""Token accuracy: how many tokens of a text are the model's first guess."""

from __future__ import annotations

from depthprune.tasks.metrics.reading import parse_reading
from depthprune.tasks.metrics.rules import scores_by
from depthprune.tasks.task import Sample, Scorer


@scores_by("token_accuracy", "read")
class TokenAccuracy(Scorer):
    """The share of tokens whose most probable prediction is right (answer mode `read`)."""

    name = "token_accuracy"

    def score(self, sample: Sample, answer: str) -> float:
        """Return correct / tokens, 0..1; raises MetricError on another kind of answer."""
        reading = parse_reading(answer)
        return reading.correct / reading.tokens
