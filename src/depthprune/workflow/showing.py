"""What a model would be sent, and what it answered: nothing is measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from depthprune.engine.options import PromptOptions
from depthprune.strategies.pipeline import load_splits
from depthprune.tasks.options import DataOptions
from depthprune.tasks.task import TaskSplit

if TYPE_CHECKING:
    from depthprune.engine.sent import Sent


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
        from depthprune.tasks.demo.place import model_place

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
