"""Measure a model part by part: what is finished is kept, what fails is told, the rest goes on."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from depthprune.base.documents import Json
from depthprune.base.errors import DepthpruneError, ModelError
from depthprune.base.log import logger
from depthprune.base.progress import Progress, progress
from depthprune.base.removal import Removal
from depthprune.benchmark.compare import speed_ratio
from depthprune.benchmark.cost import (
    check_positions,
    measure_in_turns,
    model_info,
    peak_while,
    weight_bytes,
    write_once,
)
from depthprune.benchmark.options import BenchmarkPlan
from depthprune.benchmark.perplexity import TextSet, Windows, perplexity, text_tokens
from depthprune.benchmark.results_file import Part, ResultsFile, fingerprint_of, grouped, part_name
from depthprune.benchmark.zero_shot import ZeroShotTask, mean_accuracy, task_accuracy
from depthprune.blocks.admissible import check_admissible
from depthprune.blocks.models import LoadedModel
from depthprune.blocks.skipping import skip
from depthprune.blocks.stack import Stack
from depthprune.engine.batching import free_memory
from depthprune.engine.chat import prompted, refuse_pictures
from depthprune.engine.evaluator import Evaluator
from depthprune.engine.inputs import max_positions
from depthprune.engine.reference import ReferenceEvaluator, input_device
from depthprune.engine.session import cut_places
from depthprune.tasks.damage import damage
from depthprune.tasks.load import load_split
from depthprune.tasks.task import Task, TaskSplit

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUICK = Windows(128, 128)

SEED = 0
"""Chooses the documents of a task, where not all are asked."""

PACKAGES = ("depthprune", "torch", "transformers", "datasets", "lm_eval")

Advance = Callable[[float], None]
"""Is told which share of a part is done since the last time."""

Prepared = tuple[Json, Callable[[Advance], Json]]
"""The settings that identify what a part finds, and what measures it."""

Answering = Callable[[Callable[[float], None]], Evaluator]
"""Returns an evaluator that calls what it is given with the number of finished answers."""


@dataclass(frozen=True)
class BenchmarkOutcome:
    """What was done.

    Attributes:
        path: of the file.
        content: of the file, see docs/evaluate.md.
        measured: parts that were measured now.
        reused: parts that were there already.
        failed: why parts that were asked for could not be measured.
    """

    path: Path
    content: Json
    measured: tuple[str, ...]
    reused: tuple[str, ...]
    failed: Mapping[str, str]


def run_benchmark(
    loaded: LoadedModel,
    stack: Stack,
    plan: BenchmarkPlan,
    path: Path,
    *,
    name: str | None = None,
    overwrite: bool = False,
    evaluator: Answering | None = None,
) -> BenchmarkOutcome:
    """Measure what is asked for and not in the file yet; the file is written after every part.

    A part (a text, a task, a batch size) that fails is kept as an error, and the others go on.

    Args:
        loaded: a language model, or a vision-language model, which is measured on texts.
        stack: of its blocks.
        plan: what is measured.
        path: of the file.
        name: of the model in the file; its own when None.
        overwrite: begin anew, whatever the file holds.
        evaluator: answers the tasks, see `OpenModel.answering`; plain generation where not given.

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
    check_admissible(stack, plan.removal)
    with skip(loaded.model, plan.removal, stack):
        info = model_info(loaded, stack, plan.removal, name=name)
    file = ResultsFile(path, info, overwrite=overwrite)
    parts = list(_Parts(loaded, stack, plan, evaluator))
    file.content["config"] = config_value(loaded, plan)
    ready: list[tuple[Part, Prepared]] = []
    measured, reused, failed = [], [], {}
    # What fails is known before anything is measured.
    with progress("reading texts and samples", len(parts)) as bar:
        for part, prepare in parts:
            bar.describe(f"reading {part_name(part)}")
            try:
                ready.append((part, prepare()))
            except Exception as error:  # Hours of other parts must not go with this one.
                failed[part_name(part)] = _in_one_line(error)
                file.fail(part, failed[part_name(part)])
            bar.advance()
    for names, reason in grouped(failed):
        logger.warning("%s will not be measured: %s", ", ".join(names), reason)
    with progress("evaluating", len(ready)) as bar:
        for part, (settings, measure) in ready:
            bar.describe(part_name(part))
            step = _Step(bar)
            try:
                fingerprint = fingerprint_of(settings)
                if file.kept(part, fingerprint):
                    reused.append(part_name(part))
                else:
                    file.store(part, measure(step.advance), fingerprint)
                    measured.append(part_name(part))
            except Exception as error:  # likewise
                logger.debug("%s failed", part_name(part), exc_info=True)
                failed[part_name(part)] = _in_one_line(error)
                file.fail(part, failed[part_name(part)])
            if part_name(part) in failed:
                # Only here: the exception's traceback held the batch's tensors.
                free_memory()
            step.finish()
    if "zeroshot" in plan.metrics:
        _average(file.content["zeroshot"], plan)
    file.write()
    return BenchmarkOutcome(path, file.content, tuple(measured), tuple(reused), failed)


