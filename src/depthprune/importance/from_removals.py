"""Scores that force a given order of removal, for experiments with blocks chosen by other means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from depthprune.base.errors import RemovalError
from depthprune.base.files import write_json
from depthprune.base.removal import check_removal, make_removal


def scores_from_removals(order: Sequence[int], num_blocks: int) -> dict[int, float]:
    """Return scores by which the blocks go in this order; all others come after them, tied.

    The block named first gets `1 / (k + 1)` for k named blocks, the next one `2 / (k + 1)`, and so
    on; blocks that are not named get 1.

    Raises:
        RemovalError: no block is named, one is named twice or does not exist, or all are named.
    """
    if not order:
        raise RemovalError("no block is named", mend="name blocks in the order in which they go")
    check_removal(make_removal(order), num_blocks)
    place = {block: number / (len(order) + 1) for number, block in enumerate(order, start=1)}
    return {block: place.get(block, 1.0) for block in range(num_blocks)}


def write_scores_from_removals(path: Path, order: Sequence[int], num_blocks: int) -> Path:
    """Write a score file that forces this order of removal, and return its path.

    Raises:
        RemovalError: see `scores_from_removals`.
        FileError: the file cannot be written.
    """
    scores = scores_from_removals(order, num_blocks)
    write_json(
        path,
        {
            "source": "order of removal, not measured",
            "removal_order": list(order),
            "num_blocks": num_blocks,
            "importance_scores": {str(block): score for block, score in scores.items()},
        },
    )
    return path
