"""The main job: get tasks and model ready, search on every split, write the files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from depthprune.base.errors import DepthpruneError, MissingSplitError, Problems, TaskError, option
from depthprune.base.files import check_can_make
from depthprune.base.log import logger
from depthprune.base.progress import progress
from depthprune.base.removal import Removal
from depthprune.base.weights import check_weights, shares_of
from depthprune.engine.chat import refuse_pictures
from depthprune.engine.sent import prompts_of
from depthprune.engine.session import Session, SplitGroup, mean_drops
from depthprune.strategies.baselines import (
    Sent,
    WeakTask,
    find_weak_tasks,
    judge,
    measure_baselines,
)
from depthprune.strategies.how import begin_run, begin_split, how_measured
from depthprune.strategies.kinds.beam import Beam
from depthprune.strategies.model import (
    ModelSource,
    OpenModel,
    check_model,
    open_model,
    prompted_tasks,
)
from depthprune.strategies.one_shot import Compared, compared
from depthprune.strategies.options import SearchOptions
from depthprune.strategies.racing import RaceReport, check_race, race_of
from depthprune.strategies.runner import (
    Completion,
    RunReport,
    complete_groups,
    group_splits,
    most_measurements,
    most_work,
    run,
)
from depthprune.strategies.strategy import STOPPED, LimitedStrategy, SearchSpace, Strategy
from depthprune.strategies.warm_start import proposed_by
from depthprune.study import StudyStore
from depthprune.study.records import OBJECTIVE
from depthprune.study.result_files import check_result_files, write_result_files
from depthprune.tasks.load import check_needs, load_split
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
    for request in requests:
        task_shares(request)  # refused before anything is loaded
        check_can_make(request.folder)
    tasks = list({task.name: task for one in requests for task in one.tasks}.values())
    problems = Problems()
    with problems.noted():
        check_model(requests[0].model, tasks)
    for task in tasks:
        with problems.noted():
            check_needs(task)
    problems.check()
    loaded = []
    for request in requests:
        asked = prompted_tasks(request.model, request.tasks)
        splits = load_splits(
            *(asked, request.splits, request.num_samples, request.seed, request.data.holdout)
        )
        loaded.append((request, splits, _groups(request, splits)))
    model = open_model(requests[0].model, tasks)
    # Only the data tell of a multiple choice whether it is about pictures.
    seen = {one.task.name: None for _, splits, _ in loaded for one in splits if any(one.pictures)}
    refuse_pictures(model.loaded.name, model.loaded.processor, list(seen))
    return [_ready(*one, model) for one in loaded]


def make_ready(
    request: SearchRequest, splits: Sequence[TaskSplit], model: OpenModel
) -> ReadySearch:
    """Return a search of a model and on samples that are loaded already; see `get_ready`.

    Raises:
        DepthpruneError: with what is wrong.
    """
    check_can_make(request.folder)
    return _ready(request, splits, _groups(request, splits), model)


def _groups(request: SearchRequest, splits: Sequence[TaskSplit]) -> list[SplitGroup]:
    weights = task_shares(request)
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
    model.check_samples(splits)
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
    work = sum(most_work(strategy, space, group) for group in groups)
    with (
        StudyStore.open(request.folder, model=model.record) as study,
        progress("measuring", work, study.tell) as bar,
    ):
        session = Session(study, model.evaluator(bar), bar, objective=search.ranked_by)
        session.expect(sum(most_measurements(strategy, space, group) for group in groups))
        how = how_measured(
            *(model, request.tasks, request.splits),
            *(request.num_samples, request.seed, request.data),
        )
        begin_run(study, how | {CHANCE: chances(ready.splits), OBJECTIVE: search.ranked_by})
        keys = tuple(begin_split(session, model, split) for split in ready.splits)
        check_result_files(
            study, request.folder / RESULTS, [(key, session.settings) for key in keys]
        )
        searches = [ready] if to_check is None else to_check
        before = _num_held(session, ready)
        report = measure_all_baselines(searches, session)
        # What was measured for the check is there already when the search looks for it; what
        # later searches will look for, on other splits, is not.
        report = replace(report, reused=before - _num_held(session, ready))
        check_baselines(searches, session)
        weak = find_weak_tasks(session, ready.splits, _sent(ready))
        one_shot: dict[int, dict[int, Removal]] = {}
        completions: dict[str, Completion] = {}
        try:
            for number, group in enumerate(groups, start=1):
                bar.describe(f"{group.name} ({number} of {len(groups)})")
                seeded = replace(space, proposed=_proposed(ready, session, group))
                bar.grow(most_work(strategy, seeded, group) - most_work(strategy, space, group))
                session.expect(
                    most_measurements(strategy, seeded, group)
                    - most_measurements(strategy, space, group)
                )
                found = run(strategy, seeded, session, group)
                report += found
                stopped = {removal for race in found.races for removal in race.stopped}
                one_shot |= one_shot_by_key(strategy, seeded, session, group, stopped)
            races = report.races
            if search.complete:
                completions = complete_groups(search.complete, session, ready.splits)
                report = sum((one.report for one in completions.values()), start=report)
                races = tuple(
                    race.without(mean_drops(session.tables(group)))
                    for race, group in zip(races, groups, strict=False)
                )
        except BaseException:
            # What stopped the search is what the user must hear of, not that files failed too.
            with suppress(DepthpruneError):
                write_results(session, search, space, keys)
            raise
        files = write_results(session, search, space, keys)
        weights = weights_by_key(session, groups)
    return SearchOutcome(
        folder=request.folder,
        settings=session.settings,
        splits=keys,
        report=report,
        files=tuple(files),
        inadmissible=model.inadmissible(),
        search=request.search,
        weights=weights,
        one_shot=one_shot,
        completions=completions,
        races=races,
        weak=tuple(weak),
    )


def measure_all_baselines(searches: Sequence[ReadySearch], session: Session) -> RunReport:
    """Measure the whole model on every split of some searches."""
    found = (
        measure_baselines(
            session, one.groups, race_of(one.request.search.strategy), one.request.seed
        )
        for one in searches
    )
    return sum(found, start=RunReport())


def check_baselines(searches: Sequence[ReadySearch], session: Session) -> None:
    """Stop where the whole model's answers are no basis for drops, unless that is allowed.

    Raises:
        WeakBaselineError: names all such tasks of all these searches.
    """
    splits = {(one.task.name, one.fingerprint): one for each in searches for one in each.splits}
    if splits:
        weak = find_weak_tasks(session, list(splits.values()), _sent(searches[0]))
        allow = all(each.request.allow_weak_baseline for each in searches)
        names = {one.task.name for one in splits.values()}
        judge(weak, names, session.study.folder, allow=allow)


def one_shot_by_key(
    strategy: Strategy,
    space: SearchSpace,
    session: Session,
    group: SplitGroup,
    stopped: Iterable[Removal] = (),
) -> dict[int, dict[int, Removal]]:
    """Return the one-shot removals of each split, by its key; for what the search gained.

    `stopped` are those candidates that a race stopped: the search went on without their drops.
    """
    if not isinstance(strategy, Compared):
        return {}
    drops = dict.fromkeys(stopped, STOPPED) | session.drops(group)
    one_shot = strategy.one_shot(replace(space, ranks=session.ranks(group)), drops)
    return {session.key(split): one_shot for split in group.splits}


def weights_by_key(session: Session, groups: Sequence[SplitGroup]) -> dict[int, float]:
    """Return the weight of each split in its joint search, by its key in the study."""
    return {
        session.key(split): share
        for group in groups
        if len(group.splits) > 1 or group.weights
        for split, share in zip(group.splits, group.shares, strict=True)
    }


def _num_held(session: Session, ready: ReadySearch) -> int:
    """Return how many measurements of the splits of a search the study holds."""
    return sum(map(len, session.tables(SplitGroup(ready.splits))))


def _sent(ready: ReadySearch) -> Sent:
    loaded = ready.model.loaded
    return lambda task, sample: prompts_of(loaded.processor, task, [sample], loaded.prompt)[0][0]


def task_shares(request: SearchRequest) -> dict[str, float]:
    """Return the weights of the tasks with a sum of 1, empty where none were given.

    Raises:
        DepthpruneError: they do not fit the tasks.
    """
    if not request.search.task_weights:
        return {}
    tasks = [task.name for task in request.tasks]
    weights = check_weights(request.search.task_weights, tasks, option="task_weights", thing="task")
    return shares_of(weights)


def _proposed(ready: ReadySearch, session: Session, group: SplitGroup) -> tuple[Removal, ...]:
    """Return what the proxy that was asked for proposes for these splits."""
    search, space = ready.request.search, ready.space
    if search.warm_start is None:
        return ()
    most = search.strategy.most_removed(space)
    return proposed_by(search.warm_start, ready.model, session, group, space, most)


def write_results(
    session: Session, search: SearchOptions, space: SearchSpace, splits: Sequence[int]
) -> list[Path]:
    """Write the documented result files of some splits into the study's folder."""
    study, settings = session.study, session.settings
    strategy, most = search.strategy, None
    if isinstance(strategy, LimitedStrategy):
        limited = strategy.max_removed is not None or strategy.max_drop is None
        most = strategy.most_removed(space) if limited else None
    return write_result_files(
        study,
        study.folder / RESULTS,
        beam_width=strategy.width if isinstance(strategy, Beam) else None,
        max_blocks_to_remove=most,
        selection=[(key, settings) for key in splits if study.drops(key, settings)],
    )


