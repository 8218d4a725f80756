"""The options of a search: which strategy, how far it goes, and over which tasks together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from depthprune.base.errors import DepthpruneError
from depthprune.importance.proxies import PROXIES
from depthprune.strategies.joint import check_joint, parse_task_weights
from depthprune.strategies.options import RaceOptions, SearchOptions

_SEARCH = Group.create_ordered("How it is searched")

Limit = Annotated[int, Parameter(group=_SEARCH)]


@Parameter(name="*")
@dataclass(frozen=True)
class SearchFlags:
    """How it is searched."""

    strategy: Annotated[
        Literal["beam", "greedy", "exhaustive", "evolutionary"],
        Parameter(name=("--strategy", "--method"), group=_SEARCH),
    ] = "beam"
    """beam, greedy (a beam of one), exhaustive (everything) or evolutionary (small changes)."""

    beam_width: Annotated[int, Parameter(name=("--beam-width", "--width"), group=_SEARCH)] = (
        SearchOptions.width
    )
    """Removals that a beam keeps in each step."""

    max_blocks_to_remove: Annotated[int | None, Parameter(group=_SEARCH)] = None
    """The most blocks removed together: 4 or, with --max-drop, what that allows; exhaustive: 2."""

    max_drop: Annotated[float | None, Parameter(group=_SEARCH)] = None
    """Removals that cost more are not searched further; a fraction: 0.05 is five points."""

    offspring: Limit = SearchOptions.offspring
    """New removals in each generation of the evolutionary search."""

    generations: Limit = SearchOptions.generations
    """Of the evolutionary search, for each number of removed blocks."""

    exhaustive_limit: Limit = SearchOptions.exhaustive_limit
    """The most removals of an exhaustive search, inadmissible ones included; it refuses more."""

    joint: Annotated[bool, Parameter(group=_SEARCH)] = False
    """Search once, on the mean drop over all tasks; else each task has a search of its own."""

    task_weights: Annotated[tuple[str, ...], Parameter(group=_SEARCH)] = ()
    """In that mean: okvqa=2 doc_qa=1, or the numbers in the order of the tasks; equal if none."""

    complete: Limit = 0
    """Measure the best so many combinations of each number removed on every dataset in the end."""

    warm_start: Annotated[
        str | None,
        Parameter(
            group=_SEARCH,
            help=f"A proxy that proposes removals to measure first: {', '.join(PROXIES)}.",
        ),
    ] = None

    race: Annotated[bool, Parameter(group=_SEARCH)] = False
    """Stop removals early that are certainly out of the beam; statistical, beam and greedy only."""

    race_confidence: Annotated[float, Parameter(group=_SEARCH)] = RaceOptions.confidence
    """That racing keeps the beams of the whole search; a fraction."""

    race_chunk: Limit = RaceOptions.chunk
    """Samples of each task between two looks at a race."""

    def options(self) -> SearchOptions:
        """Return which strategy is meant, and how far it goes.

        Raises:
            DepthpruneError: `--max-drop` is no fraction, a number of the race is out of range, or
                the strategy cannot race.
        """
        said = RaceOptions(self.race_confidence, self.race_chunk)
        if said != RaceOptions() and not self.race:
            by_confidence = said.confidence != RaceOptions.confidence
            raise DepthpruneError(
                "how to race is said, but not that candidates race",
                option="race_confidence" if by_confidence else "race_chunk",
                mend="add --race, or leave it out",
            )
        return SearchOptions(
            strategy=self.strategy,
            width=self.beam_width,
            max_removed=self.max_blocks_to_remove,
            max_drop=self.max_drop,
            offspring=self.offspring,
            generations=self.generations,
            exhaustive_limit=self.exhaustive_limit,
            race=said if self.race else None,
        )

    def weights(self, tasks: Sequence[str]) -> dict[str, float]:
        """Return the weights of the tasks, by name; nothing where none are given.

        Raises:
            DepthpruneError: the search is not joint, or the weights do not fit the tasks.
        """
        if not self.task_weights:
            return {}
        check_joint(joint=self.joint)
        return parse_task_weights(self.task_weights, tasks)
