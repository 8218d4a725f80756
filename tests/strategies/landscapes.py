"""Made-up drops of removals, on which searches are held."""

from __future__ import annotations

import itertools

from depthprune.base.removal import Removal


def rugged(removal: Removal) -> float:
    """Give every removal another drop, with interactions between blocks."""
    single = sum(((block * 7919) % 101) / 100 for block in removal)
    pairs = sum(((a * 31 + b * 17) % 23 - 11) / 40 for a, b in itertools.combinations(removal, 2))
    return single + pairs


def additive(removal: Removal) -> float:
    """Give every removal the sum of its blocks' drops: no interaction at all."""
    return sum(((block * 7919) % 101) / 100 for block in removal)
