"""Which blocks go when so many stay: those with the lowest scores, protected blocks excepted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from depthprune.base.errors import DepthpruneError, RemovalError, option
from depthprune.base.language import counted
from depthprune.base.removal import Removal, check_removal, make_removal
from depthprune.base.removal import active_blocks as blocks_that_stay
from depthprune.importance.score_files import (
    check_complete,
    comparable,
    least_important_first,
    list_blocks,
)


@dataclass(frozen=True)
class Selection:
    """The blocks that go so that `num_active` stay.

    Attributes:
        num_blocks: of the model.
        removal: the blocks that go.
        protected: blocks that stay whatever their score.
        spared: those of them that would have gone by their score.
        tied: blocks that stay although their score is that of a block which goes; of equal scores
            the lower index goes.
    """

    num_blocks: int
    removal: Removal
    protected: Removal
    spared: tuple[int, ...]
    tied: tuple[int, ...]

    @property
    def num_active(self) -> int:
        """How many blocks stay."""
        return self.num_blocks - len(self.removal)

    @property
    def active(self) -> tuple[int, ...]:
        """The blocks that stay, ascending."""
        return blocks_that_stay(self.removal, self.num_blocks)


@dataclass(frozen=True)
class InTheWay:
    """A block whose score keeps a selection from being the expected one.

    Attributes:
        block: its index.
        score: None for a protected block without one.
        margin: how far the score lies on the wrong side: below the highest score of the blocks that
            are expected to go, or above the lowest of those that are expected to stay and could go.
        protected: whether it stays for that reason alone.
    """

    block: int
    score: float | None
    margin: float | None
    protected: bool = False


@dataclass(frozen=True)
class Check:
    """How a selection compares with the blocks that were expected to go.

    Attributes:
        selection: what the scores say.
        expected: the blocks that should go.
        unexpected: blocks that go, but should stay; the lowest score first.
        staying: blocks that stay, but should go; the highest score first.
    """

    selection: Selection
    expected: Removal
    unexpected: tuple[InTheWay, ...]
    staying: tuple[InTheWay, ...]

    @property
    def met(self) -> bool:
        """Whether exactly the expected blocks go."""
        return self.selection.removal == self.expected


def first_and_last(num_blocks: int) -> Removal:
    """Return the blocks that are protected by default."""
    return tuple(sorted({0, num_blocks - 1}))


def select_blocks(
    scores: Mapping[int, float],
    num_active: int,
    protect: Collection[int] | None = None,
    *,
    num_blocks: int | None = None,
) -> Removal:
    """Return the blocks that go so that `num_active` stay: the lowest scores, ties by index.

    Args:
        scores: of every block; higher = more important.
        num_active: how many blocks stay; all of them is allowed.
        protect: blocks that stay whatever their score; None: the first and the last.
        num_blocks: of the model; None: the largest index in `scores` and one.

    Raises:
        DepthpruneError: the scores cover only part of the blocks (a block that `protect` names
            needs none, nor do both ends where neither was measured), or so many cannot stay.
        RemovalError: a protected block does not exist.
    """
    return make_selection(scores, num_active, protect, num_blocks=num_blocks).removal


def make_selection(
    scores: Mapping[int, float],
    num_active: int,
    protect: Collection[int] | None = None,
    *,
    num_blocks: int | None = None,
    where: str | None = None,
) -> Selection:
    """Return what `select_blocks` selects, with what decided it.

    The same arguments; `where` names the file of the scores in messages about them.
    """
    if not scores:
        raise DepthpruneError("scores to select by are required")
    total = max(scores) + 1 if num_blocks is None else num_blocks
    protected = first_and_last(total) if protect is None else make_removal(protect)
    if protected and protected[-1] >= total:
        raise RemovalError(
            f"block {protected[-1]} cannot be protected: the model has {counted(total, 'block')}",
            option="protect",
            mend=f"name blocks from 0 to {total - 1}",
        )
    # Scripts that never remove the first and the last block measure neither; one end alone is
    # missing by mistake, and the end of a guessed number of blocks is none.
    ends_unmeasured = num_blocks is not None and not set(protected) & scores.keys()
    excused = protected if protect is not None or ends_unmeasured else ()
    check_complete(scores, total, excused=excused, where=where)
    _check_count(num_active, total, protected)
    order = least_important_first(scores)
    number = total - num_active
    removal = tuple(sorted([block for block in order if block not in protected][:number]))
    values = comparable(scores)
    highest = max((values[block] for block in removal), default=None)
    kept = set(scores) - set(removal) - set(protected)
    return Selection(
        num_blocks=total,
        removal=removal,
        protected=protected,
        spared=tuple(block for block in order[:number] if block in protected),
        tied=tuple(sorted(block for block in kept if values[block] == highest)),
    )


def check_expected(
    scores: Mapping[int, float], selection: Selection, expected: Collection[int]
) -> Check:
    """Return whether exactly the expected blocks go, and otherwise which scores are in the way.

    Raises:
        RemovalError: an expected block does not exist, or is named twice.
        DepthpruneError: another number of blocks is expected to go than is selected.
    """
    removal = check_removal(make_removal(expected), selection.num_blocks)
    if len(removal) != len(selection.removal):
        raise DepthpruneError(
            f"{counted(len(removal), 'block is', 'blocks are')} expected to go, but with "
            f"{selection.num_active} of "
            f"{selection.num_blocks} active {len(selection.removal)} go",
            option="expect",
            mend="ask for " + option("num_active_blocks", selection.num_blocks - len(removal)),
        )
    values = {block: scores[block] for block in removal if block in scores}
    ceiling = max(values.values(), default=None)
    free = set(scores) - set(selection.protected) - set(removal)
    floor = min((scores[block] for block in free), default=None)
    wrong = [block for block in least_important_first(scores) if block in selection.removal]
    staying = [block for block in removal if block not in selection.removal]
    return Check(
        selection=selection,
        expected=removal,
        unexpected=tuple(
            InTheWay(block, scores[block], None if ceiling is None else ceiling - scores[block])
            for block in wrong
            if block not in removal
        ),
        staying=tuple(
            _staying(block, scores.get(block), floor, block in selection.protected)
            for block in sorted(staying, key=lambda block: -scores.get(block, 0.0))
        ),
    )


def _staying(block: int, score: float | None, floor: float | None, protected: bool) -> InTheWay:
    if protected or score is None or floor is None:
        return InTheWay(block, score, None, protected)
    return InTheWay(block, score, score - floor)


def _check_count(num_active: int, total: int, protected: Removal) -> None:
    least = max(1, len(protected))
    if least <= num_active <= total:
        return
    what = f"{num_active} of {counted(total, 'block')} cannot stay"
    too_protected = 1 <= num_active <= total
    if too_protected:
        what += f": {list_blocks(protected)} {'is' if len(protected) == 1 else 'are'} protected"
    raise DepthpruneError(
        what,
        option="num_active_blocks",
        mend=f"give a number from {least} to {total}"
        + (f", or protect fewer blocks ({option('protect', 'none')})" if too_protected else ""),
    )