def load_splits(
    tasks: Sequence[Task],
    splits: Sequence[str],
    num_samples: int | None,
    seed: int,
    holdout: float = 0.0,
) -> list[TaskSplit]:
    """Return every split of every task that is there; a missing one is a warning that names it.

    Raises:
        DepthpruneError: none is there, or data cannot be used; names all that cannot.
    """
    loaded: dict[tuple[str, str, str], TaskSplit] = {}
    missing: list[MissingSplitError] = []
    problems = Problems()
    pairs = [(task, name) for task in tasks for name in splits]
    with progress("reading samples", len(pairs)) as bar:
        for task, name in pairs:
            bar.describe(f"reading samples of {task.name}, {name}")
            with problems.noted():
                try:
                    split = load_split(task, name, num_samples, seed, holdout=holdout)
                except MissingSplitError as error:
                    missing.append(error)
                    continue
                # Two spellings of one split, such as validation+train, are one split.
                loaded[task.name, split.split, split.fingerprint] = split
                logger.info("%s, %s: %d samples", task.name, split.split, len(split.samples))
            bar.advance()
    problems.check()
    if not loaded:
        raise (
            missing[0]
            if missing
            else TaskError("no task was named", mend=f"name one by {option('tasks')}")
        )
    for absent in missing:
        logger.warning("%s; going on without it", absent.what)
    return list(loaded.values())
