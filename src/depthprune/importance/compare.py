"""Do two sets of importance scores order the blocks alike? Of two splits, or proxy and drops."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from depthprune.base.errors import DepthpruneError, option
from depthprune.base.language import counted
from depthprune.base.removal import Removal, single_blocks
from depthprune.importance.score_files import comparable, least_important_first
from depthprune.importance.sources import DatasetScores, SplitImportance
from depthprune.study import StudyStore
from depthprune.tasks.task import TaskSplit

THRESHOLD = 0.9
TOP_K = 5
MAX_SHIFT = 2


@dataclass(frozen=True)
class RankAgreement:
    """Spearman's rho between two orders of the same blocks; NaN-free.

    Attributes:
        rho: from -1 to 1; None where one side gives every block the same score.
        p_value: two-sided; None where rho is.
    """

    rho: float | None
    p_value: float | None


@dataclass(frozen=True)
class BlockRanks:
    """Where one block stands in the two orders.

    Attributes:
        block: its index.
        scores: on the first and the second split.
        ranks: 1 is the least important block; equal scores share their mean rank.
    """

    block: int
    scores: tuple[float, float]
    ranks: tuple[float, float]

    @property
    def shift(self) -> float:
        """Rank on the second split minus rank on the first."""
        return self.ranks[1] - self.ranks[0]


@dataclass(frozen=True)
class Overlap:
    """Blocks at one end of the two orders: in common, and on one side only; ascending."""

    common: tuple[int, ...]
    first_only: tuple[int, ...]
    second_only: tuple[int, ...]


@dataclass(frozen=True)
class SplitComparison:
    """How two splits of one dataset agree about the importance of the blocks.

    Attributes:
        dataset: with underscores.
        splits: the first (train) and the second (held out).
        agreement: Spearman's rho and its p-value.
        consistent: whether rho reaches the threshold; None where there is no rho.
        top_k: how many blocks count as the least, and as the most important ones.
        least: the `top_k` least important blocks of both.
        most: the `top_k` most important blocks of both.
        blocks: every block, ascending.
        disagreeing: those whose rank differs by more than `max_shift` places, the largest first.
        max_shift: see there.
    """

    dataset: str
    splits: tuple[SplitImportance, SplitImportance]
    agreement: RankAgreement
    consistent: bool | None
    top_k: int
    least: Overlap
    most: Overlap
    blocks: tuple[BlockRanks, ...]
    disagreeing: tuple[BlockRanks, ...]
    max_shift: float


def rank_agreement(first: Mapping[int, float], second: Mapping[int, float]) -> RankAgreement:
    """Return Spearman's rank correlation of two score sets, by block (Spearman, 1904).

    Equal scores share their mean rank; rounding noise does not make scores different.

    Raises:
        DepthpruneError: the two cover different blocks, or fewer than three.
    """
    if first.keys() != second.keys():
        differing = sorted(first.keys() ^ second.keys())
        raise DepthpruneError(
            f"the scores cover different blocks: {differing[:8]} are in one only",
            mend="compare scores of the same model, with every block measured on both splits",
        )
    if len(first) < 3:
        raise DepthpruneError(
            f"{counted(len(first), 'block is', 'blocks are')} too few to compare two orders"
        )
    blocks = sorted(first)
    values = (comparable(scores) for scores in (first, second))
    left, right = ([scores[block] for block in blocks] for scores in values)
    if len(set(left)) == 1 or len(set(right)) == 1:
        return RankAgreement(None, None)
    rho = float(np.corrcoef(mean_ranks(left), mean_ranks(right))[0, 1])
    return RankAgreement(rho, _chance_of(rho, len(blocks)))


def mean_ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Return the rank of each value from 1; equal ones share the mean of their ranks."""
    _, places, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks


def ranks_of(scores: Mapping[int, float]) -> dict[int, float]:
    """Return the rank of each block from 1, the least important first, see `mean_ranks`."""
    return dict(zip(scores, mean_ranks(list(scores.values())).tolist(), strict=True))


def _chance_of(rho: float, count: int) -> float:
    """Return the two-sided p-value of a rank correlation: Student's t with `count - 2` degrees."""
    from scipy.special import stdtr  # scipy.stats does the same, and takes a second to import

    free = count - 2
    with np.errstate(divide="ignore"):
        t = rho * np.sqrt(free / np.maximum((1 + rho) * (1 - rho), 0.0))
    return float(2 * stdtr(free, -abs(t)))


def compare_splits(
    datasets: Sequence[DatasetScores],
    *,
    threshold: float = THRESHOLD,
    top_k: int = TOP_K,
    max_shift: float = MAX_SHIFT,
) -> list[SplitComparison]:
    """Compare the two splits of each dataset; a dataset with one split is left out.

    The orders disagree about a block whose rank differs by more than `max_shift` places.

    Args:
        datasets: with their splits.
        threshold: the smallest rho at which two orders are called consistent.
        top_k: how many of the least and of the most important blocks are held against each other;
            at most as many as there are.
        max_shift: places that a rank may differ.

    Raises:
        DepthpruneError: no dataset has two splits, the splits of one cover different blocks, or an
            option is out of range.
    """
    if not -1 <= threshold <= 1:
        raise DepthpruneError(
            f"a rank correlation cannot be {threshold}",
            option="threshold",
            mend="give a number from -1 to 1",
        )
    if top_k < 1:
        raise DepthpruneError(
            f"{counted(top_k, 'block')} cannot be compared", option="top_k", mend="give 1 or more"
        )
    if math.isnan(max_shift) or max_shift < 0:
        raise DepthpruneError(
            f"ranks cannot differ by {max_shift}", option="max_shift", mend="give 0 or more"
        )
    found = [
        _comparison(one.dataset, one.splits, threshold, top_k, max_shift)
        for one in datasets
        if len(one.splits) == 2
    ]
    if not found:
        names = ", ".join(f"{one.dataset} ({one.splits[0].split})" for one in datasets)
        raise DepthpruneError(
            f"no dataset was measured on two splits: {names}",
            mend=f"measure both: depthprune profile MODEL {option('splits', 'train validation')}",
        )
    return found


