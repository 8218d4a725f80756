"""Between which numbers a score lies: without that no race can be certain of anything."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from depthprune.base.errors import DepthpruneError
from depthprune.base.files import is_number
from depthprune.base.naming import option
from depthprune.base.removal import Removal, format_removal
from depthprune.tasks.task import ScoringSource, TaskSplit

Bounds = tuple[float, float]

UNIT: Bounds = (0.0, 1.0)

KNOWN: Mapping[str, Bounds] = dict.fromkeys(
    (
        *("vqa_accuracy", "anls", "exact_match", "choice_letter", "choice_likelihood"),
        *("perplexity", "token_accuracy"),
    ),
    UNIT,
)
"""Of the built-in metrics; CIDEr-D has bounds that depend on its scale."""

LM_EVAL = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match")
"""Metrics of the lm-evaluation-harness from 0 to 1; so is its 1 / perplexity."""

ROUNDING = 1e-6
"""Scores are float32."""


def score_bounds(split: TaskSplit) -> Bounds:
    """Return the smallest and largest score that a sample of a split can have.

    A scorer of a user's own states them as `bounds = (0.0, 1.0)`.

    Raises:
        DepthpruneError: they are not known, or make no sense.
    """
    found = getattr(split.scorer, "bounds", None)
    if found is None:
        found = _known(split)
    if found is None:
        raise DepthpruneError(
            f"a race needs to know how large a score of {split.scorer.name} can be "
            f"({split.task.name})",
            option="race",
            mend=f"search without {option('race')}, or let the scorer say "
            "`bounds = (smallest, largest)`",
        )
    low, high = found
    if not (is_number(low) and is_number(high) and low < high):
        raise DepthpruneError(
            f"scores of {split.scorer.name} cannot lie between {low} and {high} "
            f"({split.task.name})",
            option="race",
            mend="let the scorer say `bounds = (smallest, largest)`, two finite numbers",
        )
    return float(low), float(high)


def check_scores(
    scores: NDArray[np.float32], bounds: Bounds, split: TaskSplit, removal: Removal
) -> None:
    """Refuse scores that break what is known about their metric: the race would not be valid.

    Args:
        scores: of some samples.
        bounds: from `score_bounds`.
        split: of the samples.
        removal: whose scores they are.

    Raises:
        DepthpruneError: a score is not finite, or not between the bounds.
    """
    low, high = bounds
    where = f"{split.task.name} {split.split}, removal {format_removal(removal)}"
    if not np.isfinite(scores).all():
        raise DepthpruneError(
            "a score is not a finite number",
            where=where,
            mend="the model may not bear this loss: keep one of these blocks by "
            f"{option('protect')}; or "
            "check the metric",
        )
    wrong = scores[(scores < low - ROUNDING) | (scores > high + ROUNDING)]
    if wrong.size:
        raise DepthpruneError(
            f"a score of {wrong[0]:g}, but {split.scorer.name} is known to lie between {low:g} "
            f"and {high:g}",
            where=where,
            mend=f"search without {option('race')}, or mend the scorer's `bounds`",
        )


def _known(split: TaskSplit) -> Bounds | None:
    task, scorer = split.task, split.scorer
    if isinstance(task.source, ScoringSource):
        # The harness's scorer is not imported to be recognised: it needs an optional package.
        metric = getattr(scorer, "metric", None)
        is_perplexity = scorer.name.startswith("1 / ")
        of_harness = scorer.name.endswith("(lm-eval)")
        return UNIT if of_harness and (is_perplexity or metric in LM_EVAL) else None
    if task.metric == "cider_d":
        return 0.0, 10.0 * float(task.metric_options.get("scale", 1.0))
    return KNOWN.get(task.metric)
