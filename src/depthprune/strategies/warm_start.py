"""Warm start: a proxy, one pass over the samples, proposes the removals to measure first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import mul
from typing import Any

from depthprune.base.errors import DepthpruneError, option
from depthprune.base.files import is_number
from depthprune.base.removal import Removal
from depthprune.engine.session import Session, SplitGroup
from depthprune.importance.compare import best_runs, ranks_of
from depthprune.importance.proxies import (
    PROXIES,
    ProxyScores,
    kept_proxy,
    proxy_scores,
    write_proxy,
)
from depthprune.strategies.model import OpenModel
from depthprune.strategies.one_shot import taken_together
from depthprune.strategies.strategy import SearchSpace
from depthprune.tasks.task import TaskSplit


def proposals(
    scores: Mapping[int, float],
    runs: Mapping[Removal, float],
    space: SearchSpace,
    max_removed: int,
) -> tuple[Removal, ...]:
    """Return what a proxy would remove: for each number, its least important blocks together.

    Where it scores runs of consecutive blocks, the best run of each number follows. Equal scores
    are ordered by block indices. What the space does not admit is not proposed: the next best
    block or run is.

    Args:
        scores: by block; higher = more important.
        runs: by run of blocks; higher = more important; may be empty.
        space: the removals that may be considered.
        max_removed: the largest number of blocks removed.

    Raises:
        DepthpruneError: a score is not finite.
    """
    _check(scores, runs)
    ranked = sorted(scores, key=lambda block: (scores[block], block))
    proposed = list(taken_together(ranked, space, max_removed))
    fitting = {run: score for run, score in runs.items() if space.admits(run)}
    proposed += best_runs(fitting, max_removed).values()
    return tuple(sorted(dict.fromkeys(proposed), key=len))


def mean_scores(
    found: Sequence[ProxyScores], weights: Sequence[float] | None = None
) -> ProxyScores:
    """Return what a proxy says about several tasks together, for a joint search.

    Blocks get their mean rank, because the scores of a proxy may be of other size on each task;
    runs get their mean score.
    """
    if len(found) == 1:
        return found[0]
    shares = [1.0] * len(found) if weights is None else list(weights)
    total = sum(shares)

    def mean(tables: Sequence[Mapping[Any, float]]) -> dict[Any, float]:
        shared = (key for key in tables[0] if all(key in table for table in tables))
        return {
            key: sum(map(mul, shares, (table[key] for table in tables))) / total for key in shared
        }

    return ProxyScores(
        name=found[0].name,
        scores=mean([ranks_of(one.scores) for one in found]),
        runs=mean([one.runs for one in found]),
        num_samples=sum(one.num_samples for one in found),
        num_tokens=sum(one.num_tokens for one in found),
    )


def proposed_by(
    name: str, model: OpenModel, session: Session, group: SplitGroup, space: SearchSpace, most: int
) -> tuple[Removal, ...]:
    """Return what a proxy proposes for splits that are searched together.

    Args:
        name: of the proxy.
        model: that it looks at.
        session: of the study, which keeps what a proxy found, so that it is computed once.
        group: the splits whose samples it reads.
        space: the removals that may be considered.
        most: the largest number of blocks removed.

    Raises:
        DepthpruneError: see `proxy_scores`; or a score is not finite.
    """
    folder, settings, name = session.study.folder, session.settings, PROXIES.find(name).name

    def advance(amount: float) -> None:
        # How many passes a proxy makes is its own business: what is done was needed.
        session.bar.grow(amount)
        session.bar.advance(amount)

    def scores(split: TaskSplit) -> ProxyScores:
        kept = kept_proxy(folder, name, split, model.record, settings)
        if kept is not None:
            return kept
        options = model.options
        found = proxy_scores(
            *(name, model.with_weights().loaded, split),
            part=options.stack,
            batch_size=options.batch_size or "auto",
            on_batch=advance,
        )
        _check(found.scores, found.runs)
        write_proxy(folder, found, split, model.record, settings)
        return found

    found = mean_scores([scores(split) for split in group.splits], group.weights)
    return proposals(found.scores, found.runs, space, most)


def _check(scores: Mapping[int, float], runs: Mapping[Removal, float]) -> None:
    for name, score in [*scores.items(), *runs.items()]:
        if not is_number(score):
            raise DepthpruneError(
                f"the proxy's score of {name} is not a finite number",
                option="warm_start",
                mend=f"try {option('dtype', 'float32')}, or another proxy",
            )
