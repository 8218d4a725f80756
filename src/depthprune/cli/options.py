"""The options that commands share: how to name a model, its tasks and a place for the results."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from depthprune.base.errors import DepthpruneError, RemovalError
from depthprune.base.language import counted
from depthprune.base.removal import Removal, parse_removal
from depthprune.cli.output import Language as Language
from depthprune.tasks.demo import DEMO as DEMO


def block_set(given: Sequence[str], option: str) -> Removal:
    """Return blocks that were written as `0 15` or `0,15`; `0-15` is the pair, as in file names.

    Raises:
        RemovalError: no block indices, or what could be a range where ranges are likely.
    """
    text = " ".join(given)
    if "-" in text and option == "protect":
        raise RemovalError(
            f"{text!r} could be two blocks or all from one to the other",
            option=option,
            mend="write every block, as 0 15 or 0,15",
        )
    return parse_removal(text)


def check_ranking(min_coverage: int, min_drop: float | None) -> None:
    """Refuse limits of a ranking that mean nothing.

    Raises:
        DepthpruneError: fewer than one dataset, or a drop that is not a finite number.
    """
    if min_coverage < 1:
        raise DepthpruneError(
            f"a combination cannot be measured on {counted(min_coverage, 'dataset')} at least",
            option="min_coverage",
            mend="give 1 or more",
        )
    if min_drop is not None and not isfinite(min_drop):
        raise DepthpruneError(
            f"a mean drop of {min_drop} is no limit",
            option="min_drop",
            mend="give a fraction (0.01 is one percentage point), or leave it out",
        )
