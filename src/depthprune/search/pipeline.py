"""The main job: load tasks and model, open the study, search on every split, write the files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from depthprune.base.errors import DepthpruneError, MissingSplitError, TaskError
from depthprune.base.files import check_can_make
from depthprune.base.log import logger
from depthprune.base.progress import Progress, progress
from depthprune.base.removal import Removal
from depthprune.search.complete import Completion, check_best
from depthprune.search.groups import (
    complete_groups,
    group_name,
    most_work,
    one_shot_by_key,
    search_group,
    weights_by_key,
)
from depthprune.search.joint import SplitGroup, check_joint, check_task_weights, group_splits
from depthprune.search.options import SearchOptions
from depthprune.search.runner import RunReport, split_record
from depthprune.search.space import SearchSpace
from depthprune.search.warm_start import check_proxy, seeds_of
from depthprune.study import ModelRecord, Study
from depthprune.study.views import check_views, write_views
from depthprune.tasks.load import load_split
from depthprune.tasks.task import Task, TaskSplit

if TYPE_CHECKING:
    from depthprune.blocks.models import LoadedModel
    from depthprune.blocks.stack import Stack
    from depthprune.evaluate.evaluator import Evaluator

RESULTS = "results"
"""The folder inside a study that holds the documented result files."""


@dataclass(frozen=True)
class ModelOptions:
    """Which model, and how it is run.

    Attributes:
        source: a folder in Hugging Face format, or a hub name.
        name: what the study calls the model; None takes the last part of the source.
        part: the stack to prune, see `blocks.find_stack`.
        dtype: `auto`, `float32`, `bfloat16` or `float16`.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        device_map: given to transformers, to spread a model over several devices.
        batch_size: samples at once; halved when memory runs out.
        trust_remote_code: whether code that comes with the checkpoint may run.
        revision: of a hub model.
        download: whether the hub may be asked for what the local cache lacks.
    """

    source: str
    name: str | None = None
    part: str = "text"
    dtype: str = "auto"
    device: str = "auto"
    device_map: str | None = None
    batch_size: int | Literal["auto"] = "auto"
    trust_remote_code: bool = False
    revision: str | None = None
    download: bool = False


@dataclass(frozen=True)
class SearchRequest:
    """Everything that decides what a search measures.

    Attributes:
        model: the model and how it is run.
        tasks: what it is measured on.
        splits: of each task; every split is searched by itself, `train+validation` is one split.
        folder: of the study.
        search: which strategy, and how far it goes.
        num_samples: of each split; None means all.
        seed: chooses the samples, and what an evolutionary search tries.
        protect: blocks that always stay.
        joint: search once, on the mean drop over all tasks; else each task by itself.
        task_weights: of every task in that mean, by name; empty means equal weights.
        complete: the best combinations of each number removed that are measured on every dataset
            in the end; 0 leaves them as the search did.
        warm_start: the proxy (see `importance.proxies`) that proposes removals first.
    """

    model: ModelOptions
    tasks: tuple[Task, ...]
    splits: tuple[str, ...]
    folder: Path
    search: SearchOptions = field(default_factory=SearchOptions)
    num_samples: int | None = 1000
    seed: int = 0
    protect: frozenset[int] = frozenset()
    joint: bool = False
    task_weights: Mapping[str, float] = field(default_factory=dict)
    complete: int = 0
    warm_start: str | None = None


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
        joint: whether the splits of one name were searched together.
        weights: of each split in its joint search, by key, with a sum of 1.
        one_shot: by key of a split, the one-shot removals by number of blocks, from 2 on; those of
            a joint search are the same for all its splits.
        completions: by name of a split, that its best combinations are measured everywhere.
    """

    folder: Path
    settings: str
    splits: tuple[int, ...]
    report: RunReport
    files: tuple[Path, ...]
    inadmissible: dict[int, str]
    search: SearchOptions = field(default_factory=SearchOptions)
    joint: bool = False
    weights: Mapping[int, float] = field(default_factory=dict)
    one_shot: Mapping[int, Mapping[int, Removal]] = field(default_factory=dict)
    completions: Mapping[str, Completion] = field(default_factory=dict)


