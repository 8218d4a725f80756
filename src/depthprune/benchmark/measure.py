"""Measure a model part by part: what is finished is kept, what fails is told, the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from depthprune.base.errors import DepthpruneError, ModelError
from depthprune.base.log import logger
from depthprune.base.progress import Progress, progress
from depthprune.base.removal import Removal
from depthprune.benchmark.perplexity import Text, TextSet, Windows, perplexity, text_tokens
from depthprune.benchmark.results_file import (
    Card,
    CardFile,
    Part,
    accuracy_value,
    device_name,
    fingerprint_of,
    grouped,
    info_value,
    memory_value,
    model_info,
    part_name,
    perplexity_value,
    ratio_value,
    score_value,
    speed_value,
    versions,
)
from depthprune.benchmark.speed import (
    SpeedOptions,
    check_positions,
    measure_in_turns,
    peak_while,
    weight_bytes,
    write_once,
)
from depthprune.benchmark.zero_shot import (
    ZeroShotTask,
    mean_accuracy,
    task_accuracy,
)
from depthprune.blocks import check_admissible, skip
from depthprune.blocks.models import LoadedModel
from depthprune.blocks.stack import Stack
from depthprune.engine.batching import free_memory
from depthprune.engine.chat import prompted, refuse_pictures
from depthprune.engine.inputs import max_positions
from depthprune.engine.reference import ReferenceEvaluator, input_device
from depthprune.tasks.load import load_split
from depthprune.tasks.task import Task, TaskSplit

METRICS = ("ppl", "zeroshot", "speed", "memory")

STANDARD = Windows(2048, 512)
QUICK = Windows(128, 128)

SEED = 0
"""Chooses the documents of a task, where not all are asked."""


@dataclass(frozen=True)
class CardOptions:
    """What is measured of a model.

    Attributes:
        metrics: some of `METRICS`.
        texts: for `ppl`.
        windows: in which texts are read.
        tasks: for `zeroshot`.
        scored: tasks whose samples are scored, each with the name of a split.
        num_samples: documents of each task; None means all.
        speed: what is timed, for `speed` and `memory`.
        removal: blocks that are skipped.
        part: the stack they are skipped from, see `blocks.find_stack`.
        batch_size: rows at once; None chooses by memory.
        download: whether data may be fetched from the hub.
    """

    metrics: tuple[str, ...] = METRICS
    texts: tuple[TextSet, ...] = ()
    windows: Windows = STANDARD
    tasks: tuple[ZeroShotTask, ...] = ()
    scored: tuple[tuple[Task, str], ...] = ()
    num_samples: int | None = None
    speed: SpeedOptions = field(default_factory=SpeedOptions)
    removal: Removal = ()
    part: str = "text"
    batch_size: int | None = None
    download: bool = False


@dataclass(frozen=True)
class CardOutcome:
    """What was done.

    Attributes:
        path: of the file.
        card: its content.
        measured: parts that were measured now.
        reused: parts that were there already.
        failed: why parts that were asked for could not be measured.
    """

    path: Path
    card: Card
    measured: tuple[str, ...]
    reused: tuple[str, ...]
    failed: Mapping[str, str]


def check_metrics(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the metrics that are named, each once, in their usual order.

    Raises:
        DepthpruneError: there is no such metric, or none is named.
    """
    unknown = [name for name in names if name not in METRICS]
    if unknown or not names:
        raise DepthpruneError(
            f"there is no metric {unknown[0]!r}" if unknown else "no metric was named",
            option="metrics",
            mend=f"choose some of {', '.join(METRICS)}",
        )
    return tuple(name for name in METRICS if name in names)


def measure_card(
    loaded: LoadedModel,
    stack: Stack,
    options: CardOptions,
    path: Path,
    *,
    name: str | None = None,
    overwrite: bool = False,
) -> CardOutcome:
    """Measure what is asked for and not in the file yet; the file is written after every part.

    A part (a text, a task, a batch size) that fails is kept as an error, and the others go on.

    Args:
        loaded: a language model, or a vision-language model, which is measured on texts.
        stack: of its blocks.
        options: what is measured.
        path: of the file.
        name: of the model in the file; its own when None.
        overwrite: begin anew, whatever the file holds.

    Raises:
        ModelError: the model writes no text.
        RemovalError: a block does not exist.
        InadmissibleRemovalError: the architecture cannot express the removal.
        FileError: the file holds something else, or cannot be written.
    """
    if loaded.kind not in ("text", "image-text"):
        raise ModelError(
            f"{loaded.name} is a {loaded.kind} model: it writes no text",
            mend="choose a language model or a vision-language model",
        )
    check_admissible(stack, options.removal)
    with skip(loaded.model, options.removal, stack):
        info = model_info(loaded, stack, options.removal, name=name)
    file = CardFile(path, info_value(info), overwrite=overwrite)
    parts = list(_parts(_Run(loaded, stack, options, file)))
    file.card["config"] = config_value(loaded, options)
    ready: list[tuple[Part, Measure]] = []
    measured, reused, failed = [], [], {}
    # What fails is known before anything is measured.
    with progress("reading texts and samples", len(parts)) as bar:
        for part, prepare in parts:
            bar.describe(f"reading {part_name(part)}")
            try:
                ready.append((part, prepare()))
            except Exception as error:  # Hours of other parts must not go with this one.
                failed[part_name(part)] = _told(error)
                file.fail(part, failed[part_name(part)])
            bar.advance()
    for names, told in grouped(failed):
        logger.warning("%s will not be measured: %s", ", ".join(names), told)
    with progress("evaluating", len(ready)) as bar:
        for part, measure in ready:
            bar.describe(part_name(part))
            step = _Step(bar)
            try:
                if measure(step):
                    measured.append(part_name(part))
                else:
                    reused.append(part_name(part))
            except Exception as error:  # likewise
                logger.debug("%s failed", part_name(part), exc_info=True)
                failed[part_name(part)] = _told(error)
                file.fail(part, failed[part_name(part)])
            if part_name(part) in failed:
                # Only here: the exception's traceback held the batch's tensors.
                free_memory()
            step.finish()
    if "zeroshot" in options.metrics:
        _average(file.card["zeroshot"], options)
    file.write()
    return CardOutcome(path, file.card, tuple(measured), tuple(reused), failed)


