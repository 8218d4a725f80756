"""A whole analysis: the results, what they show, and what they recommend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from depthprune.analysis.answers import read_damage
from depthprune.analysis.findings import Findings
from depthprune.analysis.recommendations import Recommendations
from depthprune.analysis.result_set import ResultSet
from depthprune.analysis.table import DropTable
from depthprune.base.removal import Removal
from depthprune.tasks.damage import Damage


@dataclass(frozen=True)
class Analysis:
    """What every document and figure is made from.

    Attributes:
        results: what was measured.
        table: the same as one matrix.
        findings: what it shows.
        recommendations: which blocks to remove.
    """

    results: ResultSet
    table: DropTable
    findings: Findings
    recommendations: Recommendations

    @cached_property
    def damage(self) -> Mapping[str, Mapping[Removal, Damage]]:
        """How the written answers to each dataset are damaged, by removal; see `read_damage`."""
        return read_damage(self.results)