def search_model(request: SearchRequest) -> SearchOutcome:
    """Measure all that the strategy asks for, on every split; run again to go on.

    What can be wrong with folder, data and blocks is found before the first measurement. The
    result files are written also when the search is interrupted.

    Raises:
        DepthpruneError: with what is wrong; measurements that were finished are kept.
    """
    weights = check_request(request)
    check_can_make(request.folder)
    splits = load_splits(request.tasks, request.splits, request.num_samples, request.seed)
    groups = group_splits(splits, joint=request.joint, task_weights=weights)
    loaded, stack = _load(request.model)
    record = model_record(loaded, stack, request.model.name)
    space = SearchSpace(stack.num_blocks, request.protect, _admissible_in(stack))
    planned = request.search.build(space, seed=request.seed)
    with progress("measuring", sum(most_work(planned, group) for group in groups)) as bar:
        evaluator = _evaluator(loaded, request.model, bar)
        with Study.open(request.folder, model=record) as study:
            keys = tuple(study.add_split(split_record(split)) for split in splits)
            check_views(
                study, request.folder / RESULTS, [(key, evaluator.settings) for key in keys]
            )
            report = RunReport(0, 0, 0.0)
            one_shot: dict[int, dict[int, Removal]] = {}
            completions: dict[str, Completion] = {}
            try:
                for number, group in enumerate(groups, start=1):
                    bar.describe(f"{group_name(group)} ({number} of {len(groups)})")
                    seeds = _seeds(request, loaded, record, space, group, evaluator.settings, bar)
                    strategy = request.search.build(space, seeds, request.seed)
                    bar.grow(most_work(strategy, group) - most_work(planned, group))
                    report += search_group(strategy, study, group, evaluator, bar)
                    one_shot |= one_shot_by_key(strategy, study, group, evaluator.settings)
                if request.complete:
                    completions = complete_groups(request.complete, study, splits, evaluator, bar)
                    report = sum((one.report for one in completions.values()), start=report)
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
        inadmissible=_inadmissible(stack),
        search=request.search,
        joint=request.joint,
        weights=shares,
        one_shot=one_shot,
        completions=completions,
    )


def check_request(request: SearchRequest) -> dict[str, float]:
    """Find what cannot be meant, before anything is loaded; return the weights of the tasks.

    Returns:
        Weights by task with a sum of 1, empty where none were given.

    Raises:
        DepthpruneError: weights without a joint search or that do not fit the tasks, a proxy that
            does not exist or proposes to nobody, a negative number of combinations.
    """
    check_best(request.complete)
    if request.warm_start is not None:
        if request.search.strategy in ("ablation", "exhaustive"):
            raise DepthpruneError(
                f"the strategy {request.search.strategy} measures everything: "
                "nothing need be proposed first",
                where="--warm-start",
                mend="leave it out, or choose the strategy beam, greedy or evolutionary",
            )
        check_proxy(request.warm_start)
    if not request.task_weights:
        return {}
    check_joint(joint=request.joint)
    return check_task_weights(request.task_weights, [task.name for task in request.tasks])


def _seeds(
    request: SearchRequest,
    loaded: LoadedModel,
    model: ModelRecord,
    space: SearchSpace,
    group: SplitGroup,
    settings: str,
    bar: Progress,
) -> tuple[Removal, ...]:
    """Return what the proxy that was asked for proposes for these splits."""
    if request.warm_start is None:
        return ()

    def advance(amount: float) -> None:
        # How many passes a proxy makes is its own business: what is done was needed.
        bar.grow(amount)
        bar.advance(amount)

    return seeds_of(
        request.warm_start,
        loaded,
        group,
        space,
        request.search.most_removed(space),
        request.folder,
        model,
        settings,
        part=request.model.part,
        batch_size=request.model.batch_size,
        on_batch=advance,
    )


def write_results(
    study: Study, search: SearchOptions, space: SearchSpace, splits: Sequence[int], settings: str
) -> list[Path]:
    """Write the documented result files of some splits into the study's folder."""
    limited = search.max_removed is not None or search.max_drop is None
    several = search.strategy != "ablation"
    return write_views(
        study,
        study.folder / RESULTS,
        beam_width=search.width if search.strategy == "beam" else None,
        max_blocks_to_remove=search.most_removed(space) if several and limited else None,
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
        raise missing[0] if missing else TaskError("no task was named", mend="name one by --task")
    for absent in missing:
        logger.warning("%s; going on without it", absent.what)
    return list(loaded.values())


def model_record(loaded: LoadedModel, stack: Stack, name: str | None = None) -> ModelRecord:
    """Return what a study keeps about its model."""
    blocks = loaded.model.get_submodule(stack.path)
    return ModelRecord(
        name=name or loaded.name,
        fingerprint=loaded.fingerprint,
        architecture=type(loaded.model).__name__,
        num_blocks=stack.num_blocks,
        stack=stack.path,
        parameters=sum(tensor.numel() for tensor in loaded.model.parameters()),
        block_parameters=tuple(
            sum(tensor.numel() for tensor in block.parameters()) for block in blocks.children()
        ),
    )


def _load(options: ModelOptions) -> tuple[LoadedModel, Stack]:
    from depthprune.blocks import find_stack, load_model

    loaded = load_model(
        options.source,
        dtype=options.dtype,
        device=options.device,
        device_map=options.device_map,
        trust_remote_code=options.trust_remote_code,
        revision=options.revision,
        download=options.download,
    )
    return loaded, find_stack(loaded.model, options.part)


def _evaluator(loaded: LoadedModel, options: ModelOptions, bar: Progress) -> Evaluator:
    from depthprune.evaluate.reference import ReferenceEvaluator

    return ReferenceEvaluator(
        loaded, part=options.part, batch_size=options.batch_size, on_batch=bar.advance
    )


def _admissible_in(stack: Stack) -> Callable[[tuple[int, ...]], bool]:
    from depthprune.blocks import inadmissible_reason

    return lambda removal: inadmissible_reason(stack, removal) is None


def _inadmissible(stack: Stack) -> dict[int, str]:
    from depthprune.blocks import admissibility

    reasons = admissibility(stack).reasons
    return {block: reason for block, reason in enumerate(reasons) if reason is not None}
