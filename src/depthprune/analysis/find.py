"""All findings of a result set, each from one function over the same table of drops."""

from __future__ import annotations

from depthprune.analysis.agreement import split_agreements
from depthprune.analysis.consistency import consistencies, variation_by_coverage
from depthprune.analysis.distributions import distribution, distributions_by_number
from depthprune.analysis.findings import Findings
from depthprune.analysis.pairs import dataset_pairs, pair_groups
from depthprune.analysis.positions import block_drops, positions, positions_by_number
from depthprune.analysis.responses import dataset_responses
from depthprune.analysis.result_set import ResultSet
from depthprune.analysis.synergy import synergies, synergies_by_number
from depthprune.analysis.table import DropTable, drop_table
from depthprune.analysis.task_types import task_type_findings


def find(results: ResultSet, *, min_common: int = 5, table: DropTable | None = None) -> Findings:
    """Return everything the results show beyond their rankings.

    Cells that were not measured count nowhere; what cannot be computed is None or left out, so that
    one dataset, one combination or results without single blocks are fine.

    Args:
        results: of one model over datasets.
        min_common: the fewest combinations that two datasets must share for a correlation.
        table: `drop_table` of the results, where it was made already.

    Raises:
        DepthpruneError: `min_common` is below 2.
    """
    if table is None:
        table = drop_table(results.datasets, results.num_blocks)
    pairs = dataset_pairs(table, min_common=min_common)
    found_synergies = synergies(table)
    consistency = consistencies(table)
    return Findings(
        by_task_type=task_type_findings(table),
        positions=positions(table),
        synergies=found_synergies,
        consistency=consistency,
        responses=dataset_responses(table),
        pairs=pairs,
        overall=distribution(table.drops),
        by_number=distributions_by_number(table),
        agreements=split_agreements(results.comparisons),
        blocks=block_drops(table.single_drops),
        positions_by_number=positions_by_number(table),
        synergies_by_number=synergies_by_number(found_synergies),
        variation_by_coverage=variation_by_coverage(consistency),
        pair_groups=pair_groups(pairs),
    )
