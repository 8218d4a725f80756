"""What every search strategy must hold: ours, and a user's own.

def test_mine_holds_the_contract():
    hold_strategy(Mine(), SearchSpace(12), lambda removal: 0.01 * sum(removal))
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

from depthprune.base.removal import Removal
from depthprune.strategies import SearchSpace, Strategy

DropOf = Callable[[Removal], float]


def follow(
    strategy: Strategy, space: SearchSpace, drop_of: DropOf, known: dict[Removal, float]
) -> list[Removal]:
    """Run a strategy to its end, filling `known`; return what it asked for, in order."""
    asked: list[Removal] = []
    while batch := strategy.ask(space, dict(known)):
        for removal in batch:
            assert removal not in known, f"{removal} was asked for although it is measured"
            assert tuple(sorted(set(removal))) == removal, f"{removal} is not a removal"
            exists = all(0 <= block < space.num_blocks for block in removal)
            assert exists, f"{removal} has a block that there is not"
            assert space.admits(removal), f"{removal} is outside the space"
            asked.append(removal)
            known[removal] = drop_of(removal)
        assert len(asked) < 100_000, "the strategy does not end"
    return asked


def hold_strategy(strategy: Strategy, space: SearchSpace, drop_of: DropOf) -> list[Removal]:
    """Hold the contract; return what an undisturbed search measures.

    Args:
        strategy: under test.
        space: that it searches; of seven blocks or more.
        drop_of: made-up drops of all removals.

    Raises:
        AssertionError: the contract is broken.
    """
    strategy.check(space)
    whole: dict[Removal, float] = {(): 0.0}
    asked = follow(strategy, space, drop_of, whole)
    assert asked, "the strategy measures nothing"
    assert len(asked) == len(set(asked))
    most = strategy.most_evaluations(space)
    assert not most or len(asked) <= most, "it measures more than it says"

    # Told everything, it asks for nothing, in whatever order it is told.
    shuffled = list(whole.items())
    random.Random(0).shuffle(shuffled)
    assert not strategy.ask(space, dict(shuffled))

    # Stopped anywhere and begun anew, it asks for exactly the rest.
    for stop in range(0, len(asked), max(1, len(asked) // 7)):
        known = {(): 0.0} | {removal: whole[removal] for removal in asked[:stop]}
        assert follow(strategy, space, drop_of, known) == asked[stop:]

    # Measurements that it would never ask for lead it nowhere else.
    larger = itertools.combinations(range(max(space.num_blocks, 12)), 6)
    foreign = next(removal for removal in larger if removal not in whole)
    known = {(): 0.0, foreign: -1.0, asked[0]: whole[asked[0]]}
    assert follow(strategy, space, drop_of, known) == asked[1:]
    return asked
