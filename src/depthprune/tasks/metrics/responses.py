"""The answer of mode `respond`: what a model responded to each request of a sample."""

from __future__ import annotations

import json
import math
from typing import Any

from depthprune.base.errors import MetricError
from depthprune.base.files import is_number
from depthprune.base.language import counted
from depthprune.tasks.task import Request, Sample


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
