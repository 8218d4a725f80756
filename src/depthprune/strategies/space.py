"""The removals that a search may consider: every block but the protected and inadmissible ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from depthprune.base.drops import settled
from depthprune.base.errors import RemovalError
from depthprune.base.language import counted
from depthprune.base.removal import Removal, check_removal, make_removal


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

    Raises:
        RemovalError: nothing can be removed, or what is protected or proposed does not exist.
    """

    num_blocks: int
    protect: frozenset[int] = frozenset()
    admissible: Callable[[Removal], bool] = field(default=everything_is_admissible, compare=False)
    proposed: tuple[Removal, ...] = ()
    seed: int = 0

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
    return max_drop is None or settled(drop) <= max_drop
