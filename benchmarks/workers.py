"""What does sharing samples out to workers cost, and how far does it carry?

    python benchmarks/workers.py [--samples 64] [--workers 1 2 4 8] [--figure workers.png]

One beam search on each of four demo tasks, by one evaluator and by so many workers, all in this
process and one after the other: nothing waits for a core or a network, and what each worker does in
each call is known exactly. A call lasts as long as its slowest worker, which gives the speed-up
that as many machines have, without Ray's own start-up. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from measuring import beam_search, differing, machine, measured

from depthprune.base.progress import Progress
from depthprune.base.removal import Removal
from depthprune.engine import Evaluation, Evaluator
from depthprune.engine.options import ModelOptions
from depthprune.engine.workers.sliced import SlicedEvaluator
from depthprune.engine.workers.worker import Answered, WorkerFacts
from depthprune.strategies.model import ModelSource, OpenModel, model_source, open_model
from depthprune.tasks.load import load_split
from depthprune.tasks.registry import find_task, list_tasks
from depthprune.tasks.task import TaskSplit
from depthprune.testing.workers import LocalPool

TASKS = ("demo_okvqa", "demo_doc_qa", "demo_coco_caption", "demo_tally_qa")
OPENED: list[OpenModel] = []
"""The models of the workers, in their order."""


def open_counted(options: ModelSource, bar: Progress) -> tuple[Evaluator, WorkerFacts]:
    """Open a model as a worker does, and keep it, so that its work can be counted."""
    opened = open_model(options)
    OPENED.append(opened)
    evaluator = opened.evaluator(bar)
    return evaluator, WorkerFacts(opened.record, evaluator.settings, opened.state)


class CountingPool(LocalPool):
    """Counts what each job takes: its call, CPU seconds and block-tokens."""

    def __init__(self, number: int, options: ModelSource) -> None:
        OPENED.clear()
        super().__init__(number, partial(open_counted, options))
        self.opened = list(OPENED)
        self.took: list[tuple[tuple[int, tuple[Removal, ...]], float, int]] = []

    def result(self, handle: Any) -> Answered:
        """See `Pool.result`."""
        worker, job = self.jobs[handle]
        with measured(self.opened[worker].loaded) as cost:
            answered = super().result(handle)
        self.took.append(((job.number, job.removals), cost.cpu, cost.tokens))
        return answered

    def longest(self) -> tuple[float, int]:
        """Return CPU seconds and block-tokens when every call lasts as its slowest worker."""
        calls = [list(jobs) for _, jobs in groupby(self.took, key=lambda job: job[0])]
        return (
            sum(max(cpu for _, cpu, _ in jobs) for jobs in calls),
            sum(max(tokens for _, _, tokens in jobs) for jobs in calls),
        )


def main() -> None:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4, 8, 16])
    parser.add_argument("--most", type=int, default=2, help="blocks removed")
    parser.add_argument("--figure", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    options = model_source("demo", ModelOptions(dtype="float32", batch_size=asked.batch_size))
    tasks = list_tasks()
    splits = [load_split(find_task(one, tasks), "validation", asked.samples) for one in TASKS]
    opened = open_model(options)
    with measured(opened.loaded) as alone:
        expected = search(opened.evaluator(Progress()), splits, asked.most, opened)
    answers = sum(len(one.answers[0]) for found in expected for one in found.values())
    print(machine(), f"\n{answers} answers, {alone.tokens} block-tokens, {alone.cpu:.1f} CPU s\n")
    print(
        "| workers | samples of each | block-tokens of all | speed-up by them | CPU of all | ",
        end="",
    )
    print("speed-up by CPU | differing answers |\n|--:|--:|--:|--:|--:|--:|--:|")
    lines = []
    for number in asked.workers:
        pool = CountingPool(number, options)
        evaluator = SlicedEvaluator(pool, opened.stack, lambda _: None)
        found = search(evaluator, splits, asked.most, opened)
        cpu, tokens = (sum(one[place] for one in pool.took) for place in (1, 2))
        longest_cpu, longest_tokens = pool.longest()
        lines.append((number, alone.tokens / longest_tokens, alone.cpu / longest_cpu))
        wrong = sum(differing(one, other) for one, other in zip(expected, found, strict=True))
        print(
            f"| {number} | {asked.samples / number:g} | {tokens / alone.tokens:.3f}x | "
            f"{lines[-1][1]:.2f}x | {cpu / alone.cpu:.2f}x | {lines[-1][2]:.2f}x | {wrong} |",
            flush=True,
        )
    print(f"\n{machine()}; {time.strftime('%Y-%m-%d')}")
    if asked.figure is not None:
        draw(lines, asked.samples, asked.figure)


def search(
    evaluator: Evaluator, splits: Sequence[TaskSplit], most: int, opened: OpenModel
) -> list[dict[Removal, Evaluation]]:
    """Return what a beam search measures on each split."""
    blocks = opened.stack.num_blocks
    return [beam_search(evaluator, one, blocks, most=most) for one in splits]


def draw(lines: Sequence[tuple[int, float, float]], samples: int, path: Path) -> None:
    """Draw the speed-up against the number of workers."""
    from matplotlib import pyplot

    numbers, tokens, cpu = zip(*lines, strict=True)
    figure, axes = pyplot.subplots(figsize=(5, 4), layout="constrained")
    axes.plot(numbers, numbers, color="0.7", linestyle="--", label="as many times as workers")
    axes.plot(numbers, tokens, marker="o", label="by block-tokens")
    axes.plot(numbers, cpu, marker="s", label="by CPU time of the slowest worker of each call")
    axes.set(xscale="log", yscale="log", xlabel="Workers", ylabel="Times as fast as one process")
    axes.set_xticks(numbers, labels=list(map(str, numbers)))
    axes.set_yticks(numbers, labels=list(map(str, numbers)))
    axes.minorticks_off()
    axes.set_title(f"Demo, {samples} samples of each of {len(TASKS)} tasks", fontsize="medium")
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
