"""Before the hours: what a search will measure at most is known, and how long it takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from depthprune.benchmark.forecast import BYTES_PER_ANSWER, forecast, most_by_number
from depthprune.engine.session import Session, SplitGroup
from depthprune.strategies import Ablation, Beam, Exhaustive, Greedy, SearchSpace
from depthprune.strategies.kinds.evolutionary import Evolutionary
from depthprune.strategies.model import ModelSource
from depthprune.strategies.one_shot import compared
from depthprune.strategies.options import SearchOptions
from depthprune.strategies.pipeline import ReadySearch, SearchRequest
from depthprune.strategies.runner import run
from depthprune.strategies.strategy import Strategy
from tests.strategies.fakes import FakeEvaluator, make_split, open_study
from tests.strategies.landscapes import rugged

SPACE = SearchSpace(8)
SPLITS = (make_split("okvqa", 40), make_split("doc_qa", 60))
STRATEGIES = [
    Ablation(),
    Beam(2, max_removed=3),
    Beam(3),
    Greedy(max_drop=0.1),
    Exhaustive(max_removed=3),
    Evolutionary(offspring=3, generations=2),
]


def ready(folder: Path, *strategies: Strategy, splits: Any = SPLITS) -> list[ReadySearch]:
    evaluator = FakeEvaluator(lambda _, removal: rugged(removal))
    whole = SimpleNamespace(get_memory_footprint=lambda: 1000)
    model: Any = SimpleNamespace(
        evaluator=lambda bar: evaluator, loaded=SimpleNamespace(model=whole)
    )
    return [
        ReadySearch(
            request=SearchRequest(
                ModelSource(source="m"), (), ("train",), folder, SearchOptions(strategy)
            ),
            splits=splits,
            groups=tuple(SplitGroup((split,)) for split in splits),
            model=model,
            space=SPACE,
        )
        for strategy in strategies
    ]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda one: str(one)[:30])
def test_removals_by_number_of_blocks_add_up_to_the_bound_and_are_never_exceeded(
    strategy: Strategy, tmp_path: Path
) -> None:
    whole = compared(strategy)
    most = most_by_number(whole, SPACE)
    assert sum(most.values()) == whole.most_evaluations(SPACE)
    with open_study(tmp_path) as study:
        session = Session(study, FakeEvaluator(lambda _, removal: rugged(removal)))
        run(whole, SPACE, session, SplitGroup(SPLITS[:1]))
        for number in range(1, 9):
            measured = [one for one in study.measurements() if len(one.removal) == number]
            assert len(measured) <= most.get(number, 0)


def test_a_strategy_that_does_not_tell_is_not_guessed_at(tmp_path: Path) -> None:
    class Mine(Strategy):
        name = "mine"

        def ask(self, space: Any, drops: Any) -> Any:
            return ()

    (search,) = forecast(ready(tmp_path, Mine())).searches
    assert (search.by_number, search.notes) == ({}, ("strategy",))


def test_without_a_study_time_is_not_known_and_disk_is(tmp_path: Path) -> None:
    found = forecast(ready(tmp_path / "new", Ablation()))
    assert found.seconds is None
    assert [one.answers for one in found.splits] == [9 * 40, 9 * 60]
    assert found.num_bytes == 9 * 100 * BYTES_PER_ANSWER
    assert found.free > 0
    assert not (tmp_path / "new").exists()


def test_the_pace_of_the_study_is_taken_and_what_it_holds_takes_no_time(tmp_path: Path) -> None:
    with open_study(tmp_path) as study:
        session = Session(study, FakeEvaluator(lambda _, removal: rugged(removal)))
        key = session.key(SPLITS[0])
        for removal, seconds in (((), 400.0), ((1,), 20.0), ((2,), 60.0)):
            study.add(key, session.settings, removal, [0.5] * 40, [""] * 40, seconds)
    found = forecast(ready(tmp_path, Ablation()))
    first, second = found.splits
    assert (first.held, first.basis, first.pace) == (3, "study", 1.0)  # without the baseline's
    assert first.seconds == 6 * 40
    assert (second.held, second.basis, second.seconds) == (0, "other tasks", 9 * 60)
    assert found.seconds == 6 * 40 + 9 * 60


def test_a_search_finds_the_single_blocks_that_a_profile_before_it_measures(tmp_path: Path) -> None:
    profile, search = forecast(ready(tmp_path, Ablation(), Beam(2, max_removed=2))).searches
    assert [one.held for one in profile.splits] == [0, 0]
    assert [one.held for one in search.splits] == [9, 9]
    (other,) = forecast(ready(tmp_path, Beam(2), splits=SPLITS[:1])).splits
    assert other.held == 0


def test_an_estimate_answers_a_few_samples_and_stores_nothing(tmp_path: Path) -> None:
    searches = ready(tmp_path / "new", Ablation())
    evaluator: Any = searches[0].model.evaluator(None)
    found = forecast(searches, estimate=True)
    assert [removal for _, removal in evaluator.asked] == [()] * 4  # one to warm up, eight to time
    assert {one.basis for one in found.splits} == {"estimate"}
    assert found.seconds is not None
    assert found.seconds > 0
    assert not (tmp_path / "new").exists()


def test_what_is_damaged_is_left_to_those_who_write(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("none")
    assert forecast(ready(tmp_path, Ablation())).seconds is None


def test_what_cannot_be_foreseen_is_named(tmp_path: Path) -> None:
    (one,) = ready(tmp_path, Beam(2))
    options = replace(one.request.search, complete=3)
    one = replace(one, request=replace(one.request, search=options))
    assert forecast([one]).searches[0].notes == ("complete",)
