"""The registry of metrics: each file of this package adds what it scores by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from depthprune.base.errors import MetricError
from depthprune.base.registry import Registry
from depthprune.tasks.task import AnswerMode, Scorer


class Rule(NamedTuple):
    """A metric of the registry.

    Attributes:
        build: returns the scorer, given the options (and the samples, where it takes them).
        answer: the way of answering that it scores.
        version: rises whenever the rule may score an answer differently; results of two versions
            are not comparable.
    """

    build: Callable[..., Scorer]
    answer: AnswerMode
    version: int


METRICS: Registry[Any] = Registry(
    "metric",
    "depthprune.tasks.metrics",
    first=(
        *("vqa_accuracy", "anls", "exact_match", "choice_letter", "choice_likelihood"),
        *("cider_d", "perplexity", "token_accuracy"),
    ),
    accepts=callable,
    error=MetricError,
)
"""The metrics by name: a `Rule` each."""

Built = TypeVar("Built", bound=Callable[..., Scorer])


def scores_by(
    name: str, answer: AnswerMode = "generate", version: int = 1
) -> Callable[[Built], Built]:
    """Return a decorator that adds a scorer to the metrics."""

    def add(build: Built) -> Built:
        METRICS.add(name)(Rule(build, answer, version))
        return build

    return add


def rule_of(metric: str) -> Rule:
    """Return the rule of a metric; of a scorer in a user's own file, by its attributes.

    Raises:
        MetricError: there is no such metric.
    """
    found = METRICS.find(metric)
    if isinstance(found, Rule):
        return found
    return Rule(found, getattr(found, "answer", "generate"), getattr(found, "version", 1))