def config_value(loaded: LoadedModel, plan: BenchmarkPlan) -> Json:
    """Return how the model was measured last."""
    return {
        "metrics": list(plan.metrics),
        "ppl_texts": [text.name for text in plan.texts],
        "window": plan.windows.window,
        "stride": plan.windows.stride,
        "quick_window": QUICK.window,
        "quick_stride": QUICK.stride,
        "zeroshot_tasks": [task.name for task in plan.tasks],
        "tasks": [[task.name, split] for task, split in plan.scored],
        "num_samples": plan.num_samples,
        "seed": SEED,
        "speed": asdict(plan.speed) | {"batch_sizes": list(plan.speed.batch_sizes)},
        "remove": list(plan.removal),
        "stack": plan.part,
        "batch_size": plan.batch_size,
        "device": str(input_device(loaded.model)),
        "device_name": _device_name(loaded),
        "versions": _versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@dataclass(frozen=True)
class _Parts:
    """All that is measured by itself: each part with what reads its data, and checks them."""

    loaded: LoadedModel
    stack: Stack
    plan: BenchmarkPlan
    evaluator: Answering | None = None

    def __iter__(self) -> Iterator[tuple[Part, Callable[[], Prepared]]]:
        plan = self.plan
        several = len({split for _, split in plan.scored}) > 1
        for task, split in plan.scored:
            name = f"{task.name} {split}" if several else task.name
            yield ("scores", name), partial(self._scores, task, split)
        for text in plan.texts if "ppl" in plan.metrics else ():
            yield ("ppl", text.name), partial(self._perplexities, text)
        for each in plan.tasks if "zeroshot" in plan.metrics else ():
            yield ("zeroshot", "tasks", each.name), partial(self._accuracy, each)
        for metric, prepare in (("speed", self._speed), ("memory", self._memory)):
            for batch_size in plan.speed.batch_sizes if metric in plan.metrics else ():
                yield (metric, f"batch_size_{batch_size}"), partial(prepare, batch_size)

    def _scores(self, task: Task, split_name: str) -> Prepared:
        split = scored_split(self.loaded, self.plan, task, split_name)
        removals = scored_removals(self.plan, split.task)

        def measure(advance: Advance) -> Json:
            found = self._evaluator(
                lambda count: advance(count / len(split.samples) / len(removals))
            ).evaluate(split, removals)
            own, whole = found.answers[0], found.answers[-1]
            if len(removals) == 1:
                return _score(split, found.scores[0], own, whole, is_cut=False)
            value = _score(split, found.scores[0], own, whole, is_cut=True)
            beside = _score(split, found.scores[1], whole, whole, is_cut=False)
            return value | {"whole": {one: beside[one] for one in ("accuracy", "stderr", "damage")}}

        return {"task": split.fingerprint, "with_whole": len(removals) > 1}, measure

    def _evaluator(self, on_batch: Callable[[float], None]) -> Evaluator:
        if self.evaluator is not None:
            return self.evaluator(on_batch)
        return ReferenceEvaluator(
            self.loaded,
            part=self.plan.part,
            batch_size=self.plan.batch_size or "auto",
            on_batch=on_batch,
        )

    def _perplexities(self, source: TextSet) -> Prepared:
        text = source.read(download=self.plan.download)
        asked = {"standard": self.plan.windows, "quick": QUICK}

        def measure(advance: Advance) -> Json:
            tokens = text_tokens(self.loaded, text.content)
            positions = max_positions(self.loaded.model)
            entry = {}
            with skip(self.loaded.model, self.plan.removal, self.stack):
                for name, windows in asked.items():
                    read = windows.within(positions)
                    if read != windows:
                        logger.warning(
                            "%s: the model reads %d tokens at most; "
                            "window, stride %d, %d, not %d, %d",
                            *(source.name, read.window),
                            *(read.window, read.stride, windows.window, windows.stride),
                        )
                    found = perplexity(
                        self.loaded,
                        tokens,
                        read,
                        batch_size=self.plan.batch_size,
                        on_progress=lambda share: advance(share / len(asked)),
                    )
                    entry[name] = found.entry(windows)
            return entry | {"text_sha256": text.digest}

        settings = {name: asdict(windows) for name, windows in asked.items()}
        return {"text": text.digest, **settings}, measure

    def _accuracy(self, task: ZeroShotTask) -> Prepared:
        plan = self.plan
        split = task.load(self.loaded, plan.num_samples, seed=SEED, download=plan.download)

        def measure(advance: Advance) -> Json:
            return task_accuracy(
                self.loaded,
                split,
                plan.removal,
                part=plan.part,
                batch_size=plan.batch_size or "auto",
                on_batch=lambda count: advance(count / len(split.samples)),
            ).entry()

        return {"task": split.fingerprint}, measure

    def _speed(self, batch_size: int) -> Prepared:
        model, options = self.loaded.model, self.plan.speed
        check_positions(model, options)

        def measure(advance: Advance) -> Json:
            removals = dict.fromkeys([self.plan.removal, ()])
            sides = [partial(skip, model, removal, self.stack) for removal in removals]
            speed, *whole = measure_in_turns(
                self.loaded, batch_size, options, sides, on_progress=advance
            )
            entry = speed.entry(options, _device_name(self.loaded))
            for other in whole:
                ratio = speed_ratio(other.seconds, speed.seconds, in_turns=True)
                entry |= {
                    "whole_seconds": list(other.seconds),
                    "whole_tokens_per_second": other.tokens_per_second,
                    "times_as_fast": asdict(ratio),
                }
            return entry

        return self._timed(batch_size), measure

    def _memory(self, batch_size: int) -> Prepared:
        model, options = self.loaded.model, self.plan.speed
        check_positions(model, options)

        def measure(advance: Advance) -> Json:
            whole = weight_bytes(model)
            with skip(model, self.plan.removal, self.stack):
                weights = weight_bytes(model)
                peak = peak_while(
                    lambda: write_once(self.loaded, batch_size, options), input_device(model).type
                )
            return {
                "weights_bytes": weights,
                "skipped_bytes": whole - weights,
                "peak_bytes": peak,
                "peak_of": "allocated on GPUs",
                "prompt_tokens": options.prompt_tokens,
                "new_tokens": options.new_tokens,
            }

        return self._timed(batch_size), measure

    def _timed(self, batch_size: int) -> Json:
        """Return the settings under which time and memory compare."""
        installed = _versions()
        settings = asdict(self.plan.speed) | {
            "batch_sizes": batch_size,
            "device": _device_name(self.loaded),
            "versions": [installed["torch"], installed["transformers"]],
        }
        # Without blocks the whole model took turns.
        return settings | ({"in_turns": True} if self.plan.removal else {})


def scored_split(loaded: LoadedModel, plan: BenchmarkPlan, task: Task, split: str) -> TaskSplit:
    """Return the samples of a task that is scored, as the model is asked.

    Raises:
        DepthpruneError: they cannot be read, or the model cannot be asked about pictures.
    """
    task = prompted(task, loaded.processor, loaded.prompt)
    samples = load_split(task, split, plan.num_samples, SEED)
    if any(samples.pictures):
        refuse_pictures(loaded.name, loaded.processor, [task.name])
    return samples


def scored_removals(plan: BenchmarkPlan, task: Task) -> list[Removal]:
    """Return what a task is scored without: its blocks, and nothing where answers are compared."""
    # Damage is told against what the whole model writes; a likelihood writes nothing.
    both = bool(plan.removal) and task.answer == "generate"
    return [plan.removal, ()] if both else [plan.removal]


def _score(
    split: TaskSplit,
    scores: NDArray[np.float32],
    answers: Sequence[str],
    whole: Sequence[str],
    *,
    is_cut: bool,
) -> Json:
    """Return the score of a task; `whole` are the answers of the whole model, where `is_cut`."""
    exact = scores.astype(np.float64)
    std = float(exact.std(ddof=1)) if len(exact) > 1 else None
    return {
        "task": split.task.name,
        "split": split.split,
        "metric": split.scorer.name,
        "accuracy": float(exact.mean()),
        "stderr": None if std is None else std / math.sqrt(len(exact)),
        "n": len(exact),
        "task_fingerprint": split.fingerprint,
        "damage": _damage(split.task, answers, whole, is_cut=is_cut),
    }


def _damage(
    task: Task, answers: Sequence[str], whole: Sequence[str], *, is_cut: bool
) -> Json | None:
    """Return the damaged answers; None of likelihoods. What it alone writes is its own script."""
    cut = cut_places(answers, task)
    if cut is None:
        return None
    found = vars(damage(answers, whole, cut))
    return found if is_cut else found | {"script": None}


def _average(zeroshot: Json, plan: BenchmarkPlan) -> None:
    """Set the average over the tasks that this command names, as far as they were measured."""
    accuracies = {
        task.name: zeroshot["tasks"][task.name]["accuracy"]
        for task in plan.tasks
        if zeroshot["tasks"].get(task.name, {}).get("accuracy") is not None
    }
    zeroshot["average"] = mean_accuracy(list(accuracies.values()))
    zeroshot["average_of"] = list(accuracies)


def _device_name(loaded: LoadedModel) -> str:
    """Return what the model runs on, in words."""
    import torch

    device = input_device(loaded.model)
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    return f"{platform.machine()} {device.type}{threads}"


def _versions() -> dict[str, str | None]:
    """Return the versions of what took part, None where it is not installed."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _in_one_line(error: Exception) -> str:
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
