"""Specification of search options: one flat list of values, and the strategy they mean."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.errors import DepthpruneError
from depthprune.base.removal import Removal
from depthprune.strategies import (
    STRATEGIES,
    Ablation,
    Beam,
    Compared,
    Evolutionary,
    Exhaustive,
    Greedy,
    RaceOptions,
    SearchSpace,
    Strategy,
    one_shot_removals,
)
from depthprune.strategies.one_shot import compared
from depthprune.strategies.options import SearchChoice, SearchOptions, options_value
from depthprune.testing.strategies import follow, hold_strategy
from tests.strategies.landscapes import rugged

SPACE = SearchSpace(12)

OWN = """
from dataclasses import dataclass
from depthprune.strategies import LimitedStrategy, Strategy

@dataclass(frozen=True, kw_only=True)
class Last(LimitedStrategy):
    number: int = 2

    def ask(self, space, drops):
        wanted = [*space.extend(()), *[(block,) for block in space.free[-self.number :]]]
        return [one for one in dict.fromkeys(wanted) if one not in drops]

three = Last(number=3, max_removed=2)
nothing = 5
"""


def said(strategy: str = "beam", **options: Any) -> Strategy:
    return SearchChoice(strategy=strategy, **options).options().strategy


def test_each_name_means_its_strategy() -> None:
    assert said(beam_width=5) == Beam(5)
    assert said("greedy", beam_width=5) == Greedy()
    assert said("exhaustive", exhaustive_limit=9) == Exhaustive(exhaustive_limit=9)
    evolutionary = said("evolutionary", offspring=3, generations=2, max_drop=0.1)
    assert evolutionary == Evolutionary(offspring=3, generations=2, max_drop=0.1)
    assert said(race=True, race_chunk=5) == Beam(race=RaceOptions(chunk=5))
    assert said("greedy", max_blocks_to_remove=2) == Greedy(max_removed=2)


def test_every_option_of_every_strategy_is_in_the_flat_list_once_with_a_sentence() -> None:
    names = [one.name for one in fields(SearchChoice)]
    assert names == [
        *("strategy", "beam_width", "max_blocks_to_remove", "max_drop", "offspring"),
        *(
            "generations",
            "exhaustive_limit",
            "protect",
            "joint",
            "task_weights",
            "objective",
            "complete",
            "warm_start",
        ),
        *("race", "race_confidence", "race_chunk"),
    ]
    assert all(one.metadata["doc"].endswith(".") for one in fields(SearchChoice))


def test_options_that_a_strategy_does_not_have_are_as_usual_in_its_value() -> None:
    usual = {
        "strategy": "beam",
        "width": 3,
        "max_removed": None,
        "max_drop": None,
        "offspring": 8,
        "generations": 8,
        "exhaustive_limit": 20_000,
        "race": None,
    }
    assert options_value(Beam()) == usual
    assert list(options_value(Beam())) == list(usual)
    assert options_value(Ablation()) == usual | {"strategy": "ablation"}
    raced = options_value(Beam(5, race=RaceOptions(0.9)))
    assert raced == usual | {"width": 5, "race": {"confidence": 0.9, "chunk": 64}}


def test_a_strategy_of_a_users_file_is_a_class_or_a_value(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    last = said(f"{file}:Last", max_blocks_to_remove=3)
    assert options_value(last)["strategy"] == "last"
    assert (last.number, last.most_removed(SPACE)) == (2, 3)  # type: ignore[attr-defined]
    assert len(hold_strategy(compared(last), SPACE, rugged)) == 12 + 2
    three = said(f"{file}:three")
    assert (three.number, three.max_removed) == (3, 2)  # type: ignore[attr-defined]
    assert said(f"{file}:three", max_blocks_to_remove=4).max_removed == 4  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gredy", "did you mean greedy"),
        ("mine.py:Nobody", "no object 'Nobody'"),
        ("mine.py:", "not named"),
        ("mine.py:nothing", "not a strategy"),
        ("absent.py:Mine", "no such Python file"),
        ("broken.py:Mine", "ZeroDivisionError"),
    ],
)
def test_a_strategy_that_there_is_not_is_refused(
    tmp_path: Path, name: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(OWN)
    (tmp_path / "broken.py").write_text("1 / 0")
    with pytest.raises(DepthpruneError, match=words):
        said(name)


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_every_strategy_holds_the_contract_and_ends_with_one_shot(name: str) -> None:
    strategy = compared(said(name, max_blocks_to_remove=2, generations=2))
    asked = hold_strategy(strategy, SPACE, rugged)
    drops = {(): 0.0} | {removal: rugged(removal) for removal in asked}
    assert set(one_shot_removals(drops, SPACE, 2).values()) <= set(asked)


def test_a_proposal_reaches_the_search() -> None:
    space = SearchSpace(12, proposed=((4, 5),))
    assert compared(Greedy()).ask(space, {(): 0.0}) == ((4, 5),)


@pytest.mark.parametrize(
    ("strategy", "most"),
    [
        (Beam(), 4),
        (Exhaustive(), 2),
        (Exhaustive(max_drop=0.1), 2),
        (Exhaustive(max_drop=0.1, max_removed=3), 3),
        (Beam(max_drop=0.1), 11),
        (Beam(max_drop=0.1, max_removed=3), 3),
        (Ablation(), 1),
    ],
)
def test_how_many_blocks_may_go(strategy: Strategy, most: int) -> None:
    assert strategy.most_removed(SPACE) == most


def test_small_and_protected_models_limit_how_many_blocks_go() -> None:
    assert Beam().most_removed(SearchSpace(3)) == 2
    assert Beam().most_removed(SearchSpace(12, frozenset(range(2, 12)))) == 2
    assert Beam(max_drop=1).most_removed(SearchSpace(12, frozenset({0}))) == 11


def steep(removal: Removal) -> float:
    return 0.01 * sum(removal) * len(removal)


def test_numbers_that_a_largest_drop_ruled_out_are_not_compared() -> None:
    strategy = Compared(Greedy(max_drop=0.2))
    drops: dict[Removal, float] = {(): 0.0}
    follow(strategy, SPACE, steep, drops)
    # 0, 1, 2, 3 cost 4 * 0.06: the first number of which nothing is within the drop.
    assert max(map(len, drops)) == 4
    assert sorted(strategy.one_shot(SPACE, drops)) == [2, 3]


def test_a_drop_that_not_even_the_baseline_keeps_to_ends_after_the_single_blocks() -> None:
    strategy = Compared(Greedy(max_drop=-0.5))
    drops: dict[Removal, float] = {(): 0.0}
    assert len(follow(strategy, SPACE, steep, drops)) == 12
    assert strategy.one_shot(SPACE, drops) == {}


def test_what_another_search_measured_changes_nothing_that_is_compared() -> None:
    strategy = Compared(Greedy(max_drop=0.2))
    drops: dict[Removal, float] = {(): 0.0}
    follow(strategy, SPACE, steep, drops)
    drops[0, 1, 2, 3, 5, 6] = 0.0
    assert not strategy.ask(SPACE, drops)
    assert sorted(strategy.one_shot(SPACE, drops)) == [2, 3]


@pytest.mark.parametrize("drop", [float("nan"), float("inf"), 5.0])
def test_a_drop_that_is_no_fraction_is_refused(drop: float) -> None:
    with pytest.raises(DepthpruneError, match="fraction of 1 or less"):
        Beam(max_drop=drop)


@pytest.mark.parametrize("options", [{"beam_width": 0}, {"max_blocks_to_remove": 0}])
def test_values_out_of_range_are_refused_by_their_name(options: dict[str, int]) -> None:
    with pytest.raises(DepthpruneError, match=next(iter(options))):
        said(**options)
    with pytest.raises(DepthpruneError, match="offspring"):
        Evolutionary(offspring=0)


@pytest.mark.parametrize(
    "strategy", [Beam(max_removed=12), Exhaustive(max_removed=6, exhaustive_limit=100)]
)
def test_what_the_model_does_not_allow_is_refused_before_anything_is_measured(
    strategy: Strategy,
) -> None:
    with pytest.raises(DepthpruneError):
        compared(strategy).check(SPACE)


def test_how_to_race_without_racing_is_refused() -> None:
    with pytest.raises(DepthpruneError, match="race_chunk"):
        said(race_chunk=5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"complete": -2}, "-2"),
        ({"task_weights": {"okvqa": 1.0, "doc_qa": 1.0}}, "joint"),
        ({"warm_start": "tarot"}, "tarot"),
        ({"warm_start": "taylor", "strategy": Ablation()}, "measures everything"),
    ],
)
def test_a_search_that_cannot_be_meant_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DepthpruneError, match=words):
        SearchOptions(**changes)
