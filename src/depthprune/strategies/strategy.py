"""What a strategy is: its options as fields, and the one question that it answers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Annotated, Any

from annotated_types import Ge, Le

from depthprune.base.errors import DepthpruneError
from depthprune.base.options import Named, check
from depthprune.base.registry import Registry
from depthprune.base.removal import Removal
from depthprune.strategies.space import SearchSpace

STOPPED = math.inf
"""Stands for the drop of a candidate that a race stopped: it is out of the beam."""


class Strategy(ABC):
    """Decides which removals to measure next; holds its options, and no results.

    A strategy is a frozen dataclass. Its fields are its options: they appear on the command line,
    in study files and in Python as they are declared.
    """

    @property
    def name(self) -> str:
        """The name in results: of ours as users write it, e.g. `beam`."""
        return type(self).__name__.lower()

    @abstractmethod
    def ask(self, space: SearchSpace, drops: Mapping[Removal, float]) -> Sequence[Removal]:
        """Return the next removals to measure, or nothing when the search is over.

        Args:
            space: the removals that may be considered, and those that are proposed.
            drops: every drop that the study holds for this task and split, by removal (a
                fraction; negative means better than the baseline), the baseline as 0.0. It may
                hold removals that this strategy would never ask for.

        The answer depends on the arguments alone and names only removals that are not in `drops`.
        So a search that is begun anew goes on where it was stopped.
        """

    def most_removed(self, space: SearchSpace) -> int:
        """Return the largest number of blocks that may be removed together."""
        return space.most_removed

    def check(self, space: SearchSpace) -> None:
        """Refuse, before anything is measured, a space that this strategy cannot search.

        Raises:
            RemovalError: so many blocks cannot be removed, or another option makes no sense there.
        """
        space.check_most(self.most_removed(space))

    def most_evaluations(self, space: SearchSpace) -> int:
        """Return an upper bound on the removals that the whole search measures.

        Progress bars show the time left by it. 0 when it is not known.
        """
        return 0


def _is_strategy(found: Any) -> bool:
    return isinstance(found, Strategy) or (isinstance(found, type) and issubclass(found, Strategy))


STRATEGIES: Registry[type[Strategy]] = Registry(
    "strategy",
    "depthprune.strategies.kinds",
    first=("beam", "greedy", "exhaustive", "evolutionary"),
    accepts=_is_strategy,
)
"""The strategies by name."""


@dataclass(frozen=True, kw_only=True)
class LimitedStrategy(Strategy):
    """A strategy that removes several blocks together: how far it goes."""

    max_removed: Annotated[Annotated[int, Ge(1)] | None, Named("max_blocks_to_remove")] = None
    """The most blocks removed together: 4 or, with `max_drop`, what that allows; exhaustive: 2."""

    max_drop: Annotated[float, Le(1)] | None = None
    """Removals that cost more are not searched further; a fraction: 0.05 is five points."""

    def __post_init__(self) -> None:
        if self.max_drop is not None and not (isfinite(self.max_drop) and self.max_drop <= 1):
            raise DepthpruneError(
                f"a drop of at most {self.max_drop} is no limit",
                option="max_drop",
                mend="give a fraction: 0.05 is five percentage points",
            )
        check(self)

    def most_removed(self, space: SearchSpace) -> int:
        """Return the largest number of blocks that may be removed together."""
        if self.max_removed is not None:
            return self.max_removed
        return space.most_removed if self.max_drop is not None else min(4, space.most_removed)
