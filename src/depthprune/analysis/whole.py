"""A whole analysis: the results, what they show, and what they recommend."""

from __future__ import annotations

from dataclasses import dataclass

from depthprune.analysis.findings import Findings
from depthprune.analysis.recommendations import Recommendations
from depthprune.analysis.result_set import ResultSet
from depthprune.analysis.table import DropTable


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
