"""Specification of the warm start: what a proxy proposes to measure first."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from depthprune.base.errors import DepthpruneError
from depthprune.base.removal import Removal
from depthprune.engine.session import Session, SplitGroup
from depthprune.importance.proxies import ProxyScores
from depthprune.strategies import Beam, SearchSpace
from depthprune.strategies.options import SearchOptions
from depthprune.strategies.warm_start import mean_scores, proposals, proposed_by
from depthprune.study import ModelRecord
from tests.strategies.fakes import SETTINGS, FakeEvaluator, make_split, open_study
from tests.strategies.test_pipeline import CountingBar

SCORES = {0: 0.9, 1: 0.2, 2: 0.4, 3: 0.1, 4: 0.2}
RUNS: dict[Removal, float] = {
    **{(block,): score for block, score in SCORES.items()},
    (0, 1): 0.9,
    (1, 2): 0.3,
    (2, 3): 0.3,
    (3, 4): 0.5,
    (0, 1, 2): 0.9,
    (1, 2, 3): 0.8,
    (2, 3, 4): 0.7,
}
MODEL = ModelRecord("m", "f", "Made", 5, "layers")


def test_the_least_important_blocks_together_of_each_number() -> None:
    assert proposals(SCORES, {}, SearchSpace(5), 3) == ((3,), (1, 3), (1, 3, 4))


def test_the_best_run_of_each_number_follows() -> None:
    proposed = proposals(SCORES, RUNS, SearchSpace(5), 3)
    assert proposed == ((3,), (1, 3), (1, 2), (1, 3, 4), (2, 3, 4))


def test_what_may_not_go_is_not_proposed_but_the_next_best_is() -> None:
    space = SearchSpace(5, frozenset({3}), admissible=lambda removal: removal != (1, 2))
    assert proposals(SCORES, RUNS, space, 2) == ((1,), (1, 4), (0, 1))


def test_a_search_measures_the_proposals_first() -> None:
    seeds = proposals(SCORES, RUNS, SearchSpace(5), 3)
    beam, space = Beam(2, max_removed=3), SearchSpace(5, proposed=seeds)
    assert tuple(beam.ask(space, {(): 0.0})) == seeds


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(DepthpruneError, match="not a finite number"):
        proposals({0: float("nan"), 1: 0.2}, {}, SearchSpace(5), 2)


def test_several_tasks_give_blocks_their_mean_rank_and_runs_their_mean_score() -> None:
    first = ProxyScores("taylor", {0: 1000.0, 1: 1.0, 2: 1.0}, {(0, 1): 0.2}, 4, 8)
    second = ProxyScores("taylor", {0: 0.1, 1: 0.3, 2: 0.2}, {(0, 1): 0.4}, 4, 8)
    mean = mean_scores([first, second])
    assert mean.scores == {0: 2.0, 1: 2.25, 2: 1.75}
    assert mean.runs == {(0, 1): pytest.approx(0.3)}
    assert mean.num_samples == 8
    assert mean_scores([first, second], (1.0, 0.0)).scores == {0: 3.0, 1: 1.5, 2: 1.5}
    assert mean_scores([first]) is first


def test_a_proxy_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(DepthpruneError, match="angular_distance"):
        SearchOptions(warm_start="tarot")


def test_a_proxy_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[str] = []

    def fake(name: str, loaded: Any, split: Any, **options: Any) -> ProxyScores:
        computed.append(split.task.name)
        options["on_batch"](4)
        return ProxyScores(name, dict(SCORES), {}, 4, 8)

    monkeypatch.setattr("depthprune.strategies.warm_start.proxy_scores", fake)
    group = SplitGroup((make_split("okvqa"), make_split("doc_qa")), (0.5, 0.5))
    bar = CountingBar(0)
    options = SimpleNamespace(stack="text", batch_size=None)
    model: Any = SimpleNamespace(loaded=None, record=MODEL, options=options)
    model.with_weights = lambda: model

    def proposed(settings: str) -> tuple[Removal, ...]:
        evaluator = FakeEvaluator(lambda task, removal: 0.0, settings=settings)
        with open_study(tmp_path, 5) as study:
            session = Session(study, evaluator, bar)
            return proposed_by("taylor", model, session, group, SearchSpace(5), 2)

    assert proposed(SETTINGS) == proposed(SETTINGS) == ((3,), (1, 3))
    assert computed == ["okvqa", "doc_qa"]
    assert bar.done == bar.total == 8
    proposed("another dtype")
    assert len(computed) == 4
