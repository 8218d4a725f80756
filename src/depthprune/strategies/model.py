"""The model of a study in memory: loaded once, for one search or for several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from depthprune.base.log import logger
from depthprune.base.progress import Progress
from depthprune.base.prompting import USUAL_PROMPTS, PromptSettings
from depthprune.engine.chat import prompt_remarks, prompted
from depthprune.strategies.space import SearchSpace
from depthprune.study import ModelRecord
from depthprune.tasks.lm_eval.source import LmEvalSource
from depthprune.tasks.task import Task

if TYPE_CHECKING:
    from depthprune.blocks.models import LoadedModel
    from depthprune.blocks.stack import Stack
    from depthprune.engine.evaluator import Evaluator


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
        self_check: whether a few answers are compared with the reference evaluator's at first.
        prompt: how questions are put to the model.
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
    self_check: bool = True
    prompt: PromptSettings = USUAL_PROMPTS


@dataclass(frozen=True)
class DataPlaces:
    """Where tasks and their data were looked for, see `depthprune.tasks.registry.get_task`.

    Attributes:
        data_dir: folder with local copies of the data.
        task_files: files that define tasks.
        lm_eval_path: folders with definitions of the lm-evaluation-harness.
    """

    data_dir: Path | None = None
    task_files: tuple[Path, ...] = ()
    lm_eval_path: tuple[Path, ...] = ()


@dataclass(frozen=True)
class OpenModel:
    """A model in memory, and the stack that blocks are removed from.

    Attributes:
        options: how it was asked for.
        loaded: the model with its tokenizer or processor.
        stack: of the blocks.
    """

    options: ModelOptions
    loaded: LoadedModel
    stack: Stack

    @cached_property
    def record(self) -> ModelRecord:
        """What a study keeps about it."""
        return model_record(self.loaded, self.stack, self.options.name)

    def space(self, protect: frozenset[int]) -> SearchSpace:
        """Return the removals that a search may consider.

        Raises:
            RemovalError: a protected block does not exist, or nothing can be removed.
        """
        from depthprune.blocks import inadmissible_reason

        return SearchSpace(
            self.stack.num_blocks,
            protect,
            lambda removal: inadmissible_reason(self.stack, removal) is None,
        )

    def inadmissible(self) -> dict[int, str]:
        """Return why a block cannot be lost alone, for the blocks that cannot."""
        from depthprune.blocks import admissibility

        reasons = admissibility(self.stack).reasons
        return {block: reason for block, reason in enumerate(reasons) if reason is not None}

    def evaluator(self, bar: Progress) -> Evaluator:
        """Return what measures removals, and advances the bar by every answer."""
        from depthprune.engine.shared import SharedEvaluator

        return SharedEvaluator(
            self.loaded,
            stack=self.stack,
            batch_size=self.options.batch_size,
            on_batch=bar.advance,
            self_check=self.options.self_check,
        )


def open_model(options: ModelOptions, tasks: Iterable[Task] = ()) -> OpenModel:
    """Load a model and find its blocks; say what is to be known about how these tasks are asked.

    Raises:
        DepthpruneError: there is no such model, it cannot be loaded, or it has no such stack.
    """
    from depthprune.blocks import find_stack, load_model

    loaded = load_model(
        options.source,
        dtype=options.dtype,
        device=options.device,
        device_map=options.device_map,
        trust_remote_code=options.trust_remote_code,
        revision=options.revision,
        download=options.download,
        prompt=options.prompt,
    )
    for remark in prompt_remarks(loaded, tasks):
        logger.warning("%s", remark)
    return OpenModel(options, loaded, find_stack(loaded.model, options.part))


def prompted_tasks(options: ModelOptions, tasks: Sequence[Task]) -> tuple[Task, ...]:
    """Return the tasks with those of the lm-evaluation-harness put as the prompt settings say.

    The harness asks without chat template and system prompt by default; then nothing is loaded.

    Raises:
        DepthpruneError: the model's tokenizer cannot be loaded, or it has no template.
    """
    settings = options.prompt
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
