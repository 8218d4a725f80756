"""The model of a study in memory: loaded once, for one search or for several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthprune.base.log import logger
from depthprune.base.progress import Progress, progress
from depthprune.engine.chat import prompt_remarks, prompted, refuse_pictures
from depthprune.engine.options import ModelOptions, Workers
from depthprune.strategies.strategy import SearchSpace
from depthprune.study import ModelRecord
from depthprune.tasks.demo import DEMO, model_place
from depthprune.tasks.lm_eval.source import LmEvalSource
from depthprune.tasks.task import PICTURE_TASKS, Task, TaskSplit

if TYPE_CHECKING:
    from depthprune.blocks.models import LoadedModel
    from depthprune.blocks.stack import Stack
    from depthprune.engine.evaluator import Evaluator
    from depthprune.engine.workers.sliced import Pool
    from depthprune.engine.workers.worker import WorkerFacts


@dataclass(frozen=True)
class ModelSource(ModelOptions):
    """Which model, and how it is run.

    Attributes:
        source: a folder in Hugging Face format, or a hub name.
        name: what the study calls the model; None takes the last part of the source.
        download: whether the hub may be asked for what the local cache lacks.
        workers: that share its work.
    """

    source: str = field(kw_only=True)
    name: str | None = field(kw_only=True, default=None)
    download: bool = field(kw_only=True, default=False)
    workers: Workers = field(kw_only=True, default=Workers())


def model_source(
    model: str,
    options: ModelOptions,
    *,
    download: bool = False,
    workers: Workers = Workers(),
) -> ModelSource:
    """Return a model that a user named, to be run by these options; `demo` is the embedded one."""
    name = model if model == DEMO else None
    return ModelSource(
        **vars(options), source=model_place(model), name=name, download=download, workers=workers
    )


@dataclass(frozen=True)
class OpenModel:
    """A model in memory, and the stack that blocks are removed from.

    Attributes:
        options: how it was asked for.
        loaded: the model with its tokenizer or processor.
        stack: of the blocks.
        pool: the workers that answer in its place; `loaded` has no weights then, unless they were
            asked for.
    """

    options: ModelSource
    loaded: LoadedModel
    stack: Stack
    pool: Pool | None = field(default=None, repr=False)

    @cached_property
    def record(self) -> ModelRecord:
        """What a study keeps about it."""
        if self.pool is not None:
            return self.pool.facts.record
        return model_record(self.loaded, self.stack, self.options.name)

    @cached_property
    def state(self) -> Mapping[str, Any]:
        """How it runs, as plain JSON data."""
        if self.pool is not None:
            return self.pool.facts.state
        model = self.loaded.model
        return {
            "commit": getattr(model.config, "_commit_hash", None),
            "dtype": str(model.dtype).removeprefix("torch."),
            "device": str(model.device),
            "attention": getattr(model.config, "_attn_implementation", None),
        }

    def with_weights(self) -> OpenModel:
        """Return it with its weights in this process, also where workers answer in its place."""
        if self.loaded.model.device.type != "meta":
            return self
        whole = open_model(replace(self.options, workers=Workers()))
        return OpenModel(self.options, whole.loaded, whole.stack, self.pool)

    def check_samples(self, splits: Sequence[TaskSplit]) -> None:
        """See that workers can read these samples, each its part; nothing without workers.

        Raises:
            DepthpruneError: names the node, and what it lacks.
        """
        if self.pool is not None:
            from depthprune.engine.workers.sliced import check_samples

            check_samples(self.pool, splits)

    def space(self, protect: frozenset[int]) -> SearchSpace:
        """Return the removals that a search may consider.

        Raises:
            RemovalError: a protected block does not exist, or nothing can be removed.
        """
        from depthprune.blocks.admissible import inadmissible_reason

        return SearchSpace(
            self.stack.num_blocks,
            protect,
            lambda removal: inadmissible_reason(self.stack, removal) is None,
        )

    def inadmissible(self) -> dict[int, str]:
        """Return why a block cannot be lost alone, for the blocks that cannot."""
        from depthprune.blocks.admissible import admissibility

        reasons = admissibility(self.stack).reasons
        return {block: reason for block, reason in enumerate(reasons) if reason is not None}

    def evaluator(self, bar: Progress) -> Evaluator:
        """Return what measures removals, and advances the bar by every answer."""
        return self.answering(bar.advance, bar.paced)

    def answering(
        self,
        on_batch: Callable[[float], None],
        on_paces: Callable[[Sequence[float]], None] | None = None,
    ) -> Evaluator:
        """Return what measures removals, and calls `on_batch` with how many were finished.

        `on_paces` is called with the answers per second of each worker, where there are any.
        """
        if self.pool is not None:
            from depthprune.engine.workers.sliced import SlicedEvaluator

            return SlicedEvaluator(self.pool, self.stack, on_batch, on_paces)
        from depthprune.engine.shared import SharedEvaluator

        return SharedEvaluator(
            self.loaded,
            stack=self.stack,
            batch_size=self.options.batch_size or "auto",
            on_batch=on_batch,
            self_check=self.options.self_check,
        )


def check_model(options: ModelSource, tasks: Sequence[Task]) -> None:
    """Find, before data are fetched or weights loaded, what keeps a model from being measured.

    Raises:
        DepthpruneError: there is no such model, its processor or weights are not there, or it
            reads text only and some tasks are about pictures; names all of these.
    """
    if options.workers.wanted:
        import_module("ray")
    from depthprune.blocks.models import load_model_processor
    from depthprune.checkpoint.folder import find_weight_files

    processor = load_model_processor(
        options.source,
        trust_remote_code=options.trust_remote_code,
        revision=options.revision,
        download=options.download,
    )
    place = Path(options.source).expanduser()
    if place.is_dir():
        find_weight_files(place)
    names = [one.name for one in tasks if one.task_type in PICTURE_TASKS and one.answer != "read"]
    refuse_pictures(options.name or place.name, processor, names)


def open_model(options: ModelSource, tasks: Iterable[Task] = ()) -> OpenModel:
    """Load a model and find its blocks; say what is to be known about how these tasks are asked.

    Raises:
        DepthpruneError: there is no such model, it cannot be loaded, or it has no such stack.
    """
    from depthprune.blocks.models import load_model
    from depthprune.blocks.stack import find_stack

    with progress(f"loading {options.name or Path(options.source).name}"):
        loaded = load_model(
            options.source,
            dtype=options.dtype,
            device=options.device,
            device_map=options.device_map,
            trust_remote_code=options.trust_remote_code,
            revision=options.revision,
            download=options.download,
            prompt=options.prompt(),
            weights=not options.workers.wanted,
        )
    logger.info("%s: loaded, in %s on %s", loaded.name, loaded.model.dtype, loaded.model.device)
    for remark in prompt_remarks(loaded, tasks):
        logger.warning("%s", remark)
    stack = find_stack(loaded.model, options.stack)
    if not options.workers.wanted:
        return OpenModel(options, loaded, stack)
    pool = start_workers(options)
    loaded = replace(loaded, fingerprint=pool.facts.record.fingerprint)
    return OpenModel(options, loaded, stack, pool)


def start_workers(options: ModelSource) -> Pool:
    """Start the workers that were asked for; each opens the model.

    Raises:
        DepthpruneError: they cannot be started, or not all are alike.
    """
    from depthprune.engine.workers.ray_pool import RayPool

    on_cpu = options.device == "cpu"
    return RayPool(options.workers, partial(open_on_worker, options), on_cpu=on_cpu)


def open_on_worker(options: ModelSource, bar: Progress) -> tuple[Evaluator, WorkerFacts]:
    """Open a model where this is called, as a worker does."""
    from depthprune.engine.workers.worker import WorkerFacts

    several = (options.workers.gpus_per_worker or 1) > 1
    alone = replace(
        options,
        workers=Workers(),
        source=model_place(DEMO) if options.name == DEMO else options.source,
        # Which GPUs it sees is decided where workers are placed.
        device="auto" if options.device.startswith("cuda") else options.device,
        device_map=options.device_map or ("auto" if several else None),
    )
    opened = open_model(alone)
    evaluator = opened.evaluator(bar)
    return evaluator, WorkerFacts(opened.record, evaluator.settings, opened.state)


def prompted_tasks(options: ModelSource, tasks: Sequence[Task]) -> tuple[Task, ...]:
    """Return the tasks with those of the lm-evaluation-harness put as the prompt settings say.

    The harness asks without chat template and system prompt by default; then nothing is loaded.

    Raises:
        DepthpruneError: the model's tokenizer cannot be loaded, or it has no template.
    """
    settings = options.prompt()
    asked = any(isinstance(task.source, LmEvalSource) for task in tasks)
    if not asked or not (settings.for_harness or settings.system_prompt):
        return tuple(tasks)
    from depthprune.blocks.models import load_model_processor

    processor = load_model_processor(
        options.source,
        trust_remote_code=options.trust_remote_code,
        revision=options.revision,
        download=options.download,
    )
    return tuple(prompted(task, processor, settings) for task in tasks)


def model_record(loaded: LoadedModel, stack: Stack, name: str | None = None) -> ModelRecord:
    """Return what a study keeps about its model."""
    from depthprune.engine.identity import identity_of

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
        identity=identity_of(loaded),
    )
