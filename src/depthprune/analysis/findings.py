"""Everything that is said about results: what they show, and what they recommend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from depthprune.analysis.answers import read_damage
from depthprune.analysis.dataset_agreement import (
    Consistency,
    Pair,
    PairGroup,
    consistencies,
    dataset_pairs,
    pair_groups,
    variation_by_coverage,
)
from depthprune.analysis.drop_table import (
    Distribution,
    DropTable,
    distribution,
    distributions_by_number,
    drop_table,
)
from depthprune.analysis.options import Ranking, Targets
from depthprune.analysis.recommend import Recommended, recommend
from depthprune.analysis.responses import (
    BlockDrop,
    DatasetResponse,
    Position,
    PositionByNumber,
    TaskTypeFinding,
    block_drops,
    dataset_responses,
    positions,
    positions_by_number,
    task_type_findings,
)
from depthprune.analysis.result_set import ResultSet, SplitAgreement
from depthprune.analysis.synergy import Synergy, synergies, synergies_by_number
from depthprune.base.removal import Removal
from depthprune.tasks.damage import Damage


@dataclass(frozen=True)
class AnalysisFindings:
    """Everything that was found, beside the recommendations.

    Attributes:
        by_task_type: most sensitive first (by mean single drop, else by mean drop).
        positions: early, middle, late.
        synergies: every combination of two blocks or more that can be computed, the most
            synergistic (most negative) first; the top 10 of either end are its ends.
        consistency: combinations measured on two datasets or more, the most consistent first.
        responses: by dataset, most sensitive first.
        pairs: every pair of datasets, most alike first (by Pearson), undefined ones last.
        overall: of all cells.
        by_number: of the cells of each number removed.
        agreements: train against validation, by dataset.
        blocks: single-block drops over all datasets, in the order of the stack.
        positions_by_number: by number removed, then early, middle, late, mixed; only those that
            were measured.
        synergies_by_number: of the synergies (not the drops), by number removed.
        variation_by_coverage: of the coefficients of variation, by coverage.
        pair_groups: pairs of the same task type, then of different ones.
    """

    by_task_type: tuple[TaskTypeFinding, ...]
    positions: tuple[Position, ...]
    synergies: tuple[Synergy, ...]
    consistency: tuple[Consistency, ...]
    responses: tuple[DatasetResponse, ...]
    pairs: tuple[Pair, ...]
    overall: Distribution
    by_number: Mapping[int, Distribution]
    agreements: tuple[SplitAgreement, ...]
    blocks: tuple[BlockDrop, ...] = ()
    positions_by_number: tuple[PositionByNumber, ...] = ()
    synergies_by_number: Mapping[int, Distribution] = field(default_factory=dict)
    variation_by_coverage: Mapping[int, Distribution] = field(default_factory=dict)
    pair_groups: tuple[PairGroup, ...] = ()


def find(
    results: ResultSet, *, min_common: int = 5, table: DropTable | None = None
) -> AnalysisFindings:
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
    return AnalysisFindings(
        by_task_type=task_type_findings(table),
        positions=positions(table),
        synergies=found_synergies,
        consistency=consistency,
        responses=dataset_responses(table),
        pairs=pairs,
        overall=distribution(table.drops),
        by_number=distributions_by_number(table),
        agreements=tuple(sorted(results.comparisons, key=lambda one: one.dataset)),
        blocks=block_drops(table.single_drops),
        positions_by_number=positions_by_number(table),
        synergies_by_number=synergies_by_number(found_synergies),
        variation_by_coverage=variation_by_coverage(consistency),
        pair_groups=pair_groups(pairs),
    )


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
    findings: AnalysisFindings
    recommendations: Recommended

    @cached_property
    def damage(self) -> Mapping[str, Mapping[Removal, Damage]]:
        """How the written answers to each dataset are damaged, by removal; see `read_damage`."""
        return read_damage(self.results)


def analyze_results(
    results: ResultSet,
    ranking: Ranking = Ranking(),
    targets: Targets = Targets(),
    *,
    top: int = 5,
    seed: int = 0,
) -> Analysis:
    """Return what results show and which blocks they let go.

    Args:
        results: of one model.
        ranking, targets, top, seed: see `recommend`.

    Raises:
        AnalysisError: nothing was measured.
    """
    table = drop_table(results.datasets, results.num_blocks)
    found = recommend(results, ranking, targets, top=top, seed=seed, table=table)
    return Analysis(results, table, find(results, table=table), found)
