"""The metrics by name: each scores one answer, most of them 0..1, higher is better."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from depthprune.base.errors import MetricError
from depthprune.base.files import is_number
from depthprune.tasks.metrics.anls import Anls
from depthprune.tasks.metrics.choice_letter import ChoiceLetter
from depthprune.tasks.metrics.choice_likelihood import ChoiceLikelihood
from depthprune.tasks.metrics.cider_d import CiderD
from depthprune.tasks.metrics.exact_match import ExactMatch
from depthprune.tasks.metrics.perplexity import Perplexity, corpus_perplexity
from depthprune.tasks.metrics.token_accuracy import TokenAccuracy
from depthprune.tasks.metrics.vqa_accuracy import VqaAccuracy
from depthprune.tasks.task import AnswerMode, Sample, Scorer

__all__ = ["METRICS", "check_metric", "corpus_perplexity", "make_scorer"]

METRICS: Mapping[str, tuple[Callable[..., Scorer], AnswerMode]] = {
    "vqa_accuracy": (VqaAccuracy, "generate"),
    "anls": (Anls, "generate"),
    "exact_match": (ExactMatch, "generate"),
    "choice_letter": (ChoiceLetter, "generate"),
    "choice_likelihood": (ChoiceLikelihood, "choose"),
    "cider_d": (CiderD, "generate"),
    "perplexity": (Perplexity, "read"),
    "token_accuracy": (TokenAccuracy, "read"),
}
"""Each metric with the way of answering that it scores."""


def check_metric(metric: str, options: Mapping[str, Any], answer: AnswerMode) -> None:
    """Check that a task can be scored by this metric, before its data are loaded.

    Raises:
        MetricError: there is no such metric or option, an option's value is of the wrong type, or
            the metric scores another way of answering (see `AnswerMode`).
    """
    if metric not in METRICS:
        raise MetricError(
            f"there is no metric {metric!r}", mend=_suggest(metric, list(METRICS), "metrics")
        )
    build, mode = METRICS[metric]
    if answer != mode:
        raise MetricError(
            f"the metric {metric} scores answers of mode `{mode}`, the task's mode is `{answer}`",
            mend=f"set `answer: {mode}` in the task, or choose another metric",
        )
    known = _options(build)
    for option, value in options.items():
        if option not in known:
            raise MetricError(
                f"the metric {metric} has no option {option!r}",
                mend=_suggest(option, list(known), "options"),
            )
        kind = type(known[option])
        if not (isinstance(value, kind) or (kind is float and is_number(value))):
            raise MetricError(
                f"the option {option} of {metric} cannot be {value!r}",
                mend=f"give a {kind.__name__}, such as the default {known[option]!r}",
            )


def make_scorer(
    metric: str, options: Mapping[str, Any], samples: Sequence[Sample], answer: AnswerMode
) -> Scorer:
    """Return the scorer of `metric` for these samples; raises MetricError as `check_metric`."""
    check_metric(metric, options, answer)
    build, _ = METRICS[metric]
    if "samples" in inspect.signature(build).parameters:
        return build(samples=samples, **options)
    return build(**options)


def _options(build: Callable[..., Scorer]) -> dict[str, Any]:
    """Return the options of a metric with their defaults."""
    parameters = inspect.signature(build).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def _suggest(name: str, known: list[str], what: str) -> str:
    close = difflib.get_close_matches(name, known, n=2)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{hint}known {what}: {', '.join(known) or 'none'}"
