"""The ground floor: removals, errors, atomic files, logging and progress."""

from depthprune.base.errors import DepthpruneError
from depthprune.base.removal import (
    Removal,
    active_blocks,
    check_removal,
    format_removal,
    make_removal,
    parse_removal,
)

__all__ = [
    "DepthpruneError",
    "Removal",
    "active_blocks",
    "check_removal",
    "format_removal",
    "make_removal",
    "parse_removal",
]
