"""Evolutionary search: change the best removals a little, and keep what turns out better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from random import Random
from typing import Annotated

from annotated_types import Ge

from depthprune.base.removal import Removal
from depthprune.strategies.one_shot import one_shot_removals
from depthprune.strategies.strategy import STRATEGIES, LimitedStrategy, SearchSpace, within

SURVIVORS = 2
"""Mu: the removals that have offspring; few, so that a small budget goes into good ones."""

LARGEST_CHANGE = 3
"""Blocks that an offspring exchanges at most."""

TRIES = 50
"""Draws for each offspring wanted; where all removals nearby are known, no new one is found."""


@dataclass(frozen=True)
class Generation:
    """One generation of the removals of one size.

    Attributes:
        number: blocks removed.
        candidates: the first time where the search sets out from, later the offspring.
        missing: the candidates that are not measured yet.
        best: the survivors so far, best first; empty while some are missing.
    """

    number: int
    candidates: tuple[Removal, ...]
    missing: tuple[Removal, ...]
    best: tuple[Removal, ...]


@STRATEGIES.add("evolutionary")
@dataclass(frozen=True, kw_only=True)
class Evolutionary(LimitedStrategy):
    """Search each number of removed blocks by mutation and selection, after EvoPress.

    After the proposals, all single blocks are measured. Then, for each number of removed blocks
    from 2 on, the search sets out from the one-shot removal of that size, the best removal of one
    block less with its best block added, and the proposals of that size. Each generation draws new
    offspring from the `SURVIVORS` best so far: a removed block is put back for each one that is
    taken out, so that the size stays (the level-switch mutation of Sieberling et al., EvoPress:
    Accurate Dynamic Model Compression via Evolutionary Search, 2024, with their number of switches:
    the smaller of two draws from 1 to 3). Parents compete with their offspring. What was measured
    is never asked for again.

    The whole search is replayed from the drops at each question; the draws depend on nothing but
    the space's `seed`, the size and the generation, so an interrupted search goes on as if it had
    not been. It ends after a size of which nothing within `max_drop` was found, unless a larger
    proposal is left.
    """

    offspring: Annotated[int, Ge(1)] = 8
    """Number of new removals in each generation of an evolutionary search."""

    generations: Annotated[int, Ge(1)] = 8
    """Number of generations of an evolutionary search for each number of removed blocks."""

    def ask(self, space: SearchSpace, drops: Mapping[Removal, float]) -> Sequence[Removal]:
        """Return the proposals that are not measured yet, then generation after generation."""
        proposed = tuple(one for one in self._proposals(space) if one not in drops)
        if proposed:
            return proposed
        return next((one.missing for one in self.history(space, drops) if one.missing), ())

    def history(self, space: SearchSpace, drops: Mapping[Removal, float]) -> Iterator[Generation]:
        """Yield the generations as far as `drops` reaches; the last may have missing ones."""
        proposals = self._proposals(space)
        best: tuple[Removal, ...] = ()
        for number in range(1, min(self.most_removed(space), space.most_removed) + 1):
            of_size = [one for one in proposals if len(one) == number]
            start = _start(space, number, best, drops, of_size)
            for generation in self._evolve(space, number, start, drops):
                yield generation
                if generation.missing:
                    return
                best = generation.best
            found = any(within(drops[removal], self.max_drop) for removal in best)
            if not found and all(len(one) <= number for one in proposals):
                return

    def most_evaluations(self, space: SearchSpace) -> int:
        """Return an upper bound on the removals this search measures, for the time left."""
        free = len(space.free)
        each = 2 + self.offspring * self.generations
        sizes = range(2, min(self.most_removed(space), space.most_removed) + 1)
        proposed = sum(len(one) > 1 for one in self._proposals(space))
        return free + sum(min(each, comb(free, number)) for number in sizes) + proposed

    def _proposals(self, space: SearchSpace) -> tuple[Removal, ...]:
        return space.proposals(self.most_removed(space))

    def _evolve(
        self,
        space: SearchSpace,
        number: int,
        start: tuple[Removal, ...],
        drops: Mapping[Removal, float],
    ) -> Iterator[Generation]:
        candidates = start
        known: set[Removal] = set()
        best: tuple[Removal, ...] = ()
        for count in range(self.generations + 1):
            missing = tuple(removal for removal in candidates if removal not in drops)
            if missing:
                yield Generation(number, candidates, missing, ())
                return
            pool = {*best, *candidates}
            best = tuple(sorted(pool, key=lambda one: space.order(one, drops))[:SURVIVORS])
            yield Generation(number, candidates, (), best)
            known.update(candidates)
            # A single block has no neighbours that are not measured already.
            if not best or number == 1 or count == self.generations:
                return
            random = Random(f"{space.seed}/{number}/{count}")
            candidates = self._offspring(space, best, known, random)

    def _offspring(
        self, space: SearchSpace, parents: Sequence[Removal], known: set[Removal], random: Random
    ) -> tuple[Removal, ...]:
        """Return new admissible removals near the parents, as many as are wanted or found."""
        found: dict[Removal, None] = {}
        for _ in range(TRIES * self.offspring):
            child = _mutated(space, random.choice(parents), random)
            if child not in known and child not in found and space.admits(child):
                found[child] = None
                if len(found) == self.offspring:
                    break
        return tuple(found)


def _start(
    space: SearchSpace,
    number: int,
    smaller: Sequence[Removal],
    drops: Mapping[Removal, float],
    proposed: list[Removal],
) -> tuple[Removal, ...]:
    """Return what the search for removals of one size sets out from."""
    if number == 1:
        return tuple(space.extend(()))
    one_shot = one_shot_removals(drops, space, number).get(number)
    start = proposed if one_shot is None else [*proposed, one_shot]
    if smaller:
        start = start + _best_first(space, smaller[0], drops)[:1]
    return tuple(dict.fromkeys(start))


def _best_first(
    space: SearchSpace, smaller: Removal, drops: Mapping[Removal, float]
) -> list[Removal]:
    """Order removals by how little the block costs alone that `smaller` does not hold."""

    def cost(removal: Removal) -> tuple[float, Removal]:
        (added,) = set(removal) - set(smaller)
        # Where the architecture cannot lose a block alone, its drop is not known.
        return (space.order((added,), drops)[0] if (added,) in drops else 1.0), removal

    return sorted(space.extend(smaller), key=cost)


def _mutated(space: SearchSpace, parent: Removal, random: Random) -> Removal:
    kept = [block for block in space.free if block not in parent]
    wanted = min(random.randint(1, LARGEST_CHANGE), random.randint(1, LARGEST_CHANGE))
    switches = min(wanted, len(parent), len(kept))
    back = set(random.sample(parent, switches))
    return tuple(sorted({*parent} - back | {*random.sample(kept, switches)}))
