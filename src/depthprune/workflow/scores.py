"""Importance scores: one out of many datasets, how splits agree, which blocks go by them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from depthprune.base.removal import Removal
from depthprune.importance.compare import THRESHOLD, compare_splits
from depthprune.importance.merge import TRAIN_WEIGHT, Method, Scores, merge_scores
from depthprune.importance.score_files import count_blocks, read_scores
from depthprune.importance.select import select_blocks
from depthprune.importance.sources import DatasetScores, SplitImportance, read_sources
from depthprune.workflow.studies import Study, Table

__all__ = ["Scores", "compare", "merge", "select"]

Source = Study | str | Path | Mapping[str, Mapping[int, float]]
"""Where scores come from, see `merge`."""


def merge(
    scores: Source,
    method: Method = "average",
    *,
    weights: Mapping[str, float] | None = None,
    train_weight: float = TRAIN_WEIGHT,
) -> Scores:
    """Return one score for each block out of the scores of many datasets.

    Args:
        scores: a study, its folder, a folder of result or comparison files; or scores by dataset
            and block, e.g. `{"okvqa": {0: 0.65, 1: 0.14}}`.
        method: over the datasets: average, weighted_avg or median.
        weights: of every dataset, for `weighted_avg` alone; they need not sum to 1.
        train_weight: of the training split where both splits were measured, 0..1.

    Returns:
        `.scores` by block (higher = kept first), `.ranking` with the least important block first.

    Raises:
        DepthpruneError: no scores, datasets that cover different blocks, or weights that do not
            fit.
    """
    return merge_scores(
        _sources(scores), method=method, train_weight=train_weight, dataset_weights=weights
    )


def compare(study: Study | str | Path, threshold: float = THRESHOLD) -> Table:
    """Return how train and validation agree about the blocks, for each dataset that has both.

    The columns: `dataset`, `rho` (Spearman's, -1..1), `p_value`, `consistent` (rho reaches the
    threshold), `least` and `most` (how many of the five least and most important blocks they have
    in common); rho and p_value are None where one side gives every block the same score.

    Args:
        study: a study, its folder, or a folder of result or comparison files.
        threshold: the smallest rho that is called consistent.

    Raises:
        DepthpruneError: no dataset was measured on both splits, or files are damaged.
    """
    rows = [
        (
            one.dataset,
            one.agreement.rho,
            one.agreement.p_value,
            one.consistent,
            len(one.least.common),
            len(one.most.common),
        )
        for one in compare_splits(_sources(study, two_splits=True), threshold=threshold)
    ]
    return Table(("dataset", "rho", "p_value", "consistent", "least", "most"), tuple(rows))


def select(
    scores: Scores | Mapping[int, float] | str | Path,
    num_active_blocks: int,
    *,
    protect: Collection[int] | None = None,
) -> Removal:
    """Return the blocks that go so that so many stay: those with the lowest scores.

    Args:
        scores: from `merge`, `Study.importance`, or a file of scores.
        num_active_blocks: how many stay.
        protect: blocks that stay whatever their score; None keeps the first and the last.

    Raises:
        DepthpruneError: blocks have no score, so many cannot stay, or a protected block does not
            exist.
    """
    num_blocks: int | None = None
    known: Any = scores
    if isinstance(scores, Scores):
        known, num_blocks = scores.scores, scores.num_blocks
    elif isinstance(scores, str | Path):
        found = read_scores(Path(scores))
        known, num_blocks = found.scores, count_blocks(found)
    return select_blocks(known, num_active_blocks, protect, num_blocks=num_blocks)


def _sources(given: Source, *, two_splits: bool = False) -> list[DatasetScores]:
    if isinstance(given, Mapping):
        return [
            DatasetScores(name, (SplitImportance("", dict(scores)),), Path())
            for name, scores in given.items()
        ]
    folder = given.folder if isinstance(given, Study) else Path(given)
    return read_sources(folder, two_splits=two_splits)
