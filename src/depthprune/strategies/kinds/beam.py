"""Beam search: remove one more block from each of the best removals; greedy: from the best one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Lt

from depthprune.base.options import Named, Options
from depthprune.base.removal import Removal
from depthprune.strategies.strategy import STOPPED, STRATEGIES, LimitedStrategy, SearchSpace, within


@dataclass(frozen=True)
class RaceOptions(Options):
    """How candidates race: those that are certainly out of the beam are measured no further."""

    confidence: Annotated[float, Gt(0), Lt(1), Named("race_confidence")] = 0.95
    """Confidence that a search with racing finds the same beams as one without, as a fraction."""

    chunk: Annotated[int, Ge(1), Named("race_chunk")] = 64
    """Number of samples of each task between two checks for candidates to stop."""


@dataclass(frozen=True)
class BeamStep:
    """One step of a beam search.

    Attributes:
        number: the step, counted from 1; the number of blocks that its candidates remove.
        candidates: every removal of this step, proposals of this size among them, each once,
            ascending.
        missing: the candidates that are not measured yet.
        beam: the best candidates within the largest drop allowed, best first; empty while some
            are missing. A candidate that a race stopped is not missing, and never in the beam.
    """

    number: int
    candidates: tuple[Removal, ...]
    missing: tuple[Removal, ...]
    beam: tuple[Removal, ...]


@dataclass(frozen=True, kw_only=True)
class BeamSearch(LimitedStrategy):
    """Keep the `width` removals with the smallest drops, and extend each by one more block.

    A removal that two parents lead to is one candidate. Equal drops are ordered by block indices,
    so that the same measurements always give the same search.
    """

    race: RaceOptions | None = None
    """Stop measuring candidates early that almost certainly miss the beam (beam and greedy
    only)."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Removals kept in each step."""

    def ask(self, space: SearchSpace, drops: Mapping[Removal, float]) -> Sequence[Removal]:
        """Return the proposals that are not measured yet, then step by step the candidates."""
        proposed = tuple(one for one in self._proposals(space) if one not in drops)
        if proposed:
            return proposed
        return next((step.missing for step in self.steps(space, drops) if step.missing), ())

    def steps(self, space: SearchSpace, drops: Mapping[Removal, float]) -> Iterator[BeamStep]:
        """Yield the steps as far as `drops` reaches; the last may have missing candidates."""
        proposals = self._proposals(space)
        parents: tuple[Removal, ...] = ((),)
        for number in range(1, self.most_removed(space) + 1):
            children = {child for parent in parents for child in space.extend(parent)}
            children.update(one for one in proposals if len(one) == number)
            candidates = tuple(sorted(children))
            missing = tuple(removal for removal in candidates if removal not in drops)
            if missing:
                yield BeamStep(number, candidates, missing, ())
                return
            parents = self._best(space, candidates, drops)
            yield BeamStep(number, candidates, (), parents)
            if not parents and all(len(one) <= number for one in proposals):
                return

    def most_evaluations(self, space: SearchSpace) -> int:
        """Return an upper bound on the removals this search measures, for the time left."""
        free = len(space.free)
        later = range(1, min(self.most_removed(space), free))
        proposed = sum(len(one) > 1 for one in self._proposals(space))
        return free + sum(self.width * (free - taken) for taken in later) + proposed

    def _proposals(self, space: SearchSpace) -> tuple[Removal, ...]:
        return space.proposals(self.most_removed(space))

    def _best(
        self, space: SearchSpace, candidates: tuple[Removal, ...], drops: Mapping[Removal, float]
    ) -> tuple[Removal, ...]:
        kept = [
            removal
            for removal in candidates
            if drops[removal] != STOPPED and within(drops[removal], self.max_drop)
        ]
        return tuple(sorted(kept, key=lambda one: space.order(one, drops))[: self.width])


@STRATEGIES.add("greedy")
@dataclass(frozen=True, kw_only=True)
class Greedy(BeamSearch):
    """Keep the one best removal of each step: a beam of width 1.

    Unlike a ranking of single blocks, every step is measured with the blocks before it gone, as in
    SLEB (Song et al., SLEB: Streamlining LLMs through Redundancy Verification and Elimination of
    Transformer Blocks, 2024).
    """

    @property
    def width(self) -> int:
        """One removal is kept in each step."""
        return 1


@STRATEGIES.add("beam")
@dataclass(frozen=True)
class Beam(BeamSearch):
    """Beam search: keep the best removals of each step, and extend each by one more block."""

    width: Annotated[int, Ge(1), Named("beam_width")] = 3
    """Number of removals that a beam keeps in each step."""
