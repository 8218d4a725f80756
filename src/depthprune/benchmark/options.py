"""What is measured of a model by itself: the options of `depthprune evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, MinLen

from depthprune.base.errors import DepthpruneError
from depthprune.base.options import Options
from depthprune.base.removal import Removal, parse_removal
from depthprune.benchmark.cost import SpeedOptions
from depthprune.benchmark.perplexity import HUB_TEXTS, TextSet, Windows, text_sets
from depthprune.benchmark.zero_shot import ZERO_SHOT_TASKS, ZeroShotTask, zero_shot_tasks
from depthprune.engine.options import ModelOptions
from depthprune.tasks.options import DataOptions
from depthprune.tasks.task import Task

METRICS = ("ppl", "zeroshot", "speed", "memory")

STANDARD = Windows(2048, 512)


@dataclass(frozen=True)
class BenchmarkOptions(Options):
    """Metrics."""

    metrics: tuple[str, ...] = ()
    """Metrics: ppl, zeroshot, speed, memory; several as ppl,speed. Default: all, or none if tasks
    are given."""

    ppl_texts: tuple[str, ...] = tuple(HUB_TEXTS)
    """Texts for perplexity: wikitext2, ptb, or files (plain text, or .jsonl with a field text)."""

    window: int = 2048
    """Window of perplexity in tokens; at most the number of positions of the model."""

    stride: int | None = None
    """Stride in tokens between windows; the overlap is context only. Default: a quarter of the
    window."""

    zeroshot_tasks: tuple[str, ...] = ZERO_SHOT_TASKS
    """Tasks or groups of the lm-evaluation-harness, or YAML files with definitions."""

    lm_eval_paths: tuple[Path, ...] = ()
    """Folders with task definitions for the lm-evaluation-harness. Python code that they name is
    executed."""

    num_samples: Annotated[int, Ge(0)] = 0
    """Number of samples of each task, drawn at random; 0 means all."""

    prompt_tokens: int = 64
    """Prompt length in tokens for the measurement of generation speed."""

    new_tokens: int = 128
    """Number of generated tokens for each sequence of the speed measurement."""

    repeats: int = 5
    """Number of timed runs of each batch size, after one warm-up run."""

    remove: tuple[str, ...] = ()
    """Blocks to skip, e.g. 4,13; the model is evaluated as if these blocks did not exist."""

    download: bool = False
    """Download model, texts and tasks from the hub; otherwise only the local cache is read."""


@dataclass(frozen=True)
class ScoredTasks(Options):
    """Tasks and data."""

    tasks: tuple[str, ...] = ()
    """Tasks to score on all their samples, e.g. okvqa lm_eval:arc_easy; any task of a search."""

    splits: Annotated[tuple[str, ...], MinLen(1)] = ("validation",)
    """Splits of each task."""

    data_dir: Path | None = None
    """Folder with local copies of the data: DIR/TASK/SPLIT.jsonl, .parquet or a folder."""

    follow_links: bool = False
    """Follow symbolic links to images outside the data folder."""

    task_files: tuple[Path, ...] = ()
    """Files that define your own tasks: YAML, or Python, which is executed."""

    def find(self, asked: BenchmarkOptions) -> tuple[tuple[Task, str], ...]:
        """Return the tasks, each with each split; nothing where none is named.

        Raises:
            DepthpruneError: there is no such task; names all of them.
        """
        if not self.tasks:
            return ()
        shared: dict[str, Any] = {
            "lm_eval_paths": asked.lm_eval_paths,
            "download": asked.download,
        }
        data = DataOptions(**vars(self), **shared)
        return tuple((task, split) for task in data.find_tasks() for split in self.splits)


@dataclass(frozen=True)
class BenchmarkPlan:
    """What is measured of a model, texts and tasks looked up.

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


def benchmark_plan(
    asked: BenchmarkOptions,
    run: ModelOptions,
    scored: ScoredTasks = ScoredTasks(),
) -> BenchmarkPlan:
    """Return what is measured, with texts and tasks looked up.

    Raises:
        DepthpruneError: a metric, text or task does not exist, or a number makes no sense.
    """
    all_of_them = () if scored.tasks else METRICS
    metrics = check_metrics(_split(asked.metrics)) if asked.metrics else all_of_them
    stride = asked.window // 4 if asked.stride is None else asked.stride
    tasks = _split(asked.zeroshot_tasks)
    return BenchmarkPlan(
        metrics=metrics,
        texts=text_sets(listed(asked.ppl_texts, "ppl_texts")) if "ppl" in metrics else (),
        windows=Windows(asked.window, stride),
        tasks=zero_shot_tasks(tasks, asked.lm_eval_paths) if "zeroshot" in metrics else (),
        scored=scored.find(asked),
        num_samples=asked.num_samples or None,
        speed=SpeedOptions(
            prompt_tokens=asked.prompt_tokens, new_tokens=asked.new_tokens, repeats=asked.repeats
        ),
        removal=parse_removal(" ".join(asked.remove)),
        part=run.stack,
        batch_size=run.batch_size,
        download=asked.download,
    )


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


def listed(given: Sequence[str], option: str) -> tuple[str, ...]:
    """Return files or names that were written as `a b` or `a,b`; a file's own comma stays.

    Raises:
        DepthpruneError: none is named.
    """
    words = [(word,) if Path(word).is_file() else _split((word,)) for word in given]
    names = tuple(name for word in words for name in word)
    if not names:
        raise DepthpruneError("nothing is named", option=option, mend="name at least one")
    return names


def _split(given: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for word in given for name in word.split(",") if name)
