"""Stored baselines are judged by the rule that the searches follow."""

from __future__ import annotations

from depthprune.analysis.result_set import ResultSet
from depthprune.study.records import Measurement
from depthprune.tasks.weak import Baseline, WeakBaseline, Weakness, find_weakness


def judged(baseline: Measurement, metric: str, chance: float | None = None) -> Weakness | None:
    """Return why a stored baseline is no basis for drops, by whatever is stored of it.

    Args:
        baseline: the measurement of removal `()`, best with its scores and answers.
        metric: of its split.
        chance: the accuracy of guessing among options, where it is known.
    """
    return find_weakness(
        Baseline(
            metric=metric,
            accuracy=baseline.accuracy,
            num_samples=baseline.num_samples,
            scores=baseline.scores,
            answers=baseline.answers,
            chance=chance,
        )
    )


def weak_baselines(results: ResultSet) -> tuple[WeakBaseline, ...]:
    """Return the datasets whose baseline is no basis for drops, or may be none."""
    return tuple(
        WeakBaseline(one.dataset, results.splits.get(one.dataset, ""), one.weakness)
        for one in results.datasets
        if one.weakness is not None
    )