def config_value(loaded: LoadedModel, options: CardOptions) -> dict[str, Any]:
    """Return how the model was measured last."""
    return {
        "metrics": list(options.metrics),
        "ppl_texts": [text.name for text in options.texts],
        "window": options.windows.window,
        "stride": options.windows.stride,
        "quick_window": QUICK.window,
        "quick_stride": QUICK.stride,
        "zeroshot_tasks": [task.name for task in options.tasks],
        "tasks": [[task.name, split] for task, split in options.scored],
        "num_samples": options.num_samples,
        "seed": SEED,
        "speed": asdict(options.speed) | {"batch_sizes": list(options.speed.batch_sizes)},
        "remove": list(options.removal),
        "stack": options.part,
        "batch_size": options.batch_size,
        "device": str(input_device(loaded.model)),
        "device_name": device_name(loaded),
        "versions": versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@dataclass(frozen=True)
class _Run:
    """What every part needs: the model, what is asked, and where it is kept."""

    loaded: LoadedModel
    stack: Stack
    options: CardOptions
    file: CardFile


Measure = Callable[["_Step"], bool]
"""Measures one part; returns False when it was there already."""

Prepare = Callable[[], Measure]
"""Reads what one part needs, and checks it."""


def _parts(run: _Run) -> Iterator[tuple[Part, Prepare]]:
    options = run.options
    for task, split in options.scored:
        name = task.name if len({one for _, one in options.scored}) < 2 else f"{task.name} {split}"
        part: Part = ("scores", name)
        yield part, partial(_ready_to_score, run, task, split, part)
    if "ppl" in options.metrics:
        for text in options.texts:
            part = ("ppl", text.name)
            yield part, partial(_ready_to_read, run, text, part)
    if "zeroshot" in options.metrics:
        for each in options.tasks:
            part = ("zeroshot", "tasks", each.name)
            yield part, partial(_ready_to_answer, run, each, part)
    for metric, measure in (("speed", _measure_speed), ("memory", _measure_memory)):
        for batch in options.speed.batch_sizes if metric in options.metrics else ():
            part = (metric, f"batch_size_{batch}")
            yield part, partial(_ready_to_write, run, partial(measure, run, batch, part))


def _ready_to_score(run: _Run, task: Task, split: str, part: Part) -> Measure:
    return partial(_score, run, scored_split(run.loaded, run.options, task, split), part)


def scored_split(loaded: LoadedModel, options: CardOptions, task: Task, split: str) -> TaskSplit:
    """Return the samples of a task that is scored, as the model is asked.

    Raises:
        DepthpruneError: they cannot be read, or the model cannot be asked about pictures.
    """
    task = prompted(task, loaded.processor, loaded.prompt)
    samples = load_split(task, split, options.num_samples, SEED)
    if any(samples.pictures):
        refuse_pictures(loaded.name, loaded.processor, [task.name])
    return samples


def scored_removals(options: CardOptions, task: Task) -> list[Removal]:
    """Return what a task is scored without: its blocks, and nothing where answers are compared."""
    # Damage is told against what the whole model writes; a likelihood writes nothing.
    both = bool(options.removal) and task.answer == "generate"
    return [options.removal, ()] if both else [options.removal]


def _ready_to_read(run: _Run, source: TextSet, part: Part) -> Measure:
    text = source.read(download=run.options.download)
    return partial(_measure_text, run, source.name, text, part)


def _ready_to_answer(run: _Run, task: ZeroShotTask, part: Part) -> Measure:
    split = task.load(run.loaded, run.options.num_samples, seed=SEED, download=run.options.download)
    return partial(_measure_task, run, split, part)


def _ready_to_write(run: _Run, measure: Measure) -> Measure:
    check_positions(run.loaded.model, run.options.speed)
    return measure


def _score(run: _Run, split: TaskSplit, part: Part, step: _Step) -> bool:
    removals = scored_removals(run.options, split.task)
    with_whole = len(removals) > 1
    fingerprint = fingerprint_of({"task": split.fingerprint, "with_whole": with_whole})
    if run.file.kept(part, fingerprint):
        return False
    evaluator = ReferenceEvaluator(
        run.loaded,
        part=run.options.part,
        batch_size=run.options.batch_size or "auto",
        on_batch=lambda finished: step.advance(finished / len(split.samples) / len(removals)),
    )
    found = evaluator.evaluate(split, removals)
    run.file.store(part, score_value(split, found, is_cut=with_whole), fingerprint)
    return True


def _measure_text(run: _Run, source: str, text: Text, part: Part, step: _Step) -> bool:
    asked = {"standard": run.options.windows, "quick": QUICK}
    settings = {name: asdict(windows) for name, windows in asked.items()}
    fingerprint = fingerprint_of({"text": text.digest, **settings})
    if run.file.kept(part, fingerprint):
        return False
    tokens = text_tokens(run.loaded, text.content)
    positions = max_positions(run.loaded.model)
    found = {}
    with skip(run.loaded.model, run.options.removal, run.stack):
        for name, windows in asked.items():
            read = windows.within(positions)
            if read != windows:
                logger.warning(
                    "%s: the model reads %d tokens at most; window, stride %d, %d, not %d, %d",
                    source,
                    read.window,
                    *(read.window, read.stride, windows.window, windows.stride),
                )
            found[name] = perplexity(
                run.loaded,
                tokens,
                read,
                batch_size=run.options.batch_size,
                on_progress=lambda share: step.advance(share / len(asked)),
            )
    entry = {name: perplexity_value(one, asked[name]) for name, one in found.items()}
    run.file.store(part, {**entry, "text_sha256": text.digest}, fingerprint)
    return True


def _measure_task(run: _Run, split: TaskSplit, part: Part, step: _Step) -> bool:
    fingerprint = fingerprint_of({"task": split.fingerprint})
    if run.file.kept(part, fingerprint):
        return False
    found = task_accuracy(
        run.loaded,
        split,
        run.options.removal,
        part=run.options.part,
        batch_size=run.options.batch_size or "auto",
        on_batch=lambda finished: step.advance(finished / len(split.samples)),
    )
    run.file.store(part, accuracy_value(found), fingerprint)
    return True


def _measure_speed(run: _Run, batch_size: int, part: Part, step: _Step) -> bool:
    fingerprint = _speed_fingerprint(run.loaded, run.options, batch_size)
    if run.file.kept(part, fingerprint):
        return False
    removals = dict.fromkeys([run.options.removal, ()])
    sides = [partial(skip, run.loaded.model, removal, run.stack) for removal in removals]
    options = run.options.speed
    speed, *whole = measure_in_turns(
        run.loaded, batch_size, options, sides, on_progress=step.advance
    )
    entry = speed_value(speed, options, device_name(run.loaded))
    for other in whole:
        entry |= ratio_value(other, speed)
    run.file.store(part, entry, fingerprint)
    return True


def _measure_memory(run: _Run, batch_size: int, part: Part, step: _Step) -> bool:
    fingerprint = _speed_fingerprint(run.loaded, run.options, batch_size)
    if run.file.kept(part, fingerprint):
        return False
    whole = weight_bytes(run.loaded.model)
    with skip(run.loaded.model, run.options.removal, run.stack):
        weights = weight_bytes(run.loaded.model)
        peak = peak_while(
            lambda: write_once(run.loaded, batch_size, run.options.speed),
            input_device(run.loaded.model).type,
        )
    entry = memory_value(peak, weights, whole - weights, run.options.speed)
    run.file.store(part, entry, fingerprint)
    return True


def _average(zeroshot: dict[str, Any], options: CardOptions) -> None:
    """Set the average over the tasks that this command names, as far as they were measured."""
    accuracies = {
        task.name: zeroshot["tasks"][task.name]["accuracy"]
        for task in options.tasks
        if zeroshot["tasks"].get(task.name, {}).get("accuracy") is not None
    }
    zeroshot["average"] = mean_accuracy(list(accuracies.values()))
    zeroshot["average_of"] = list(accuracies)


def _speed_fingerprint(loaded: LoadedModel, options: CardOptions, batch_size: int) -> str:
    installed = versions()
    return fingerprint_of(
        asdict(options.speed)
        | {
            "batch_sizes": batch_size,
            "device": device_name(loaded),
            "versions": [installed["torch"], installed["transformers"]],
        }
        # Without blocks the whole model took turns.
        | ({"in_turns": True} if options.removal else {})
    )


def _told(error: Exception) -> str:
    """Return an error as one line: a user's mistakes in words, others with their kind."""
    text = " ".join(str(error).split())
    return text if isinstance(error, DepthpruneError) else f"{type(error).__name__}: {text}"[:500]


class _Step:
    """The share of one part that is done, so that every part moves the bar by one."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._done = 0.0

    def advance(self, share: float) -> None:
        self._done += share
        self._bar.advance(share)

    def finish(self) -> None:
        self._bar.advance(1 - self._done)
