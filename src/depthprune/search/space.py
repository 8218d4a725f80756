"""The removals that a search may consider: every block but the protected and inadmissible ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from depthprune.base.errors import RemovalError
from depthprune.base.removal import Removal, check_removal


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
    """

    num_blocks: int
    protect: frozenset[int] = frozenset()
    admissible: Callable[[Removal], bool] = field(default=everything_is_admissible, compare=False)

    def __post_init__(self) -> None:
        if self.num_blocks < 2:
            raise RemovalError(
                f"a stack of {self.num_blocks} block(s) has nothing to remove",
                mend="searching takes a model of two blocks or more",
            )
        for block in sorted(self.protect):
            check_removal((block,), self.num_blocks)
        if len(self.protect) >= self.num_blocks:
            raise RemovalError(
                f"all {self.num_blocks} blocks are protected: nothing can be removed",
                mend="protect fewer blocks",
            )

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
