"""The main job: get tasks and model ready, search on every split, write the files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from depthprune.base.errors import DepthpruneError, MissingSplitError, TaskError
from depthprune.base.files import check_can_make
from depthprune.base.log import logger
from depthprune.base.naming import option
from depthprune.base.progress import Progress, progress
from depthprune.base.removal import Removal
from depthprune.engine.evaluator import Evaluator
from depthprune.engine.prompts import prompts_of
from depthprune.strategies.baselines import (
    Sent,
    WeakTask,
    find_weak_tasks,
    judge,
    measure_baselines,
)
from depthprune.strategies.comparison import compared
from depthprune.strategies.complete import Completion, check_best
from depthprune.strategies.groups import (
    complete_groups,
    group_name,
    most_work,
    one_shot_by_key,
    race_group,
    search_group,
    weights_by_key,
)
from depthprune.strategies.how import begin_run, begin_split, how_measured
from depthprune.strategies.joint import SplitGroup, check_joint, check_task_weights, group_splits
from depthprune.strategies.kinds.ablation import Ablation
from depthprune.strategies.kinds.beam import Beam
from depthprune.strategies.kinds.exhaustive import Exhaustive
from depthprune.strategies.model import (
    ModelSource,
    OpenModel,
    open_model,
    prompted_tasks,
)
from depthprune.strategies.options import SearchOptions
from depthprune.strategies.racing import RaceReport, check_race, race_of, without_measured
from depthprune.strategies.runner import RunReport
from depthprune.strategies.space import SearchSpace
from depthprune.strategies.strategy import LimitedStrategy
from depthprune.strategies.warm_start import check_proxy, seeds_of
from depthprune.study import Study
from depthprune.study.views import check_views, write_views
from depthprune.tasks.load import load_split
from depthprune.tasks.options import DataOptions
from depthprune.tasks.task import Task, TaskSplit
from depthprune.tasks.weak import CHANCE, chances

RESULTS = "results"
"""The folder inside a study that holds the documented result files."""


@dataclass(frozen=True)
class SearchRequest:
    """Everything that decides what a search measures.

    Attributes:
        model: the model and how it is run.
        tasks: what it is measured on.
        splits: of each task; every split is searched by itself, `train+validation` is one split.
        folder: of the study.
        search: by which strategy, and over which tasks together.
        num_samples: of each split; None means all.
        seed: chooses the samples, and what an evolutionary search tries.
        allow_weak_baseline: go on where the whole model's answers are no basis for drops.
        data: where the tasks and their data were looked for; only kept.
    """

    model: ModelSource
    tasks: tuple[Task, ...]
    splits: tuple[str, ...]
    folder: Path
    search: SearchOptions = field(default_factory=SearchOptions)
    num_samples: int | None = 1000
    seed: int = 0
    allow_weak_baseline: bool = False
    data: DataOptions = field(default_factory=DataOptions)


@dataclass(frozen=True)
class SearchOutcome:
    """What was searched, and where the results lie.

    Attributes:
        folder: of the study.
        settings: the decoding settings of the measurements.
        splits: keys of the splits in the study, in the order they were searched.
        report: how much was measured, how much was there already.
        files: the result files.
        inadmissible: reasons by block, for blocks that the architecture cannot lose alone.
        search: which strategy, and how far it went.
        weights: of each split in its joint search, by key, with a sum of 1.
        one_shot: by key of a split, the one-shot removals by number of blocks, from 2 on; those of
            a joint search are the same for all its splits.
        completions: by name of a split, that its best combinations are measured everywhere.
        races: what racing did in each search, in their order; none where it was not asked for.
        weak: tasks on which the whole model's answers are no basis for drops, or may be none.
    """

    folder: Path
    settings: str
    splits: tuple[int, ...]
    report: RunReport
    files: tuple[Path, ...]
    inadmissible: dict[int, str]
    search: SearchOptions = field(default_factory=SearchOptions)
    weights: Mapping[int, float] = field(default_factory=dict)
    one_shot: Mapping[int, Mapping[int, Removal]] = field(default_factory=dict)
    completions: Mapping[str, Completion] = field(default_factory=dict)
    races: tuple[RaceReport, ...] = ()
    weak: tuple[WeakTask, ...] = ()


@dataclass(frozen=True)
class ReadySearch:
    """A search whose model and data are loaded, and whose limits fit the model.

    Attributes:
        request: what is asked for.
        splits: of its tasks.
        groups: what is searched by itself.
        model: which several searches may share.
        space: the removals that it may consider.
    """

    request: SearchRequest
    splits: tuple[TaskSplit, ...]
    groups: tuple[SplitGroup, ...]
    model: OpenModel
    space: SearchSpace


def get_ready(requests: Sequence[SearchRequest]) -> list[ReadySearch]:
    """Load what some searches of one model need, the model once; refuse what none can do.

    What can be wrong with folders, data, blocks and limits of any of them is found here, before the
    first measurement of the first of them.

    Raises:
        DepthpruneError: with what is wrong.
    """
    loaded = []
    for request in requests:
        check_request(request)
        check_can_make(request.folder)
        tasks = prompted_tasks(request.model, request.tasks)
        splits = load_splits(tasks, request.splits, request.num_samples, request.seed)
        loaded.append((request, splits, _groups(request, splits)))
    model = open_model(requests[0].model, {t.name: t for r in requests for t in r.tasks}.values())
    return [_ready(*one, model) for one in loaded]


def make_ready(
    request: SearchRequest, splits: Sequence[TaskSplit], model: OpenModel
) -> ReadySearch:
    """Return a search of a model and on samples that are loaded already; see `get_ready`.

    Raises:
        DepthpruneError: with what is wrong.
    """
    check_request(request)
    check_can_make(request.folder)
    return _ready(request, splits, _groups(request, splits), model)


def _groups(request: SearchRequest, splits: Sequence[TaskSplit]) -> list[SplitGroup]:
    weights = check_request(request)
    groups = group_splits(splits, joint=request.search.joint, task_weights=weights)
    if race_of(request.search.strategy) is not None:
        check_race(groups)
    return groups


def _ready(
    request: SearchRequest,
    splits: Sequence[TaskSplit],
    groups: Sequence[SplitGroup],
    model: OpenModel,
) -> ReadySearch:
    space = replace(model.space(request.search.protect), seed=request.seed)
    compared(request.search.strategy).check(space)
    return ReadySearch(request, tuple(splits), tuple(groups), model, space)


def search_model(request: SearchRequest) -> SearchOutcome:
    """Measure all that the strategy asks for, on every split; run again to go on.

    What can be wrong with folder, data and blocks is found before the first measurement.

    Raises:
        DepthpruneError: with what is wrong; measurements that were finished are kept.
    """
    (ready,) = get_ready([request])
    return run_search(ready)


def run_search(ready: ReadySearch, to_check: Sequence[ReadySearch] | None = None) -> SearchOutcome:
    """Measure all that the strategy asks for, on every split; run again to go on.

    The result files are written also when the search is interrupted.

    Args:
        ready: the search.
        to_check: searches of the same study and model whose baselines are measured and checked
            before the first removal: this one's where not given.

    Raises:
        WeakBaselineError: the whole model's answers are no basis for drops, and that is not
            allowed; the baselines are kept.
        DepthpruneError: with what is wrong; measurements that were finished are kept.
    """
    request, model, space, groups = ready.request, ready.model, ready.space, ready.groups
    search, strategy = request.search, compared(request.search.strategy)
    race_options = race_of(search.strategy)
    with progress("measuring", sum(most_work(strategy, space, one) for one in groups)) as bar:
        evaluator = model.evaluator(bar)
        with Study.open(request.folder, model=model.record) as study:
            begin_run(
                study,
                how_measured(
                    *(model, request.tasks, request.splits),
                    *(request.num_samples, request.seed, request.data),
                )
                | {CHANCE: chances(ready.splits)},
            )
            keys = tuple(
                begin_split(study, model, split, evaluator.settings) for split in ready.splits
            )
            check_views(
                study, request.folder / RESULTS, [(key, evaluator.settings) for key in keys]
            )
            searches = [ready] if to_check is None else to_check
            held = _held(study, keys, evaluator.settings)
            report = measure_all_baselines(searches, study, evaluator, bar)
            # What was measured for the check is there already when the search looks for it; what
            # later searches will look for, on other splits, is not.
            report = replace(report, reused=held - _held(study, keys, evaluator.settings))
            check_baselines(searches, study, evaluator.settings)
            weak = find_weak_tasks(study, ready.splits, evaluator.settings, _sent(ready))
            one_shot: dict[int, dict[int, Removal]] = {}
            completions: dict[str, Completion] = {}
            races: list[RaceReport] = []
            try:
                for number, group in enumerate(groups, start=1):
                    bar.describe(f"{group_name(group)} ({number} of {len(groups)})")
                    proposed = _proposed(ready, group, evaluator.settings, bar)
                    seeded = replace(space, proposed=proposed)
                    bar.grow(most_work(strategy, seeded, group) - most_work(strategy, space, group))
                    stopped: Iterable[Removal] = ()
                    if race_options is None:
                        report += search_group(strategy, seeded, study, group, evaluator, bar)
                    else:
                        found, race = race_group(
                            *(strategy, seeded, study, group, evaluator, bar),
                            *(race_options, request.seed),
                        )
                        report += found
                        races.append(race)
                        stopped = race.stopped
                    settings = evaluator.settings
                    one_shot |= one_shot_by_key(strategy, seeded, study, group, settings, stopped)
                if request.search.complete:
                    completions = complete_groups(
                        request.search.complete, study, ready.splits, evaluator, bar
                    )
                    report = sum((one.report for one in completions.values()), start=report)
                    races = [
                        without_measured(race, study, group, evaluator.settings)
                        for race, group in zip(races, groups, strict=False)
                    ]
            except BaseException:
                # What stopped the search is what the user must hear of, not that files failed too.
                with suppress(DepthpruneError):
                    write_results(study, request.search, space, keys, evaluator.settings)
                raise
            files = write_results(study, request.search, space, keys, evaluator.settings)
            shares = weights_by_key(study, groups)
    return SearchOutcome(
        folder=request.folder,
        settings=evaluator.settings,
        splits=keys,
        report=report,
        files=tuple(files),
        inadmissible=model.inadmissible(),
        search=request.search,
        weights=shares,
        one_shot=one_shot,
        completions=completions,
        races=tuple(races),
        weak=tuple(weak),
    )


def measure_all_baselines(
    searches: Sequence[ReadySearch], study: Study, evaluator: Evaluator, bar: Progress
) -> RunReport:
    """Measure the whole model on every split of some searches."""
    report = RunReport(0, 0, 0.0)
    for one in searches:
        race, seed = race_of(one.request.search.strategy), one.request.seed
        report += measure_baselines(study, one.groups, evaluator, race, seed, bar)
    return report


def check_baselines(searches: Sequence[ReadySearch], study: Study, settings: str) -> None:
    """Stop where the whole model's answers are no basis for drops, unless that is allowed.

    Raises:
        WeakBaselineError: names all such tasks of all these searches.
    """
    splits = {(one.task.name, one.fingerprint): one for each in searches for one in each.splits}
    if splits:
        weak = find_weak_tasks(study, list(splits.values()), settings, _sent(searches[0]))
        allow = all(each.request.allow_weak_baseline for each in searches)
        judge(weak, {one.task.name for one in splits.values()}, study.folder, allow=allow)


def _held(study: Study, keys: Sequence[int], settings: str) -> int:
    """Return how many measurements of these splits the study holds."""
    return sum(len(study.drops(key, settings)) for key in keys)


def _sent(ready: ReadySearch) -> Sent:
    loaded = ready.model.loaded
    return lambda task, sample: prompts_of(loaded.processor, task, [sample], loaded.prompt)[0][0]


def check_request(request: SearchRequest) -> dict[str, float]:
    """Find what cannot be meant, before anything is loaded; return the weights of the tasks.

    Returns:
        Weights by task with a sum of 1, empty where none were given.

    Raises:
        DepthpruneError: weights without a joint search or that do not fit the tasks, a proxy that
            does not exist or proposes to nobody, a negative number of combinations.
    """
    check_best(request.search.complete)
    if request.search.warm_start is not None:
        if isinstance(request.search.strategy, Ablation | Exhaustive):
            raise DepthpruneError(
                f"the strategy {request.search.strategy.name} measures everything: "
                "nothing need be proposed first",
                option="warm_start",
                mend="leave it out, or choose the strategy beam, greedy or evolutionary",
            )
        check_proxy(request.search.warm_start)
    if not request.search.task_weights:
        return {}
    check_joint(joint=request.search.joint)
    return check_task_weights(request.search.task_weights, [task.name for task in request.tasks])


def _proposed(
    ready: ReadySearch, group: SplitGroup, settings: str, bar: Progress
) -> tuple[Removal, ...]:
    """Return what the proxy that was asked for proposes for these splits."""
    request, model, strategy = ready.request, ready.model, ready.request.search.strategy
    if request.search.warm_start is None:
        return ()

    def advance(amount: float) -> None:
        # How many passes a proxy makes is its own business: what is done was needed.
        bar.grow(amount)
        bar.advance(amount)

    return seeds_of(
        request.search.warm_start,
        model.loaded,
        group,
        ready.space,
        strategy.most_removed(ready.space),
        request.folder,
        model.record,
        settings,
        part=request.model.stack,
        batch_size=request.model.batch_size or "auto",
        on_batch=advance,
    )


def write_results(
    study: Study, search: SearchOptions, space: SearchSpace, splits: Sequence[int], settings: str
) -> list[Path]:
    """Write the documented result files of some splits into the study's folder."""
    strategy, most = search.strategy, None
    if isinstance(strategy, LimitedStrategy):
        limited = strategy.max_removed is not None or strategy.max_drop is None
        most = strategy.most_removed(space) if limited else None
    return write_views(
        study,
        study.folder / RESULTS,
        beam_width=strategy.width if isinstance(strategy, Beam) else None,
        max_blocks_to_remove=most,
        selection=[(key, settings) for key in splits if study.drops(key, settings)],
    )


def load_splits(
    tasks: Sequence[Task], splits: Sequence[str], num_samples: int | None, seed: int
) -> list[TaskSplit]:
    """Return every split of every task that is there; a missing one is a warning that names it.

    Raises:
        TaskError: none is there, or data cannot be used.
    """
    loaded: dict[tuple[str, str, str], TaskSplit] = {}
    missing: list[MissingSplitError] = []
    for task in tasks:
        for name in splits:
            try:
                split = load_split(task, name, num_samples, seed)
            except MissingSplitError as error:
                missing.append(error)
            else:
                # Two spellings of one split, such as validation+train, are one split.
                loaded[task.name, split.split, split.fingerprint] = split
    if not loaded:
        raise (
            missing[0]
            if missing
            else TaskError("no task was named", mend=f"name one by {option('tasks')}")
        )
    for absent in missing:
        logger.warning("%s; going on without it", absent.what)
    return list(loaded.values())
