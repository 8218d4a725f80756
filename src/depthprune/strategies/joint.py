"""Joint search: one search over several tasks, told the weighted mean of their drops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

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


def parse_task_weights(given: Sequence[str], tasks: Sequence[str]) -> dict[str, float]:
    """Read weights as users write them: `okvqa=2 doc_qa=1`, or `2 1` in the order of the tasks.

    Hyphens and underscores in names are the same.

    Raises:
        DepthpruneError: see `check_task_weights`; or a weight is no number.
    """
    entries = [entry for text in given for entry in text.split(",") if entry]
    named = [entry.rpartition("=") for entry in entries]
    if any(equals for _, equals, _ in named):
        nameless = [
            entry for entry, (_, equals, _) in zip(entries, named, strict=True) if not equals
        ]
        if nameless:
            raise DepthpruneError(
                f"{nameless[0]!r} names no task, but other weights do",
                option=OPTION,
                mend="write okvqa=2 doc_qa=1, or the numbers alone in the order of the tasks",
            )
        names = [name if name in tasks else name.replace("-", "_") for name, _, _ in named]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DepthpruneError(
                f"{twice[0]} has more than one weight", option=OPTION, mend="give each task one"
            )
    elif len(entries) != len(tasks):
        raise DepthpruneError(
            f"{len(entries)} weights for {len(tasks)} tasks",
            option=OPTION,
            mend=f"give one for each of {', '.join(tasks)}, in this order",
        )
    else:
        names = list(tasks)
    weights = dict(zip(names, (_number(text) for *_, text in named), strict=True))
    return check_task_weights(weights, tasks)


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


def check_task_weights(weights: Mapping[str, float], tasks: Sequence[str]) -> dict[str, float]:
    """Return the weights in the order of the tasks, with a sum of 1.

    Raises:
        DepthpruneError: a task has no weight, a weight has no task, or a weight is negative or not
            finite, or all are zero.
    """
    strange = sorted(weights.keys() - set(tasks))
    if strange:
        raise DepthpruneError(
            f"{strange[0]} has a weight, but is not among the tasks",
            option=OPTION,
            mend=f"the tasks are {', '.join(tasks)}",
        )
    absent = [task for task in tasks if task not in weights]
    if absent:
        raise DepthpruneError(
            f"{absent[0]} has no weight", option=OPTION, mend="give each task one; 0 is allowed"
        )
    for task, weight in weights.items():
        if not isfinite(weight) or weight < 0:
            raise DepthpruneError(
                f"{weight} cannot be the weight of {task}",
                option=OPTION,
                mend="weights are 0 or positive numbers",
            )
    total = sum(weights.values())
    if not total:
        raise DepthpruneError(
            "all tasks have the weight 0", option=OPTION, mend="give one of them a positive weight"
        )
    return {task: weights[task] / total for task in tasks}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise DepthpruneError(
            f"{text!r} is not a number",
            option=OPTION,
            mend="write okvqa=2 doc_qa=1, or the numbers alone in the order of the tasks",
        ) from error
