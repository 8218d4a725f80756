"""What every metric must hold: ours, and a user's own.

def test_mine_holds_the_contract():
    hold_metric("my_metrics.py:Mine", [(Sample("1", "?", references=("a cat",)), "a dog")])
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from depthprune.tasks.metrics import make_scorer, rule_of
from depthprune.tasks.task import Sample


def hold_metric(
    name: str, cases: Sequence[tuple[Sample, str]], options: Mapping[str, Any] | None = None
) -> list[float]:
    """Hold the contract; return the scores.

    Args:
        name: of the metric, or `file.py:Name` of a user's own.
        cases: samples with answers to them, of the form that the metric scores.
        options: of the metric.

    Raises:
        AssertionError: the contract is broken.
        MetricError: there is no such metric or option.
    """
    samples, answers = [sample for sample, _ in cases], [answer for _, answer in cases]
    scorer = make_scorer(name, options or {}, samples, rule_of(name).answer)
    scores = [scorer.score(sample, answer) for sample, answer in cases]
    assert scorer.name, "a metric has a name, which results carry"
    assert all(math.isfinite(score) for score in scores), "a score is not a finite number"
    low, high = getattr(scorer, "bounds", (-math.inf, math.inf))
    assert all(low <= score <= high for score in scores), "a score is out of the stated bounds"
    # The order of the samples, and how many are scored at once, change nothing.
    assert scorer.score_many(samples, answers) == scores
    backwards = scorer.score_many(samples[::-1], answers[::-1])
    assert backwards == scores[::-1]
    again = make_scorer(name, options or {}, samples, rule_of(name).answer)
    assert again.score_many(samples, answers) == scores
    return scores
