"""Evolutionary search: change the best removals a little, and keep what turns out better."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from random import Random

from depthprune.base.drops import settled
from depthprune.base.errors import RemovalError
from depthprune.base.removal import Removal
from depthprune.strategies.one_shot import one_shot_removals
from depthprune.strategies.space import SearchSpace, within

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


@dataclass(frozen=True)
class EvolutionarySearch:
    """Search each number of removed blocks by mutation and selection, after EvoPress.

    After the seeds, all single blocks are measured. Then, for each number of removed blocks from 2
    on, the search sets out from the one-shot removal of that size, the best removal of one block
    less with its best block added, and the seeds of that size. Each generation draws new offspring
    from the `SURVIVORS` best so far: a removed block is put back for each one that is taken out, so
    that the size stays (the level-switch mutation of Sieberling et al., EvoPress: Accurate Dynamic
    Model Compression via Evolutionary Search, 2024, with their number of switches: the smaller of
    two draws from 1 to 3). Parents compete with their offspring. What was measured is never asked
    for again.

    The whole search is replayed from the drops at each question; the draws depend on nothing but
    `seed`, the size and the generation, so an interrupted search goes on as if it had not been.

    Attributes:
        space: the removals that may be considered.
        max_removed: the largest number of blocks removed.
        offspring: lambda, the new removals of one generation.
        generations: for each number of removed blocks.
        seed: of the draws.
        max_drop: the search ends after a size of which nothing within this drop (a fraction) was
            found, unless a larger seed is left.
        seeds: removals to measure first, see `SearchSpace.proposals`.
    """

    space: SearchSpace
    max_removed: int = 4
    offspring: int = 8
    generations: int = 8
    seed: int = 0
    max_drop: float | None = None
    seeds: tuple[Removal, ...] = ()

    def __post_init__(self) -> None:
        self.space.check_limits(self.max_removed, self.max_drop)
        self._seeds()
        if self.offspring < 1 or self.generations < 1:
            raise RemovalError(
                f"{self.generations} generations of {self.offspring} offspring find nothing",
                option=("offspring", "generations"),
                mend="use 1 or more of both",
            )

    def ask(self, drops: Mapping[Removal, float]) -> Sequence[Removal]:
        """Return the seeds that are not measured yet, then generation after generation."""
        seeds = tuple(seed for seed in self._seeds() if seed not in drops)
        if seeds:
            return seeds
        for generation in self.history(drops):
            if generation.missing:
                return generation.missing
        return ()

    def history(self, drops: Mapping[Removal, float]) -> Iterator[Generation]:
        """Yield the generations as far as `drops` tells them; the last may have missing ones."""
        seeds = self._seeds()
        best: tuple[Removal, ...] = ()
        for number in range(1, min(self.max_removed, self.space.most_removed) + 1):
            start = self._start(number, best, drops, seeds)
            for generation in self._evolve(number, start, drops):
                yield generation
                if generation.missing:
                    return
                best = generation.best
            found = any(within(drops[removal], self.max_drop) for removal in best)
            if not found and all(len(seed) <= number for seed in seeds):
                return

    def most_evaluations(self) -> int:
        """Return an upper bound on the removals this search measures, for the time left."""
        free = len(self.space.free)
        each = 2 + self.offspring * self.generations
        sizes = range(2, min(self.max_removed, self.space.most_removed) + 1)
        seeds = sum(len(seed) > 1 for seed in self._seeds())
        return free + sum(min(each, comb(free, number)) for number in sizes) + seeds

    def _seeds(self) -> tuple[Removal, ...]:
        return self.space.proposals(self.seeds, self.max_removed)

    def _start(
        self,
        number: int,
        smaller: Sequence[Removal],
        drops: Mapping[Removal, float],
        seeds: Iterable[Removal],
    ) -> tuple[Removal, ...]:
        if number == 1:
            return tuple(self.space.extend(()))
        proposed = [seed for seed in seeds if len(seed) == number]
        one_shot = one_shot_removals(drops, self.space, number).get(number)
        if one_shot is not None:
            proposed.append(one_shot)
        if smaller:
            grown = self._best_first(self.space.extend(smaller[0]), smaller[0], drops)
            proposed += grown[:1]
        return tuple(dict.fromkeys(proposed))

    def _best_first(
        self, larger: Iterable[Removal], smaller: Removal, drops: Mapping[Removal, float]
    ) -> list[Removal]:
        """Order removals by how little the block costs alone that `smaller` does not hold."""

        def cost(removal: Removal) -> tuple[float, Removal]:
            (added,) = set(removal) - set(smaller)
            # Where the architecture cannot lose a block alone, its drop is not known.
            return settled(drops.get((added,), 1.0)), removal

        return sorted(larger, key=cost)

    def _evolve(
        self, number: int, start: tuple[Removal, ...], drops: Mapping[Removal, float]
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
            best = tuple(sorted(pool, key=lambda one: (settled(drops[one]), one))[:SURVIVORS])
            yield Generation(number, candidates, (), best)
            known.update(candidates)
            # A single block has no neighbours that are not measured already.
            if not best or number == 1 or count == self.generations:
                return
            candidates = self._offspring(best, known, Random(f"{self.seed}/{number}/{count}"))

    def _offspring(
        self, parents: Sequence[Removal], known: set[Removal], random: Random
    ) -> tuple[Removal, ...]:
        """Return new admissible removals near the parents, as many as are wanted or found."""
        found: dict[Removal, None] = {}
        for _ in range(TRIES * self.offspring):
            child = self._mutated(random.choice(parents), random)
            if child not in known and child not in found and self.space.admits(child):
                found[child] = None
                if len(found) == self.offspring:
                    break
        return tuple(found)

    def _mutated(self, parent: Removal, random: Random) -> Removal:
        kept = [block for block in self.space.free if block not in parent]
        wanted = min(random.randint(1, LARGEST_CHANGE), random.randint(1, LARGEST_CHANGE))
        switches = min(wanted, len(parent), len(kept))
        back = set(random.sample(parent, switches))
        return tuple(sorted({*parent} - back | {*random.sample(kept, switches)}))