def _comparison(
    dataset: str,
    splits: tuple[SplitImportance, SplitImportance],
    threshold: float,
    top_k: int,
    max_shift: float,
) -> SplitComparison:
    first, second = (one.scores for one in splits)
    try:
        agreement = rank_agreement(first, second)
    except DepthpruneError as error:
        names = " and ".join(one.split for one in splits)
        raise DepthpruneError(error.what, where=f"{dataset}, {names}", mend=error.mend) from error
    top_k = min(top_k, len(first))
    orders = [least_important_first(scores) for scores in (first, second)]
    ranks = [ranks_of(comparable(scores)) for scores in (first, second)]
    blocks = tuple(
        BlockRanks(block, (first[block], second[block]), (ranks[0][block], ranks[1][block]))
        for block in sorted(first)
    )
    moved = [one for one in blocks if abs(one.shift) > max_shift]
    rho = agreement.rho
    return SplitComparison(
        dataset=dataset,
        splits=splits,
        agreement=agreement,
        # Rounded: the sum behind a rho of exactly 0.9 may end a digit below it.
        consistent=None if rho is None else round(rho, 12) >= threshold,
        top_k=top_k,
        least=_overlap(*(set(order[:top_k]) for order in orders)),
        most=_overlap(*(set(order[-top_k:]) for order in orders)),
        blocks=blocks,
        disagreeing=tuple(sorted(moved, key=lambda one: (-abs(one.shift), one.block))),
        max_shift=max_shift,
    )


def _overlap(first: set[int], second: set[int]) -> Overlap:
    common, ours, theirs = (
        tuple(sorted(blocks)) for blocks in (first & second, first - second, second - first)
    )
    return Overlap(common, ours, theirs)


FIRST_BLOCKS = 4
"""Of how many least important blocks it is counted how many a proxy finds."""


@dataclass(frozen=True)
class MeasuredDrops:
    """What a study holds about one split of a task.

    Attributes:
        drops: by removal, as fractions; the baseline is not among them.
        num_samples: behind each drop; 0 when unknown (imported results).
        settings: the decoding settings they were measured under.
        same_samples: whether the proxies read the very samples that were measured.
    """

    drops: Mapping[Removal, float]
    num_samples: int
    settings: str
    same_samples: bool

    @property
    def single(self) -> dict[int, float]:
        """The drop of every single block that was measured."""
        return single_blocks(self.drops)


@dataclass(frozen=True)
class ProxyAgreement:
    """How alike a proxy and the measured drops order the blocks.

    Attributes:
        rank: Spearman's rho and its p-value.
        num_blocks: how many blocks have both a score and a drop.
        first: how many blocks count as least important.
        found: how many of the proxy's `first` least important blocks have a measured drop that is
            no larger than the `first` smallest ones; equal drops count as equally small.
    """

    rank: RankAgreement
    num_blocks: int
    first: int
    found: int


def measured_drops(study: StudyStore, split: TaskSplit, settings: str) -> MeasuredDrops | None:
    """Return the drops on a split of the same task and name; None if fewer than three blocks' are.

    Of several the study may hold: those of the same samples, then of the same settings, then of the
    most blocks, then of the most samples.
    """
    candidates = []
    for stored in study.splits():
        if (stored.record.task, stored.record.split) != (split.task.name, split.split):
            continue
        for each in stored.settings:
            drops = {removal: d for removal, d in study.drops(stored.key, each).items() if removal}
            same = stored.record.fingerprint == split.fingerprint
            candidates.append(MeasuredDrops(drops, len(stored.record.sample_ids), each, same))
    fitting = [one for one in candidates if len(one.single) >= 3]
    return max(
        fitting,
        key=lambda one: (
            one.same_samples,
            one.settings == settings,
            len(one.single),
            one.num_samples,
        ),
        default=None,
    )


def agreement_with_drops(
    scores: Mapping[int, float], drops: Mapping[int, float], first: int = FIRST_BLOCKS
) -> ProxyAgreement | None:
    """Return how well scores of blocks predict their drops; None with fewer than three in common.

    Args:
        scores: of a proxy, by block.
        drops: measured, by block.
        first: how many blocks count as least important; fewer where there are not twice as many.
    """
    shared = sorted(scores.keys() & drops.keys())
    if len(shared) < 3:
        return None
    scores, drops = ({block: side[block] for block in shared} for side in (scores, drops))
    first = min(first, len(shared) // 2)
    small = comparable(drops)
    limit = sorted(small.values())[first - 1]
    chosen = least_important_first(scores)[:first]
    return ProxyAgreement(
        rank_agreement(scores, drops),
        len(shared),
        first,
        sum(small[block] <= limit for block in chosen),
    )


def best_runs(runs: Mapping[Removal, float], longest: int) -> dict[int, Removal]:
    """Return the run of consecutive blocks with the lowest score, by its length from 1."""
    lengths = sorted({len(run) for run in runs if len(run) <= longest})
    return {
        length: min((run for run in runs if len(run) == length), key=lambda run: (runs[run], run))
        for length in lengths
    }
