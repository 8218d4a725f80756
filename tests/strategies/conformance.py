"""What every search strategy must hold: ours, and a user's own.

Call `hold_strategy(strategy, drop_of)` from a test.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

from depthprune.base.removal import Removal
from depthprune.strategies import Strategy

DropOf = Callable[[Removal], float]


def follow(strategy: Strategy, drop_of: DropOf, known: dict[Removal, float]) -> list[Removal]:
    """Run a strategy to its end, filling `known`; return what it asked for, in order."""
    asked: list[Removal] = []
    while batch := strategy.ask(dict(known)):
        for removal in batch:
            assert removal not in known, f"{removal} was asked for although it is measured"
            assert tuple(sorted(set(removal))) == removal, f"{removal} is not a removal"
            asked.append(removal)
            known[removal] = drop_of(removal)
        assert len(asked) < 100_000, "the strategy does not end"
    return asked


def hold_strategy(strategy: Strategy, drop_of: DropOf) -> list[Removal]:
    """Hold the contract; return what an undisturbed search measures."""
    whole: dict[Removal, float] = {(): 0.0}
    asked = follow(strategy, drop_of, whole)
    assert len(asked) == len(set(asked))

    # Told everything, it asks for nothing, in whatever order it is told.
    shuffled = list(whole.items())
    random.Random(0).shuffle(shuffled)
    assert not strategy.ask(dict(shuffled))

    # Stopped anywhere and begun anew, it asks for exactly the rest.
    for stop in range(0, len(asked), max(1, len(asked) // 7)):
        known = {(): 0.0} | {removal: whole[removal] for removal in asked[:stop]}
        assert follow(strategy, drop_of, known) == asked[stop:]

    # Measurements that it would never ask for lead it nowhere else.
    foreign = next(
        removal for removal in itertools.combinations(range(12), 6) if removal not in whole
    )
    known = {(): 0.0, foreign: -1.0, asked[0]: whole[asked[0]]}
    assert follow(strategy, drop_of, known) == asked[1:]
    return asked
