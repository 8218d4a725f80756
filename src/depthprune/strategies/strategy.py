"""What a strategy is: options as fields, and one question: what to measure next of a space."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Ge, Le

from depthprune.base.errors import RemovalError
from depthprune.base.language import counted
from depthprune.base.options import Named, Options, Refusal
from depthprune.base.registry import Registry
from depthprune.base.removal import Removal, check_removal, make_removal, rounded


def everything_is_admissible(removal: Removal) -> bool:
    """Admit every removal: the default where the architecture sets no limits."""
    return True


@dataclass(frozen=True)
class SearchSpace:
    """What a strategy may ask for.

    Attributes:
        num_blocks: blocks of the unpruned stack.
        protect: blocks that always stay; none by default.
        admissible: whether the architecture can express a removal.
        proposed: removals to measure first, which compete from then on.
        seed: of what a strategy draws at random.
        ranks: what candidates are ranked by in place of their drops, by removal; the smallest is
            the best. Empty where that is the drop.

    Raises:
        RemovalError: nothing can be removed, or what is protected or proposed does not exist.
    """

    num_blocks: int
    protect: frozenset[int] = frozenset()
    admissible: Callable[[Removal], bool] = field(default=everything_is_admissible, compare=False)
    proposed: tuple[Removal, ...] = ()
    seed: int = 0
    ranks: Mapping[Removal, float] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if self.num_blocks < 2:
            raise RemovalError(
                f"a stack of {self.num_blocks} block(s) has nothing to remove",
                mend="searching takes a model of two blocks or more",
            )
        strange = [block for block in sorted(self.protect) if not 0 <= block < self.num_blocks]
        if strange:
            raise RemovalError(
                f"block {strange[0]} cannot be protected: the model has "
                f"{counted(self.num_blocks, 'block')}",
                option="protect",
                mend=f"name blocks from 0 to {self.num_blocks - 1}",
            )
        if len(self.protect) >= self.num_blocks:
            raise RemovalError(
                f"all {counted(self.num_blocks, 'block is', 'blocks are')} protected: nothing "
                "can be removed",
                option="protect",
                mend="protect fewer blocks",
            )
        for removal in self.proposed:
            for block in make_removal(removal):
                check_removal((block,), self.num_blocks)

    def extend(self, removal: Removal) -> list[Removal]:
        """Return every admissible removal with one block more than `removal`, ascending."""
        if len(removal) + 1 >= self.num_blocks:
            return []
        taken = self.protect.union(removal)
        larger = (
            tuple(sorted((*removal, block)))
            for block in range(self.num_blocks)
            if block not in taken
        )
        return [candidate for candidate in larger if self.admissible(candidate)]

    @property
    def free(self) -> tuple[int, ...]:
        """The blocks that are not protected, ascending."""
        return tuple(block for block in range(self.num_blocks) if block not in self.protect)

    @property
    def most_removed(self) -> int:
        """The largest number of blocks that can be removed at once."""
        return min(len(self.free), self.num_blocks - 1)

    def order(self, removal: Removal, drops: Mapping[Removal, float]) -> tuple[float, Removal]:
        """Return what sorts measured removals, the best first; equal ones by block indices."""
        return rounded(self.ranks.get(removal, drops[removal])), removal

    def admits(self, removal: Removal) -> bool:
        """Return whether a removal of existing blocks may be asked for; the baseline may not."""
        return (
            0 < len(removal) < self.num_blocks
            and self.protect.isdisjoint(removal)
            and self.admissible(removal)
        )

    def proposals(self, max_removed: int) -> tuple[Removal, ...]:
        """Return the proposed removals that a search may ask for, each once, in their order.

        Left out without a word, because somebody who proposes need not know the limits: the
        baseline, removals of more than `max_removed` blocks, of a protected block, and those that
        the architecture cannot express.
        """
        known = dict.fromkeys(map(make_removal, self.proposed))
        return tuple(one for one in known if len(one) <= max_removed and self.admits(one))

    def check_most(self, max_removed: int) -> None:
        """Refuse a largest number of removed blocks that no search in this space can reach.

        Raises:
            RemovalError: it leaves no block, or removes none.
        """
        most = self.num_blocks - 1
        if not 1 <= max_removed <= most:
            raise RemovalError(
                f"{counted(max_removed, 'block')} cannot be removed from {self.num_blocks}",
                option="max_blocks_to_remove",
                mend=f"choose between 1 and {most}",
            )


def within(drop: float, max_drop: float | None) -> bool:
    """Return whether a drop is at most `max_drop`, rounding noise aside; None is no limit."""
    return max_drop is None or rounded(drop) <= max_drop


STOPPED = math.inf
"""Stands for the drop of a candidate that a race stopped: it is out of the beam."""


class Strategy(Options, ABC):
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


_LARGEST_DROP = Refusal(
    "{name} must be a fraction of 1 or less, not {value}",
    "0.05 is five percentage points",
)


@dataclass(frozen=True, kw_only=True)
class LimitedStrategy(Strategy):
    """A strategy that removes several blocks together: how far it goes."""

    max_removed: Annotated[Annotated[int, Ge(1)] | None, Named("max_blocks_to_remove")] = None
    """Maximum number of removed blocks. Default: 4, or only limited by `max_drop` if that is given;
    2 for exhaustive."""

    max_drop: Annotated[float, Le(1), _LARGEST_DROP] | None = None
    """Maximum drop of a removal that the search still extends; a fraction: 0.05 is 5 points."""

    def most_removed(self, space: SearchSpace) -> int:
        """Return the largest number of blocks that may be removed together."""
        if self.max_removed is not None:
            return self.max_removed
        return space.most_removed if self.max_drop is not None else min(4, space.most_removed)
