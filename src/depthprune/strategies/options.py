"""How to search, as plain values: what a command line or a file says, and the strategy it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from depthprune.base.errors import DepthpruneError
from depthprune.base.naming import option
from depthprune.base.removal import Removal
from depthprune.strategies.ablation import Ablation
from depthprune.strategies.beam import BeamSearch
from depthprune.strategies.comparison import Compared
from depthprune.strategies.evolutionary import EvolutionarySearch
from depthprune.strategies.exhaustive import ExhaustiveSearch
from depthprune.strategies.greedy import greedy_search
from depthprune.strategies.race import check_chunk
from depthprune.strategies.space import SearchSpace
from depthprune.strategies.strategy import Strategy

StrategyName = Literal["ablation", "beam", "greedy", "exhaustive", "evolutionary"]
"""`ablation` removes every block alone; the others go on with several at once."""

USUAL_MOST = 4
"""Blocks removed together at most, where nothing else is said."""

USUAL_MOST_EXHAUSTIVE = 2
"""The same for the search that measures everything: pairs, whatever drop is allowed. A drop that
allows all sizes would make its space too large for any model."""


RACED = ("beam", "greedy")
"""The strategies that race: of those that they leave behind they need no full number."""


@dataclass(frozen=True)
class RaceOptions:
    """How candidates race: those that are certainly out of the beam are measured no further.

    Attributes:
        confidence: that a whole search keeps the beams that it would keep without racing.
        chunk: samples of each task between two looks.

    Raises:
        DepthpruneError: a number is out of range.
    """

    confidence: float = 0.95
    chunk: int = 64

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise DepthpruneError(
                f"a confidence of {self.confidence} cannot be had by racing",
                option="race_confidence",
                mend="give a fraction between 0 and 1, such as 0.95; for 1 search without "
                f"{option('race')}",
            )
        check_chunk(self.chunk)


@dataclass(frozen=True)
class SearchOptions:
    """Which strategy, and how far it goes.

    Attributes:
        strategy: see `StrategyName`.
        width: of the beam: removals kept in each step.
        max_removed: the largest number of blocks removed together. None takes 4 and,
            with `max_drop`, as many as the drop allows; the exhaustive search always takes 2.
        max_drop: the largest drop (a fraction) of a removal that is searched further; None: any.
        offspring: new removals in each generation of the evolutionary search.
        generations: of the evolutionary search.
        exhaustive_limit: the most removals an exhaustive search may have.
        race: how the candidates of a beam race; None measures each in full.

    Raises:
        DepthpruneError: `max_drop` is no fraction, or the strategy does not race.
    """

    strategy: StrategyName = "beam"
    width: int = 3
    max_removed: int | None = None
    max_drop: float | None = None
    offspring: int = 8
    generations: int = 8
    exhaustive_limit: int = 20_000
    race: RaceOptions | None = None

    def __post_init__(self) -> None:
        if self.max_drop is not None and not (isfinite(self.max_drop) and self.max_drop <= 1):
            raise DepthpruneError(
                f"a drop of at most {self.max_drop} is no limit",
                option="max_drop",
                mend="give a fraction: 0.05 is five percentage points",
            )
        if self.race is not None and self.strategy not in RACED:
            raise DepthpruneError(
                f"the strategy {self.strategy} cannot race: it needs the full number of every "
                "removal that it measures",
                option="race",
                mend="leave it out, or choose the strategy beam or greedy",
            )

    def most_removed(self, space: SearchSpace) -> int:
        """Return the largest number of blocks that may be removed together."""
        if self.max_removed is not None:
            return self.max_removed
        if self.strategy == "exhaustive":
            return min(USUAL_MOST_EXHAUSTIVE, space.most_removed)
        if self.max_drop is not None:
            return space.most_removed
        return min(USUAL_MOST, space.most_removed)

    def build(self, space: SearchSpace, seeds: Sequence[Removal] = (), seed: int = 0) -> Strategy:
        """Return the strategy; it ends with the one-shot removals, which it must beat.

        Args:
            space: the removals that may be considered.
            seeds: removals that are proposed first; an exhaustive search needs none.
            seed: of the random choices of the evolutionary search.

        Raises:
            DepthpruneError: an option is out of range.
        """
        if self.strategy == "ablation":
            return Ablation(space)
        search = self._search(space, tuple(seeds), seed)
        return Compared(search, space, self.most_removed(space), self.max_drop)

    def _search(self, space: SearchSpace, seeds: tuple[Removal, ...], seed: int) -> Strategy:
        most = self.most_removed(space)
        match self.strategy:
            case "greedy":
                return greedy_search(space, most, self.max_drop, seeds)
            case "exhaustive":
                return ExhaustiveSearch(space, most, self.max_drop, self.exhaustive_limit)
            case "evolutionary":
                return EvolutionarySearch(
                    space,
                    most,
                    self.offspring,
                    self.generations,
                    seed=seed,
                    max_drop=self.max_drop,
                    seeds=seeds,
                )
            case _:
                return BeamSearch(space, self.width, most, self.max_drop, seeds)
