"""Specification of the bounds of scores: known, stated, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from depthprune.base.errors import DepthpruneError
from depthprune.strategies.racing import KNOWN, check_scores, score_bounds
from depthprune.tasks.metrics import METRICS
from depthprune.tasks.task import Sample, Scorer, Task, TaskSplit
from tests.strategies.fakes import NoScorer, NoSource, make_split


class Scoring(NoSource):
    """A source with scores of its own."""

    def scorer(self, samples: Sequence[Sample]) -> Scorer:
        raise NotImplementedError


def split(scorer: Any = None, source: Any = None, **task: Any) -> TaskSplit:
    return replace(
        make_split("okvqa"),
        task=Task("okvqa", "VQA", source or NoSource(), **task),
        scorer=scorer or NoScorer(),
    )


def named(name: str, **fields: Any) -> Any:
    scorer = NoScorer()
    vars(scorer).update(fields | {"name": name})
    return scorer


def test_every_built_in_metric_has_bounds() -> None:
    assert set(METRICS) == {*KNOWN, "cider_d"}
    for metric in KNOWN:
        assert score_bounds(split(metric=metric)) == (0.0, 1.0)
    assert score_bounds(split(metric="cider_d")) == (0.0, 10.0)
    assert score_bounds(split(metric="cider_d", metric_options={"scale": 0.1})) == (0.0, 1.0)


def test_scorers_of_the_harness_are_known_by_their_metric() -> None:
    for name, metric, known in [
        ("acc_norm (lm-eval)", "acc_norm", True),
        ("1 / word_perplexity (lm-eval)", "word_perplexity", True),
        ("bleu (lm-eval)", "bleu", False),
        ("acc", "acc", False),
    ]:
        found = split(named(name, metric=metric), Scoring())
        if known:
            assert score_bounds(found) == (0.0, 1.0)
        else:
            with pytest.raises(DepthpruneError, match=r"how large a score of .*okvqa"):
                score_bounds(found)


def test_a_scorer_may_state_its_own_bounds() -> None:
    assert score_bounds(split(named("points", bounds=(-5, 20)), Scoring())) == (-5.0, 20.0)
    for wrong in [(1.0, 0.0), (0.0, 0.0), (0.0, float("inf")), ("0", "1")]:
        with pytest.raises(DepthpruneError, match="cannot lie between"):
            score_bounds(split(named("points", bounds=wrong)))


def test_scores_are_held_against_their_bounds_but_for_rounding() -> None:
    checked = split(named("points"))
    check_scores(np.array([0, 1, 1.0000001], np.float32), (0.0, 1.0), checked, (3,))
    for wrong, what in [(1.01, "1.01"), (-0.5, "-0.5"), (np.nan, "finite"), (np.inf, "finite")]:
        with pytest.raises(DepthpruneError, match=what):
            check_scores(np.array([0, wrong], np.float32), (0.0, 1.0), checked, (3,))
