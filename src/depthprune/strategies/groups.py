"""Searching group after group, each one split or the splits of several tasks jointly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from depthprune.base.progress import Progress
from depthprune.base.removal import Removal
from depthprune.engine.evaluator import Evaluator
from depthprune.strategies.comparison import Compared
from depthprune.strategies.complete import Completion, complete
from depthprune.strategies.joint import SplitGroup, group_splits, mean_drops
from depthprune.strategies.kinds.beam import RaceOptions
from depthprune.strategies.racing import RaceReport, run_racing
from depthprune.strategies.runner import RunReport, run_jointly, split_record
from depthprune.strategies.space import SearchSpace
from depthprune.strategies.strategy import STOPPED, Strategy
from depthprune.study import Study
from depthprune.tasks.task import TaskSplit


def search_group(
    strategy: Strategy,
    space: SearchSpace,
    study: Study,
    group: SplitGroup,
    evaluator: Evaluator,
    bar: Progress,
) -> RunReport:
    """Search one group of splits, and keep the bar right about what is still ahead."""
    work = most_work(strategy, space, group)
    before = _held(study, group, evaluator.settings)
    # What is measured already takes no time: it must not count as work that is still ahead.
    ahead = max(0, work - before)
    bar.shrink(work - ahead)
    report = run_jointly(strategy, space, study, group.splits, evaluator, group.weights)
    bar.shrink(max(0, ahead - (_held(study, group, evaluator.settings) - before)))
    return report


def race_group(
    strategy: Strategy,
    space: SearchSpace,
    study: Study,
    group: SplitGroup,
    evaluator: Evaluator,
    bar: Progress,
    options: RaceOptions,
    seed: int,
) -> tuple[RunReport, RaceReport]:
    """Search one group of splits by a beam whose candidates race; see `search_group`."""
    assert isinstance(strategy, Compared)
    work = most_work(strategy, space, group)
    ahead = max(0, work - _held(study, group, evaluator.settings))
    bar.shrink(work - ahead)
    report, race = run_racing(strategy, space, study, group, evaluator, options, seed)
    bar.shrink(max(0, ahead - race.evaluated))
    return report, race


def complete_groups(
    best: int, study: Study, splits: Sequence[TaskSplit], evaluator: Evaluator, bar: Progress
) -> dict[str, Completion]:
    """Complete the best combinations of each split's name, see `complete`."""
    completions = {}
    for group in group_splits(splits, joint=True, task_weights={}):
        name = group.splits[0].split
        bar.describe(f"best combinations on every dataset, {name}")
        completions[name] = complete(study, group.splits, evaluator, best, before=bar.grow)
    return completions


def one_shot_by_key(
    strategy: Strategy,
    space: SearchSpace,
    study: Study,
    group: SplitGroup,
    settings: str,
    stopped: Iterable[Removal] = (),
) -> dict[int, dict[int, Removal]]:
    """Return the one-shot removals of each split, by its key; for what the search gained.

    `stopped` are those candidates that a race stopped: the search went on without their drops.
    """
    if not isinstance(strategy, Compared):
        return {}
    keys = [study.add_split(split_record(split)) for split in group.splits]
    drops = mean_drops([study.drops(key, settings) for key in keys], group.weights)
    return dict.fromkeys(keys, strategy.one_shot(space, dict.fromkeys(stopped, STOPPED) | drops))


def weights_by_key(study: Study, groups: Sequence[SplitGroup]) -> dict[int, float]:
    """Return the weight of each split in its joint search, by its key in the study."""
    return {
        study.add_split(split_record(split)): weight
        for group in groups
        if len(group.splits) > 1 or group.weights
        for split, weight in zip(
            group.splits,
            group.weights or [1 / len(group.splits)] * len(group.splits),
            strict=True,
        )
    }


def most_work(strategy: Strategy, space: SearchSpace, group: SplitGroup) -> int:
    """Return how many answers a search takes at most, the baseline included; 0 when unknown."""
    most = strategy.most_evaluations(space)
    return (most + 1) * group.num_samples if most else 0


def _held(study: Study, group: SplitGroup, settings: str) -> int:
    """Return how many answers the study holds already."""
    keys = [study.add_split(split_record(split)) for split in group.splits]
    return sum(
        len(study.drops(key, settings)) * len(split.samples)
        for key, split in zip(keys, group.splits, strict=True)
    )


def group_name(group: SplitGroup) -> str:
    first = group.splits[0]
    tasks = first.task.name if len(group.splits) == 1 else f"{len(group.splits)} tasks jointly"
    return f"{tasks}, {first.split}"
