"""Scores of likelihoods: what a model reports of a text that it reads, or of each request."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from depthprune.base.errors import MetricError
from depthprune.base.files import is_number
from depthprune.base.language import counted
from depthprune.tasks.metrics import scores_by
from depthprune.tasks.task import Request, Sample, Scorer


class TextLikelihood(NamedTuple):
    """Summed negative log likelihood (natural logarithm), tokens, and tokens predicted rightly."""

    nll: float
    tokens: int
    correct: int


def parse_reading(answer: str) -> TextLikelihood:
    """Read the JSON text `{"nll": float, "tokens": int, "correct": int}`.

    Raises:
        MetricError: the answer is of another form, for example because the task generates.
    """
    try:
        value = json.loads(answer)
        reading = TextLikelihood(float(value["nll"]), int(value["tokens"]), int(value["correct"]))
    except (ValueError, KeyError, TypeError) as error:
        raise MetricError(
            f"{answer[:60]!r} does not tell how a text was read",
            mend="set `answer: read` in the task; perplexity and token_accuracy need it",
        ) from error
    if reading.tokens < 1 or math.isnan(reading.nll):
        raise MetricError(f"{answer[:60]!r} was measured on no token, or is not a number")
    return reading


def parse_responses(sample: Sample, answer: str) -> list[Any]:
    """Return the response to each request of a sample, in order.

    That is a pair (log-likelihood in nats, whether every token was the likeliest) for
    `loglikelihood`, a log-likelihood for `rolling`, a text for `generate`. A log-likelihood that
    was not finite is -inf.

    Raises:
        MetricError: the answer is not of mode `respond`, or not one to this sample.
    """
    try:
        values = json.loads(answer)
    except (json.JSONDecodeError, TypeError):
        values = None
    if not isinstance(values, list) or len(values) != len(sample.requests):
        raise MetricError(
            f"not a list of {counted(len(sample.requests), 'response')}: {answer!r:.80}",
            where=f"sample {sample.id}",
        )
    return [
        _response(sample, request, value)
        for request, value in zip(sample.requests, values, strict=True)
    ]


def _response(sample: Sample, request: Request, value: Any) -> Any:
    if request.kind == "generate" and isinstance(value, str):
        return value
    if request.kind == "rolling" and _is_likelihood(value):
        return _likelihood(value)
    if request.kind == "loglikelihood" and isinstance(value, list) and len(value) == 2:
        likelihood, is_greedy = value
        if _is_likelihood(likelihood) and isinstance(is_greedy, bool):
            return _likelihood(likelihood), is_greedy
    raise MetricError(
        f"not a response to a {request.kind} request: {value!r:.80}", where=f"sample {sample.id}"
    )


def _is_likelihood(value: Any) -> bool:
    return value is None or is_number(value)


def _likelihood(value: float | None) -> float:
    return -math.inf if value is None else float(value)


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


@scores_by("token_accuracy", "read")
class TokenAccuracy(Scorer):
    """The share of tokens whose most probable prediction is right (answer mode `read`)."""

    name = "token_accuracy"

    def score(self, sample: Sample, answer: str) -> float:
        """Return correct / tokens, 0..1; raises MetricError on another kind of answer."""
        reading = parse_reading(answer)
        return reading.correct / reading.tokens
