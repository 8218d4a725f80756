"""Warm start: a proxy, one pass over the samples, proposes the removals to measure first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import mul
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from depthprune.base.errors import DepthpruneError, FileError
from depthprune.base.files import is_number, read_json, write_json
from depthprune.base.removal import Removal, format_removal, parse_removal
from depthprune.search.joint import SplitGroup
from depthprune.search.space import SearchSpace

if TYPE_CHECKING:
    from depthprune.blocks.models import LoadedModel
    from depthprune.tasks.task import TaskSplit

PROXIES_FOLDER = "proxies"
"""The folder inside a study that keeps what proxies said, so that they are computed once."""


@dataclass(frozen=True)
class Estimate:
    """What a proxy says about one split.

    Attributes:
        scores: by block; higher = more important.
        runs: the same for runs of consecutive blocks, where the proxy scores them.
    """

    scores: Mapping[int, float]
    runs: Mapping[Removal, float]


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
    proposed: dict[Removal, None] = {}
    together: Removal = ()
    for block in sorted(scores, key=lambda block: (scores[block], block)):
        larger = tuple(sorted((*together, block)))
        if len(together) < max_removed and space.admits(larger):
            together = larger
            proposed[together] = None
    for number in range(1, max_removed + 1):
        fitting = [run for run in runs if len(run) == number and space.admits(run)]
        if fitting:
            proposed[min(fitting, key=lambda run: (runs[run], run))] = None
    return tuple(sorted(proposed, key=len))


def mean_estimate(
    estimates: Sequence[Estimate], weights: Sequence[float] | None = None
) -> Estimate:
    """Return one estimate for several tasks, for a joint search.

    Blocks get their mean rank, because the scores of a proxy may be of other size on each task;
    runs get their mean score.
    """
    if len(estimates) == 1:
        return estimates[0]
    shares = [1.0] * len(estimates) if weights is None else list(weights)
    total = sum(shares)

    def mean(tables: Sequence[Mapping[Any, float]]) -> dict[Any, float]:
        shared = (key for key in tables[0] if all(key in table for table in tables))
        return {
            key: sum(map(mul, shares, (table[key] for table in tables))) / total for key in shared
        }

    return Estimate(
        scores=mean([_ranks(estimate.scores) for estimate in estimates]),
        runs=mean([estimate.runs for estimate in estimates]),
    )


def check_proxy(name: str) -> None:
    """Refuse a proxy that does not exist.

    Raises:
        DepthpruneError: names those that do.
    """
    from depthprune.importance.proxies import PROXIES

    if name not in PROXIES:
        raise DepthpruneError(
            f"there is no proxy {name!r}",
            where="--warm-start",
            mend=f"choose one of {', '.join(sorted(PROXIES))}",
        )


def seeds_of(
    name: str,
    loaded: LoadedModel,
    group: SplitGroup,
    space: SearchSpace,
    max_removed: int,
    folder: Path,
    settings: str,
    *,
    part: str = "text",
    batch_size: int | Literal["auto"] = "auto",
    on_batch: Callable[[float], None] | None = None,
) -> tuple[Removal, ...]:
    """Return what a proxy proposes for splits that are searched together; see `estimate`."""
    estimates = [
        estimate(
            name,
            loaded,
            split,
            folder,
            settings,
            part=part,
            batch_size=batch_size,
            on_batch=on_batch,
        )
        for split in group.splits
    ]
    found = mean_estimate(estimates, group.weights)
    return proposals(found.scores, found.runs, space, max_removed)


def estimate(
    name: str,
    loaded: LoadedModel,
    split: TaskSplit,
    folder: Path,
    settings: str,
    *,
    part: str = "text",
    batch_size: int | Literal["auto"] = "auto",
    on_batch: Callable[[float], None] | None = None,
) -> Estimate:
    """Return what a proxy says about a split: what the study's folder keeps, or computed now.

    Args:
        name: of the proxy.
        loaded: the model that the study in `folder` is about.
        split: whose samples it reads.
        folder: of the study.
        settings: of the evaluator: what is kept holds for one dtype only.
        part: the stack that blocks are removed from.
        batch_size: samples at once.
        on_batch: called after every batch with the number of its samples.
    """
    key = {
        "model": loaded.fingerprint,
        "part": part,
        "task": split.fingerprint,
        "settings": settings,
    }
    file = f"{split.split}-{split.fingerprint[:8]}.json"
    path = folder / PROXIES_FOLDER / name / split.task.folder / file
    kept = _read(path, key)
    if kept is not None:
        return kept
    from depthprune.importance.proxies import proxy_scores

    found = proxy_scores(name, loaded, split, part=part, batch_size=batch_size, on_batch=on_batch)
    result = Estimate(dict(found.scores), dict(found.runs or {}))
    _check(result.scores, result.runs)
    write_json(
        path,
        key
        | {"proxy": name, "scores": {str(block): score for block, score in result.scores.items()}}
        | {"runs": {format_removal(run): score for run, score in result.runs.items()}},
    )
    return result


def _read(path: Path, key: Mapping[str, str]) -> Estimate | None:
    """Return what is kept for this model, task and dtype; a file that is spoiled holds nothing."""
    try:
        value = read_json(path)
        if any(value[name] != wanted for name, wanted in key.items()):
            return None
        scores = {int(block): float(score) for block, score in value["scores"].items()}
        runs = {parse_removal(run): float(score) for run, score in value["runs"].items()}
    except (FileError, KeyError, TypeError, ValueError, AttributeError, DepthpruneError):
        return None
    return Estimate(scores, runs)


def _check(scores: Mapping[int, float], runs: Mapping[Removal, float]) -> None:
    for name, score in [*scores.items(), *runs.items()]:
        if not is_number(score):
            raise DepthpruneError(
                f"the proxy's score of {name} is not a finite number",
                where="--warm-start",
                mend="try --dtype float32, or another proxy",
            )


def _ranks(scores: Mapping[int, float]) -> dict[int, float]:
    """Return ranks from 1, the least important first; equal scores share their mean rank."""
    ordered = sorted(scores.values())
    return {
        block: ordered.index(score) + (ordered.count(score) + 1) / 2
        for block, score in scores.items()
    }
