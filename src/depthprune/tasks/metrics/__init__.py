"""The metrics by name: each scores one answer, most of them 0..1, higher is better."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from depthprune.base.errors import MetricError
from depthprune.tasks.metrics.anls import Anls
from depthprune.tasks.metrics.choice_letter import ChoiceLetter
from depthprune.tasks.metrics.choice_likelihood import ChoiceLikelihood
from depthprune.tasks.metrics.cider_d import CiderD
from depthprune.tasks.metrics.exact_match import ExactMatch
from depthprune.tasks.metrics.perplexity import Perplexity, corpus_perplexity
from depthprune.tasks.metrics.token_accuracy import TokenAccuracy
from depthprune.tasks.metrics.vqa_accuracy import VqaAccuracy
from depthprune.tasks.task import AnswerMode, Sample, Scorer

__all__ = ["METRICS", "corpus_perplexity", "make_scorer"]

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


def make_scorer(
    metric: str, options: Mapping[str, Any], samples: Sequence[Sample], answer: AnswerMode
) -> Scorer:
    """Return the scorer of `metric` for these samples.

    Raises:
        MetricError: there is no such metric or option, or the metric scores another way of
            answering (see `AnswerMode`).
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
    parameters = list(inspect.signature(build).parameters)
    known = [name for name in parameters if name not in {"samples", "args", "kwargs"}]
    for option in options:
        if option not in known:
            raise MetricError(
                f"the metric {metric} has no option {option!r}",
                mend=_suggest(option, known, "options"),
            )
    if "samples" in parameters:
        return build(samples=samples, **options)
    return build(**options)


def _suggest(name: str, known: list[str], what: str) -> str:
    close = difflib.get_close_matches(name, known, n=2)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{hint}known {what}: {', '.join(known) or 'none'}"
