"""Beam search: remove one more block from each of the best removals of the step before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from depthprune.base.drops import settled
from depthprune.base.errors import RemovalError
from depthprune.base.removal import Removal
from depthprune.search.space import SearchSpace


@dataclass(frozen=True)
class BeamStep:
    """One step of a beam search.

    Attributes:
        number: the step, counted from 1; the number of blocks that its candidates remove.
        candidates: every removal of this step, each once, ascending.
        missing: the candidates that are not measured yet.
        beam: the best candidates, best first; empty while some are missing.
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

    def __post_init__(self) -> None:
        if self.width < 1:
            raise RemovalError(f"a beam of width {self.width} keeps nothing", mend="use 1 or more")
        most = self.space.num_blocks - 1
        if not 1 <= self.max_removed <= most:
            raise RemovalError(
                f"{self.max_removed} blocks cannot be removed from {self.space.num_blocks}",
                mend=f"choose between 1 and {most}",
            )

    def ask(self, drops: Mapping[Removal, float]) -> Sequence[Removal]:
        """Return the candidates of the first unfinished step that are not measured yet."""
        for step in self.steps(drops):
            if step.missing:
                return step.missing
        return ()

    def steps(self, drops: Mapping[Removal, float]) -> Iterator[BeamStep]:
        """Yield the steps as far as `drops` tells them; the last may have missing candidates."""
        parents: tuple[Removal, ...] = ((),)
        for number in range(1, self.max_removed + 1):
            candidates = tuple(
                sorted({child for parent in parents for child in self.space.extend(parent)})
            )
            missing = tuple(removal for removal in candidates if removal not in drops)
            if missing:
                yield BeamStep(number, candidates, missing, ())
                return
            parents = self._best(candidates, drops)
            yield BeamStep(number, candidates, (), parents)
            if not parents:
                return

    def most_evaluations(self) -> int:
        """Return an upper bound on the removals this search measures, for the time left."""
        free = self.space.num_blocks - len(self.space.protect)
        later = range(1, min(self.max_removed, free))
        return free + sum(self.width * (free - taken) for taken in later)

    def _best(
        self, candidates: tuple[Removal, ...], drops: Mapping[Removal, float]
    ) -> tuple[Removal, ...]:
        ranked = sorted(candidates, key=lambda removal: (settled(drops[removal]), removal))
        return tuple(ranked[: self.width])
