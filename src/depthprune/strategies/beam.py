"""Beam search: remove one more block from each of the best removals of the step before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from depthprune.base.drops import settled
from depthprune.base.errors import RemovalError
from depthprune.base.removal import Removal
from depthprune.strategies.space import SearchSpace, within
from depthprune.strategies.strategy import STOPPED


@dataclass(frozen=True)
class BeamStep:
    """One step of a beam search.

    Attributes:
        number: the step, counted from 1; the number of blocks that its candidates remove.
        candidates: every removal of this step, the seeds of this size among them, each once,
            ascending.
        missing: the candidates that are not measured yet.
        beam: the best candidates within the largest drop allowed, best first; empty while some
            are missing. A candidate that a race stopped is not missing, and never in the beam.
    """

    number: int
    candidates: tuple[Removal, ...]
    missing: tuple[Removal, ...]
    beam: tuple[Removal, ...]


@dataclass(frozen=True)
class BeamSearch:
    """Keep the `width` removals with the smallest drops, and extend each by one more block.

    A removal that two parents lead to is one candidate. Equal drops are ordered by block indices,
    so that the same measurements always give the same search.

    Attributes:
        space: the removals that may be considered.
        width: removals kept in each step.
        max_removed: the number of steps: the largest number of blocks removed.
    """

    space: SearchSpace
    width: int = 3
    max_removed: int = 4
    max_drop: float | None = None
    seeds: tuple[Removal, ...] = ()

    def __post_init__(self) -> None:
        if self.width < 1:
            raise RemovalError(
                f"a beam of width {self.width} keeps nothing",
                option="beam_width",
                mend="use 1 or more",
            )
        self.space.check_limits(self.max_removed, self.max_drop)
        self.space.proposals(self.seeds, self.max_removed)

    def ask(self, drops: Mapping[Removal, float]) -> Sequence[Removal]:
        """Return the seeds that are not measured yet, then step by step the candidates."""
        seeds = tuple(seed for seed in self._seeds() if seed not in drops)
        if seeds:
            return seeds
        for step in self.steps(drops):
            if step.missing:
                return step.missing
        return ()

    def steps(self, drops: Mapping[Removal, float]) -> Iterator[BeamStep]:
        """Yield the steps as far as `drops` tells them; the last may have missing candidates."""
        seeds = self._seeds()
        parents: tuple[Removal, ...] = ((),)
        for number in range(1, self.max_removed + 1):
            children = {child for parent in parents for child in self.space.extend(parent)}
            children.update(seed for seed in seeds if len(seed) == number)
            candidates = tuple(sorted(children))
            missing = tuple(removal for removal in candidates if removal not in drops)
            if missing:
                yield BeamStep(number, candidates, missing, ())
                return
            parents = self._best(candidates, drops)
            yield BeamStep(number, candidates, (), parents)
            if not parents and all(len(seed) <= number for seed in seeds):
                return

    def most_evaluations(self) -> int:
        """Return an upper bound on the removals this search measures, for the time left."""
        free = len(self.space.free)
        later = range(1, min(self.max_removed, free))
        seeds = sum(len(seed) > 1 for seed in self._seeds())
        return free + sum(self.width * (free - taken) for taken in later) + seeds

    def _seeds(self) -> tuple[Removal, ...]:
        return self.space.proposals(self.seeds, self.max_removed)

    def _best(
        self, candidates: tuple[Removal, ...], drops: Mapping[Removal, float]
    ) -> tuple[Removal, ...]:
        kept = [
            removal
            for removal in candidates
            if drops[removal] != STOPPED and within(drops[removal], self.max_drop)
        ]
        return tuple(sorted(kept, key=lambda one: (settled(drops[one]), one))[: self.width])
