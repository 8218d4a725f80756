"""The trie of many removals, level by level: which hidden states a block turns into which others.

Removals that keep the same blocks up to block i share one state there. At block i, every state
that some removal wants to keep the block for goes through it, all in one call; the states of those
that lack it wait unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from depthprune.base.removal import Removal


@dataclass(frozen=True)
class Level:
    """What happens to the states at one block.

    The states after it are what the block makes of those that are run, then those that pass.

    Attributes:
        run: positions of the states that go through the block.
        passed: positions of the states that (also) pass it by.
    """

    run: tuple[int, ...]
    passed: tuple[int, ...]


@dataclass(frozen=True)
class Walk:
    """How to get from one state to the states of all removals.

    Attributes:
        removals: R different ones.
        levels: one for each block.
        calls: for each removal and block, the position in `Level.run` of the state that goes
            through it on this removal's path; None where it lacks the block.
        leaves: for each removal, the position of its state after the last level.
        width: how many states exist at most at a time.
        nodes: how many states go through a block, over all levels.
    """

    removals: tuple[Removal, ...]
    levels: tuple[Level, ...]
    calls: tuple[tuple[int | None, ...], ...]
    leaves: tuple[int, ...]
    width: int
    nodes: int


def plan_walk(removals: Sequence[Removal], num_blocks: int) -> Walk:
    """Return the walk over the trie of `removals`, which all differ."""
    place = [0] * len(removals)
    calls: list[list[int | None]] = [[] for _ in removals]
    levels = []
    lacking = [frozenset(removal) for removal in removals]
    for block in range(num_blocks):
        kept = [block not in blocks for blocks in lacking]
        run = sorted({place[index] for index, keeps in enumerate(kept) if keeps})
        passed = sorted({place[index] for index, keeps in enumerate(kept) if not keeps})
        levels.append(Level(tuple(run), tuple(passed)))
        for index, keeps in enumerate(kept):
            call = run.index(place[index]) if keeps else None
            calls[index].append(call)
            place[index] = len(run) + passed.index(place[index]) if call is None else call
    return Walk(
        tuple(removals),
        tuple(levels),
        tuple(map(tuple, calls)),
        tuple(place),
        max((len(level.run) + len(level.passed) for level in levels), default=1),
        sum(len(level.run) for level in levels),
    )
