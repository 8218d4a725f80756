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
from depthprune.search.beam import BeamSearch
from depthprune.search.options import SearchOptions
from depthprune.search.runner import RunReport, run, split_record
from depthprune.search.space import SearchSpace
from depthprune.search.strategy import Foreseeable, Strategy
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
    """

    folder: Path
    settings: str
    splits: tuple[int, ...]
    report: RunReport
    files: tuple[Path, ...]
    inadmissible: dict[int, str]


def search_model(request: SearchRequest) -> SearchOutcome:
    """Measure all that the strategy asks for, on every split; run again to go on.

    What can be wrong with folder, data and blocks is found before the first measurement. The
    result files are written also when the search is interrupted.

    Raises:
        DepthpruneError: with what is wrong; measurements that were finished are kept.
    """
    check_can_make(request.folder)
    splits = load_splits(request.tasks, request.splits, request.num_samples, request.seed)
    loaded, stack = _load(request.model)
    record = model_record(loaded, stack, request.model.name)
    space = SearchSpace(stack.num_blocks, request.protect, _admissible_in(stack))
    strategy = request.search.build(space, seed=request.seed)
    with progress("measuring", _work(strategy, splits)) as bar:
        evaluator = _evaluator(loaded, request.model, bar)
        with Study.open(request.folder, model=record) as study:
            keys = tuple(study.add_split(split_record(split)) for split in splits)
            selection = [(key, evaluator.settings) for key in keys]
            check_views(study, request.folder / RESULTS, selection)
            try:
                report = _search_splits(
                    strategy, study, dict(zip(keys, splits, strict=True)), evaluator, bar
                )
            except BaseException:
                # What stopped the search is what the user must hear of, not that files failed too.
                with suppress(DepthpruneError):
                    write_results(study, strategy, keys, evaluator.settings)
                raise
            files = write_results(study, strategy, keys, evaluator.settings)
    return SearchOutcome(
        request.folder, evaluator.settings, keys, report, tuple(files), _inadmissible(stack)
    )


def _search_splits(
    strategy: Strategy,
    study: Study,
    splits: Mapping[int, TaskSplit],
    evaluator: Evaluator,
    bar: Progress,
) -> RunReport:
    report = RunReport(0, 0, 0.0)
    for number, (key, split) in enumerate(splits.items(), start=1):
        bar.describe(f"{split.task.name} {split.split} ({number} of {len(splits)})")
        # What is measured already takes no time: it must not count as work that is still ahead.
        held = len(study.drops(key, evaluator.settings)) * len(split.samples)
        bar.shrink(min(held, _work(strategy, [split])))
        done = run(strategy, study, split, evaluator)
        bar.shrink(max(0, _work(strategy, [split]) - held - done.measured * len(split.samples)))
        report += done
    return report


def write_results(
    study: Study, strategy: Strategy, splits: Sequence[int], settings: str
) -> list[Path]:
    """Write the documented result files of some splits into the study's folder."""
    beam = strategy if isinstance(strategy, BeamSearch) else None
    return write_views(
        study,
        study.folder / RESULTS,
        beam_width=beam.width if beam else None,
        max_blocks_to_remove=beam.max_removed if beam else None,
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


def _work(strategy: Strategy, splits: Sequence[TaskSplit]) -> int:
    """Return how many answers a search takes at most, the baseline included; 0 when unknown."""
    if not isinstance(strategy, Foreseeable):
        return 0
    return (strategy.most_evaluations() + 1) * sum(len(split.samples) for split in splits)


def _admissible_in(stack: Stack) -> Callable[[tuple[int, ...]], bool]:
    from depthprune.blocks import inadmissible_reason

    return lambda removal: inadmissible_reason(stack, removal) is None


def _inadmissible(stack: Stack) -> dict[int, str]:
    from depthprune.blocks import admissibility

    reasons = admissibility(stack).reasons
    return {block: reason for block, reason in enumerate(reasons) if reason is not None}
