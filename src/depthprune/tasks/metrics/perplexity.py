"""Perplexity: how well a model predicts a text."""

from __future__ import annotations

import math
from collections.abc import Iterable

from depthprune.base.errors import MetricError
from depthprune.tasks.metrics.reading import parse_reading
from depthprune.tasks.metrics.rules import scores_by
from depthprune.tasks.task import Sample, Scorer


@scores_by("perplexity", "read")
class Perplexity(Scorer):
    """The geometric mean of the probabilities of a text's tokens, exp(-nll / tokens).

    That is 1 / perplexity of the sample: higher is better and it lies in 0..1, so that drops mean
    the same as for every other metric. `corpus_perplexity` gives the usual figure.
    """

    name = "perplexity"

    def score(self, sample: Sample, answer: str) -> float:
        """Return the mean probability per token, 0..1; raises MetricError on another answer."""
        reading = parse_reading(answer)
        return math.exp(-reading.nll / reading.tokens)


def corpus_perplexity(answers: Iterable[str]) -> float:
    """Return exp(summed nll / tokens) over all answers, each token weighing the same.

    Raises:
        MetricError: there is no answer, or one is not of mode `read`.
    """
    readings = [parse_reading(answer) for answer in answers]
    if not readings:
        raise MetricError("there is no text to compute a perplexity of")
    mean = sum(reading.nll for reading in readings) / sum(reading.tokens for reading in readings)
    return math.exp(mean) if mean < 700 else math.inf
