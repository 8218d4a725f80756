"""What one model is worth and what it costs: perplexity, zero-shot accuracy, speed, memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from depthprune.base.progress import shown
from depthprune.base.removal import check_removal, make_removal
from depthprune.benchmark.measure import run_benchmark
from depthprune.benchmark.options import BenchmarkOptions, ScoredTasks, benchmark_plan
from depthprune.workflow.models import Model, as_model

if TYPE_CHECKING:
    from torch import nn


RESULTS = Path("evaluation_results.json")
"""What the file of an evaluation is called."""


@dataclass(frozen=True)
class Evaluation:
    """What was measured of one model.

    Attributes:
        card: all of it, as docs/evaluate.md describes the file.
        failed: why parts that were asked for could not be measured, by part.
        path: of the file; None where none was asked for.
    """

    card: Mapping[str, Any]
    failed: Mapping[str, str]
    path: Path | None = None

    @property
    def perplexity(self) -> dict[str, float | None]:
        """Perplexity of each text, in windows of 2048 tokens; None beyond all numbers."""
        return {name: one["standard"]["ppl"] for name, one in self.card["ppl"].items()}

    @property
    def accuracy(self) -> dict[str, float | None]:
        """Zero-shot accuracy of each task, a fraction."""
        tasks = self.card["zeroshot"]["tasks"]
        return {name: one.get("accuracy") for name, one in tasks.items()}

    @property
    def scores(self) -> dict[str, float]:
        """Accuracy of each task of `score`, a fraction; of several splits as "task split"."""
        return {name: one["accuracy"] for name, one in self.card["scores"].items()}

    @property
    def tokens_per_second(self) -> dict[int, float]:
        """New tokens per second of all rows together, by batch size."""
        return {_size(name): one["tokens_per_second"] for name, one in self.card["speed"].items()}

    @property
    def peak_bytes(self) -> dict[int, int | None]:
        """The most memory in use while tokens are generated, by batch size; None if unknown."""
        return {_size(name): one["peak_bytes"] for name, one in self.card["memory"].items()}

    @property
    def parameters(self) -> int:
        """How many parameters the model has, without those of skipped blocks."""
        count: int = self.card["model_info"]["parameters"]
        return count


def evaluate(
    model: Model | str | Path | nn.Module,
    *,
    metrics: Sequence[str] = BenchmarkOptions.metrics,
    ppl_texts: Sequence[str | Path] = BenchmarkOptions.ppl_texts,
    tasks: Sequence[str] = BenchmarkOptions.zeroshot_tasks,
    num_samples: int | None = None,
    score: Sequence[str] = (),
    splits: Sequence[str] = ScoredTasks.splits,
    data_dir: str | Path | None = None,
    task_files: Sequence[str | Path] = (),
    removal: Iterable[int] = (),
    output: str | Path | None = None,
    overwrite: bool = False,
    download: bool = False,
    progress: bool = True,
) -> Evaluation:
    """Measure accuracy, perplexity, speed and memory of a model, or of it without blocks.

    What fails is told in `failed`, and the other parts are measured. With an output file every part
    is kept as soon as it is measured, and the same call goes on.

    Args:
        model: from `load_model`, or what that takes.
        metrics: some of ppl, zeroshot, speed, memory; when not given all, or none beside `score`.
        ppl_texts: for ppl: wikitext2, ptb, or files: plain text, or .jsonl with a field text.
        tasks: for zeroshot: tasks or groups of the lm-evaluation-harness.
        score: tasks that are scored on all their samples, as `load_tasks` takes them.
        splits: of each of them.
        data_dir: folder with local copies of their data.
        task_files: files that define own tasks: YAML, or Python, which is executed.
        num_samples: samples of each task, drawn at random; None takes all.
        removal: blocks that are skipped, counted from 0 in the whole model.
        output: a JSON file that keeps what is measured; None keeps nothing.
        overwrite: begin anew, whatever the file holds.
        download: allow fetching texts and tasks from the hub.
        progress: show a bar.

    Raises:
        ModelError: the model writes no text, or has no processor.
        RemovalError, InadmissibleRemovalError: the blocks cannot be skipped.
        DepthpruneError: there is no such metric, text or task; the file is about another model.
    """
    from depthprune.workflow.measuring import check_processor

    loaded = as_model(model)
    check_processor(loaded)
    asked = BenchmarkOptions(
        metrics=tuple(metrics),
        ppl_texts=tuple(map(str, ppl_texts)),
        zeroshot_tasks=tuple(tasks),
        num_samples=num_samples or 0,
        download=download,
    )
    gone = check_removal(make_removal(removal), loaded.num_blocks)
    scored = ScoredTasks(
        tasks=tuple(score),
        splits=tuple(splits),
        data_dir=None if data_dir is None else Path(data_dir),
        task_files=tuple(map(Path, task_files)),
    )
    options = replace(benchmark_plan(asked, loaded.options, scored), removal=gone)
    with TemporaryDirectory() as folder, shown(progress):
        path = Path(folder) / "evaluation.json" if output is None else Path(output)
        found = run_benchmark(
            loaded.loaded,
            loaded.stack,
            options,
            path,
            name=loaded.options.name,
            overwrite=overwrite,
        )
    return Evaluation(found.content, found.failed, None if output is None else path)


def _size(part: str) -> int:
    return int(part.rpartition("_")[2])
