"""How well a proxy foretells the measured drops of single blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from depthprune.base.removal import Removal
from depthprune.importance.compare import RankAgreement, rank_agreement
from depthprune.importance.order import comparable, least_important_first
from depthprune.study import Study
from depthprune.tasks.task import TaskSplit

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
        return {removal[0]: drop for removal, drop in self.drops.items() if len(removal) == 1}


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


def measured_drops(study: Study, split: TaskSplit, settings: str) -> MeasuredDrops | None:
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
    """Return how well scores of blocks foretell their drops; None with fewer than three in common.

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
