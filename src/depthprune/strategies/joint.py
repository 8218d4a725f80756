"""Joint search: one search over several tasks, told the weighted mean of their drops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from depthprune.base.errors import DepthpruneError
from depthprune.base.naming import option
from depthprune.engine.session import SplitGroup
from depthprune.tasks.task import TaskSplit

OPTION = "task_weights"


def group_splits(
    splits: Sequence[TaskSplit], *, joint: bool, task_weights: Mapping[str, float]
) -> list[SplitGroup]:
    """Return what is searched by itself: every split, or jointly all splits of one name.

    Args:
        splits: of all tasks.
        joint: whether tasks are searched together; train and validation never are.
        task_weights: by task; empty means equal weights. Where a task lacks a split, the weights
            of the others count.

    Raises:
        DepthpruneError: only tasks with weight 0 have a split.
    """
    if not joint:
        return [SplitGroup((split,)) for split in splits]
    by_name: dict[str, list[TaskSplit]] = {}
    for split in splits:
        by_name.setdefault(split.split, []).append(split)
    groups = []
    for name, members in by_name.items():
        shares = [task_weights.get(split.task.name, 0.0) for split in members]
        if task_weights and not sum(shares):
            raise DepthpruneError(
                f"the tasks that have a split {name} all have the weight 0",
                option=OPTION,
                mend="give one of them a positive weight, or leave this split out",
            )
        weights = tuple(share / sum(shares) for share in shares) if task_weights else None
        groups.append(SplitGroup(tuple(members), weights))
    return groups


def check_joint(*, joint: bool) -> None:
    """Refuse weights of tasks where each task has a search of its own.

    Raises:
        DepthpruneError: the search is not joint.
    """
    if not joint:
        raise DepthpruneError(
            "weights of tasks mean something in a joint search only",
            option=OPTION,
            mend=f"add {option('joint')}, or leave the weights out",
        )
