"""What a model that reads a text reports: the answer of mode `read`."""

from __future__ import annotations

import json
import math
from typing import NamedTuple

from depthprune.base.errors import MetricError


class Reading(NamedTuple):
    """Summed negative log likelihood (natural logarithm), tokens, and tokens predicted rightly."""

    nll: float
    tokens: int
    correct: int


def parse_reading(answer: str) -> Reading:
    """Read the JSON text `{"nll": float, "tokens": int, "correct": int}`.

    Raises:
        MetricError: the answer is of another form, for example because the task generates.
    """
    try:
        value = json.loads(answer)
        reading = Reading(float(value["nll"]), int(value["tokens"]), int(value["correct"]))
    except (ValueError, KeyError, TypeError) as error:
        raise MetricError(
            f"{answer[:60]!r} does not tell how a text was read",
            mend="set `answer: read` in the task; perplexity and token_accuracy need it",
        ) from error
    if reading.tokens < 1 or math.isnan(reading.nll):
        raise MetricError(f"{answer[:60]!r} was measured on no token, or is not a number")
    return reading
