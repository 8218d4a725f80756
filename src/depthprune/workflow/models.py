"""A model in memory, the samples that it is measured on, and what it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import ModelError, TaskError
from depthprune.base.language import counted
from depthprune.engine.options import PromptOptions, Workers
from depthprune.strategies.model import ModelSource, OpenModel
from depthprune.strategies.pipeline import load_splits
from depthprune.tasks.demo import DEMO, model_place
from depthprune.tasks.options import DataOptions
from depthprune.tasks.task import TaskSplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import nn

    from depthprune.blocks.stack import Stack
    from depthprune.engine.sent import Sent
    from depthprune.tasks.options import Prompts
    from depthprune.tasks.task import Task, TaskSplit


@dataclass(frozen=True, repr=False)
class Model(OpenModel):
    """A model in memory with its processor, and the stack that blocks are removed from.

    Attributes:
        options: how it was asked for.
        loaded: the model with its tokenizer or processor.
        stack: of the blocks.
    """

    def __repr__(self) -> str:
        kind = type(self.model).__name__
        blocks = counted(self.num_blocks, "block")
        return f"Model({self.name!r}, {kind}, {blocks} in {self.stack.path})"

    @property
    def model(self) -> nn.Module:
        """The torch module, in eval mode."""
        module: nn.Module = self.loaded.model
        return module

    @property
    def processor(self) -> Any:
        """Its processor, tokenizer or image processor; None where none was given."""
        return self.loaded.processor

    @property
    def num_blocks(self) -> int:
        """How many blocks the stack has."""
        return self.stack.num_blocks

    @property
    def fingerprint(self) -> str:
        """Identifies the weights and the configuration: 64 hexadecimal digits."""
        return self.loaded.fingerprint

    @property
    def name(self) -> str:
        """What a study calls it: the hub name, the name of its folder, or its class."""
        return self.options.name or self.loaded.name


def load_model(
    source: str | Path | nn.Module,
    *,
    processor: Any = None,
    dtype: str = "auto",
    device: str = "auto",
    device_map: str | None = None,
    batch_size: int | None = None,
    stack: str = "text",
    revision: str | None = None,
    download: bool = False,
    trust_remote_code: bool = False,
) -> Model:
    """Return a model that several calls share.

    Args:
        source: a folder in Hugging Face format, a hub name, `demo` (the embedded model), or a torch
            module of transformers, which stays where it is and is put into eval mode.
        processor: of a torch module, its processor or tokenizer: required to measure.
        dtype: float32, bfloat16 or float16; auto takes the checkpoint's own, on a CPU never
            float16.
        device: cpu, cuda, cuda:1, mps; auto takes a GPU where there is one.
        device_map: spreads the model over devices, as in transformers: auto, balanced, sequential.
        batch_size: samples at once; None chooses by memory. Halved when memory runs out.
        stack: the blocks that are removed: text, vision, encoder, decoder.
        revision: branch, tag or commit of a hub model.
        download: allow fetching from the hub what the local cache lacks.
        trust_remote_code: run code that comes with the checkpoint.

    Raises:
        ModelError: there is no such model, it is damaged, or an option does not fit.
        StackError: it has no such stack.
    """
    from depthprune.strategies.model import open_model

    named = isinstance(source, str | Path)
    options = ModelSource(
        source=model_place(source) if isinstance(source, str | Path) else type(source).__name__,
        name=DEMO if named and str(source) == DEMO else None,
        stack=stack,
        dtype=dtype,
        device=device,
        device_map=device_map,
        batch_size=batch_size,
        trust_remote_code=trust_remote_code,
        revision=revision,
        download=download,
    )
    if isinstance(source, str | Path):
        if processor is not None:
            raise ModelError(
                "a checkpoint brings its processor",
                option="processor",
                mend="leave it out, or give the torch module as the source",
            )
        opened = open_model(options)
        return Model(options, opened.loaded, opened.stack)
    from depthprune.blocks.models import loaded_module
    from depthprune.blocks.stack import find_stack

    return Model(options, loaded_module(source, processor), find_stack(source, stack))


def as_workers(workers: Workers | int | str | None) -> Workers:
    """Return workers, which may be named by their number."""
    return workers if isinstance(workers, Workers) else Workers(workers)


def as_model(
    model: Model | str | Path | nn.Module, workers: Workers | int | str | None = None
) -> Model:
    """Return a model, which may be named by its source; with workers, they answer in its place.

    Raises:
        DepthpruneError: see `load_model`; or the workers cannot load it, because it is in memory
            alone.
    """
    from depthprune.strategies.model import open_model, start_workers

    asked = as_workers(workers)
    if asked.wanted and isinstance(model, str | Path):
        name = DEMO if str(model) == DEMO else None
        opened = open_model(ModelSource(source=model_place(model), name=name, workers=asked))
        return Model(opened.options, opened.loaded, opened.stack, opened.pool)
    found = model if isinstance(model, Model) else load_model(model)
    if not asked.wanted:
        return found
    if found.options.source == type(found.model).__name__:
        raise ModelError(
            "workers load the model themselves, and this one is in memory alone",
            option="workers",
            mend="save it by save_pretrained, with its processor, and give the folder",
        )
    options = replace(found.options, workers=asked)
    return Model(options, found.loaded, found.stack, start_workers(options))


def load_tasks(
    *names: str | Task,
    split: str = "train+validation",
    num_samples: int | None = 1000,
    seed: int = 0,
    holdout: float = 0.0,
    data_dir: str | Path | None = None,
    task_files: Sequence[str | Path] = (),
    lm_eval_paths: Sequence[str | Path] = (),
    prompts: Prompts = "own",
    download: bool = False,
) -> list[TaskSplit]:
    """Return the samples of one split of some tasks, with prompts and metrics.

    For several splits call it several times, and add the lists.

    Args:
        names: tasks, e.g. `okvqa` or `lm_eval:arc_easy`; `demo` is the eight embedded ones, `all`
            every built-in one; or `Task` objects of your own.
        split: train, validation, or train+validation, which samples evenly over both.
        num_samples: of each task, chosen by the seed; None takes all.
        seed: chooses the samples.
        holdout: share of the split that is not returned, for `verify` to draw from later.
        data_dir: folder with local copies of the data: `DIR/{task}/{split}.jsonl` and the like.
        task_files: your own tasks: YAML, or a Python file, which is executed.
        lm_eval_paths: folders with definitions of the lm-evaluation-harness; Python that they name
            is executed.
        prompts: `lmms-eval` asks the built-in tasks as that program does, where it is otherwise.
        download: allow fetching data from the hub; otherwise only the local cache is read.

    Raises:
        TaskError: there is no such task, split or data, or a sample cannot be used.
        MetricError: a task's metric does not exist or does not fit it.
    """
    from depthprune.tasks.builtin import asked_as
    from depthprune.tasks.load import load_split
    from depthprune.tasks.registry import named_tasks, place_task

    files, paths = [Path(one) for one in task_files], [Path(one) for one in lm_eval_paths]
    chosen: dict[str, Task] = {}
    for name in names:
        named = named_tasks([name], files, paths) if isinstance(name, str) else [name]
        found = asked_as(named, prompts) if isinstance(name, str) else named
        chosen |= {task.name: place_task(task, data_dir, download=download) for task in found}
    if not chosen:
        raise TaskError(
            "no task was named", option="names", mend='name tasks, e.g. load_tasks("okvqa")'
        )
    return [load_split(task, split, num_samples, seed, holdout=holdout) for task in chosen.values()]


def find_stack(module: nn.Module | Model, stack: str = "text") -> Stack:
    """Return the stack of blocks of a model: where it lies, and how many blocks it has.

    Args:
        module: a transformers model; any other module is searched for a list of equal modules.
        stack: text, vision, audio, encoder, decoder, or the field of the configuration that counts
            the blocks meant, e.g. `vision_config.num_hidden_layers`.

    Raises:
        StackError: there is no such stack, or several could be meant.
    """
    from depthprune.blocks.stack import find_stack as find

    return find(module.model if isinstance(module, Model) else module, stack)


def skip(
    model: nn.Module | Model, removal: Iterable[int], stack: Stack | None = None
) -> AbstractContextManager[nn.Module]:
    """Run the body of a `with` statement as if these blocks had never been there.

    Logits, cache, masks and generation are those of the model that `cut` writes. On leaving, also
    after an exception, the model is as before. Not for several threads. Yields the torch module.

    Args:
        model: a torch module, which is changed in place, or a loaded model.
        removal: block indices, counted from 0 in the whole model.
        stack: of the blocks; None finds it (of a loaded model, the one it was loaded with).

    Raises:
        RemovalError: a block does not exist, none would be left, or blocks are skipped already.
        InadmissibleRemovalError: the architecture cannot express the removal.
        StackError: no stack is found, or it does not belong to this model.
    """
    from depthprune.blocks.skipping import skip as skip_blocks

    if isinstance(model, Model):
        return skip_blocks(model.model, removal, model.stack if stack is None else stack)
    return skip_blocks(model, removal, stack)


def sent_samples(
    data: DataOptions, number: int, model: str | None, run: PromptOptions
) -> Iterator[tuple[TaskSplit, list[Sent]]]:
    """Yield each split of each task with what is sent for some of its samples.

    They are among those that a search with the same options measures: of one seed, fewer samples
    are a part of more. Of the model, only the processor is loaded.

    Args:
        data: tasks, splits, and where the data lie.
        number: how many samples of each split.
        model: folder, hub name, or demo; None shows what comes before its chat template.
        run: how it is asked.

    Raises:
        DepthpruneError: there is no such task, data or model, or the model refuses a sample.
    """
    from depthprune.engine.chat import prompted
    from depthprune.engine.sent import plainly_sent, sent

    tasks = data.find_tasks(model or "")
    settings, processor = run.prompt(), None
    if model is not None:
        from depthprune.blocks.models import load_model_processor
        from depthprune.tasks.demo import model_place

        processor = load_model_processor(
            model_place(model),
            trust_remote_code=run.trust_remote_code,
            revision=run.revision,
            download=data.download,
            prompt=settings,
        )
    if processor is not None:
        tasks = tuple(prompted(task, processor, settings) for task in tasks)
    most = min(number, data.samples or number)
    for split in load_splits(tasks, data.splits, most, data.seed):
        yield (
            split,
            [
                plainly_sent(split.task, sample)
                if processor is None
                else sent(processor, split.task, sample, settings)
                for sample in split.samples
            ],
        )
