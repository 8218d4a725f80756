"""Importance scores of blocks: how two sets agree, many become one, and which blocks go by them."""

from depthprune.importance.compare import (
    RankAgreement,
    SplitComparison,
    compare_splits,
    rank_agreement,
)
from depthprune.importance.from_removals import scores_from_removals, write_scores_from_removals
from depthprune.importance.merge import Merged, merge_scores, write_merged
from depthprune.importance.order import least_important_first
from depthprune.importance.score_files import ScoreFile, find_scores, read_scores
from depthprune.importance.select import Selection, make_selection, select_blocks
from depthprune.importance.sources import (
    DatasetScores,
    SplitScores,
    from_comparisons,
    from_results,
    from_study,
)

__all__ = [
    "DatasetScores",
    "Merged",
    "RankAgreement",
    "ScoreFile",
    "Selection",
    "SplitComparison",
    "SplitScores",
    "compare_splits",
    "find_scores",
    "from_comparisons",
    "from_results",
    "from_study",
    "least_important_first",
    "make_selection",
    "merge_scores",
    "rank_agreement",
    "read_scores",
    "scores_from_removals",
    "select_blocks",
    "write_merged",
    "write_scores_from_removals",
]
