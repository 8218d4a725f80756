"""`pairwise_dataset_stats.json`: how alike the datasets respond, two by two."""

from __future__ import annotations

from typing import Any

from depthprune.analysis.findings import Pair
from depthprune.analysis.pairs import extreme_pairs
from depthprune.analysis.whole import Analysis
from depthprune.report.documents.values import distribution_value, number


def pairwise_value(analysis: Analysis) -> dict[str, Any]:
    """Return correlations and mean differences of all pairs of datasets as plain JSON data."""
    found = analysis.findings
    alike, unlike = extreme_pairs(found.pairs)
    return {
        "num_pairs": len(found.pairs),
        "pairs": [_pair(one) for one in found.pairs],
        "most_alike": [_pair(one) for one in alike],
        "least_alike": [_pair(one) for one in unlike],
        "by_task_type": {
            "same" if group.same_type else "different": {
                "num_pairs": group.count,
                "pearson": distribution_value(group.pearson),
                "spearman": distribution_value(group.spearman),
                "absolute_mean_difference": distribution_value(group.difference),
            }
            for group in found.pair_groups
        },
    }


def _pair(one: Pair) -> dict[str, Any]:
    return {
        "datasets": [one.first, one.second],
        "num_common_combinations": one.common,
        "pearson": number(one.pearson),
        "spearman": number(one.spearman),
        "mean_difference": number(one.difference),
        "same_task_type": one.same_type if one.types_known else None,
    }
