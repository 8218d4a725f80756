"""What does sharing samples out to workers cost, and how far does it carry?

    python benchmarks/workers.py [--samples 64] [--workers 1 2 4 8 16] [--figure workers.png]
    python benchmarks/workers.py --ray [--workers 1 2]

One beam search on each of four demo tasks, by one evaluator and by so many workers, all in this
process and one after the other: nothing waits for a core or a network, and what each worker does in
each call is known exactly. A call lasts as long as its slowest worker, which gives the speed-up
that as many machines have, without Ray's own start-up. `--dtype bfloat16` tells which share of the
answers differs in half precision. What each call took gives, by least squares, the seconds of a
execution of a block and of a block-token; with these, 1 to 64 workers with 4 to 1000
samples each are simulated (samples drawn again from those measured) and drawn by `--figure`.

With `--ray`, the same by real workers of Ray on this machine: start-up, memory of each worker, wall
time, and how long a call takes that asks nothing. Prints tables in Markdown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import beam_search, differing, machine, measured, number_of_answers
from numpy.typing import NDArray

from depthprune.base.progress import Progress
from depthprune.base.removal import Removal
from depthprune.engine import Evaluation, Evaluator
from depthprune.engine.options import ModelOptions, Workers
from depthprune.engine.workers.sliced import SlicedEvaluator
from depthprune.engine.workers.worker import Answered, Job, WorkerFacts
from depthprune.strategies.model import (
    ModelSource,
    OpenModel,
    model_source,
    open_model,
    start_workers,
)
from depthprune.tasks.load import load_split
from depthprune.tasks.registry import find_task, list_tasks
from depthprune.tasks.task import TaskSplit
from depthprune.testing.workers import LocalPool

TASKS = ("demo_okvqa", "demo_doc_qa", "demo_coco_caption", "demo_tally_qa")
OPENED: list[OpenModel] = []
"""The models of the workers, in their order."""

CHUNK = 4
"""Samples that are drawn together in a simulation: those of a worker when 64 are cut in 16."""

EACH, MOST = (4, 16, 64, 256, 1000), (1, 2, 4, 8, 16, 32, 64)
"""Samples of each worker, and workers, that are simulated."""

Took = tuple[tuple[int, tuple[Removal, ...]], int, float, int, int]
"""A job: its call, its samples, and the CPU seconds, executions and tokens of blocks it took."""


def open_counted(options: ModelSource, bar: Progress) -> tuple[Evaluator, WorkerFacts]:
    """Open a model as a worker does, and keep it, so that its work can be counted."""
    opened = open_model(options)
    OPENED.append(opened)
    evaluator = opened.evaluator(bar)
    return evaluator, WorkerFacts(opened.record, evaluator.settings, opened.state)


class CountingPool(LocalPool):
    """Counts what each job takes."""

    def __init__(self, number: int, options: ModelSource) -> None:
        OPENED.clear()
        super().__init__(number, partial(open_counted, options))
        self.opened = list(OPENED)
        self.took: list[Took] = []

    def result(self, handle: Any) -> Answered:
        """See `Pool.result`."""
        worker, job = self.jobs[handle]
        with measured(self.opened[worker].loaded) as cost:
            answered = super().result(handle)
        call = job.split.number, job.removals
        self.took.append((call, len(job.places), cost.cpu, cost.calls, cost.tokens))
        return answered

    def longest(self) -> tuple[float, int]:
        """Return CPU seconds and block-tokens when every call lasts as its slowest worker."""
        calls = [list(jobs) for _, jobs in groupby(self.took, key=lambda job: job[0])]
        return (
            sum(max(job[2] for job in jobs) for jobs in calls),
            sum(max(job[4] for job in jobs) for jobs in calls),
        )


def main() -> None:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4, 8, 16])
    parser.add_argument("--most", type=int, default=2, help="blocks removed")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--ray", action="store_true", help="real workers on this machine")
    parser.add_argument("--trip", type=float, default=0.01, help="seconds of an empty call of Ray")
    parser.add_argument("--figure", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    options = model_source("demo", ModelOptions(dtype=asked.dtype, batch_size=asked.batch_size))
    tasks = list_tasks()
    splits = [load_split(find_task(one, tasks), "validation", asked.samples) for one in TASKS]
    opened = open_model(options)
    with measured(opened.loaded) as alone:
        expected = search(opened.evaluator(Progress()), splits, asked.most, opened)
    answers = sum(len(one.answers[0]) for found in expected for one in found.values())
    print(
        machine(),
        f"\n{answers} answers, {alone.tokens} block-tokens, {alone.cpu:.1f} CPU s\n",
    )
    if asked.ray:
        real(options, splits, asked, expected, alone.wall)
        return
    print(
        "| workers | samples of each | block-tokens of all | speed-up by them | CPU of all | ",
        end="",
    )
    print("speed-up by CPU | differing answers |\n|--:|--:|--:|--:|--:|--:|--:|")
    took: list[Took] = []
    for number in asked.workers:
        pool = CountingPool(number, options)
        evaluator = SlicedEvaluator(pool, opened.stack, lambda _: None)
        found = search(evaluator, splits, asked.most, opened)
        cpu, tokens = (sum(one[place] for one in pool.took) for place in (2, 4))
        longest_cpu, longest_tokens = pool.longest()
        took += pool.took
        print(
            f"| {number} | {asked.samples / number:g} | {tokens / alone.tokens:.3f}x | "
            f"{alone.tokens / longest_tokens:.2f}x | {cpu / alone.cpu:.2f}x | "
            f"{alone.cpu / longest_cpu:.2f}x | {differences(expected, found)} |",
            flush=True,
        )
    print(f"\n{machine()}; {time.strftime('%Y-%m-%d')}")
    speedups = simulated(took, asked.batch_size, asked.trip)
    if speedups and asked.figure is not None:
        draw(speedups, asked.figure)


def search(
    evaluator: Evaluator, splits: Sequence[TaskSplit], most: int, opened: OpenModel
) -> list[dict[Removal, Evaluation]]:
    """Return what a beam search measures on each split."""
    blocks = opened.stack.num_blocks
    return [beam_search(evaluator, one, blocks, most=most) for one in splits]


def differences(
    expected: Sequence[dict[Removal, Evaluation]],
    found: Sequence[dict[Removal, Evaluation]],
) -> str:
    """Return how many answers differ, and their share."""
    wrong = sum(differing(one, other) for one, other in zip(expected, found, strict=True))
    return f"{wrong} ({wrong / sum(map(number_of_answers, expected)):.2%})"


def real(
    options: ModelSource,
    splits: Sequence[TaskSplit],
    asked: argparse.Namespace,
    expected: Sequence[dict[Removal, Evaluation]],
    wall: float,
) -> None:
    """Do the same by workers of Ray on this machine, and print what they take."""
    import ray

    print(
        "| workers | start-up | memory of each | empty call | wall | speed-up | differing answers |"
    )
    print("|--:|--:|--:|--:|--:|--:|--:|")
    print(f"| 0 | - | - | - | {wall:.1f} s | 1.00x | - |", flush=True)
    for number in asked.workers:
        started = time.perf_counter()
        workers = replace(options, workers=Workers(number))
        pool: Any = start_workers(workers)
        start = time.perf_counter() - started
        opened = open_model(options)
        evaluator = SlicedEvaluator(pool, opened.stack, lambda _: None)
        evaluator.evaluate(splits[0], [()], slice(1))
        empty = Job(pool.share(splits[0]), (), range(0))
        trips = []
        for _ in range(20):
            started = time.perf_counter()
            handles = [pool.submit(worker, empty) for worker in range(number)]
            while handles:
                for handle in pool.wait(handles):
                    handles.remove(handle)
                    pool.result(handle)
            trips.append(time.perf_counter() - started)
        started = time.perf_counter()
        found = search(evaluator, splits, asked.most, opened)
        took = time.perf_counter() - started
        sizes = ", ".join(f"{one:.0f} MB" for one in memory())
        print(
            f"| {number} | {start:.1f} s | {sizes} | {1000 * float(np.median(trips)):.0f} ms | "
            f"{took:.1f} s | {wall / took:.2f}x | {differences(expected, found)} |",
            flush=True,
        )
        pool.close()
        ray.shutdown()
    print(f"\n{machine()}; {time.strftime('%Y-%m-%d')}")


def memory() -> list[float]:
    """Return the MB of each of Ray's actors, what it shares with others by its part (Linux)."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if (place / "cmdline").read_bytes().startswith(b"ray::Worker"):
                lines = (place / "smaps_rollup").read_text().splitlines()
                found += [int(one.split()[1]) / 1024 for one in lines if one.startswith("Pss:")]
        except OSError:
            continue
    return found


def simulated(took: Sequence[Took], batch_size: int, trip: float) -> dict[int, dict[int, float]]:
    """Print and return the speed-ups by workers, by the samples of each; none without chunks."""
    cpu, executions, tokens = (
        np.array(one, dtype=float) for one in list(zip(*took, strict=True))[2:]
    )
    # Relative to what each took: long calls would hide what short ones cost.
    facts = np.stack([executions, tokens], axis=1)
    costs, *_ = np.linalg.lstsq(facts / cpu[:, None], np.ones(len(took)), rcond=None)
    off = np.median(np.abs(facts @ costs / cpu - 1))
    print(
        f"\nCPU seconds of a block's execution {costs[0]:.2g}, of a token {costs[1]:.2g}; half "
        f"of the calls are predicted within {off:.0%}. A call of Ray: {trip:g} s."
    )
    # What each chunk takes in each call, from the run by most workers.
    rows: dict[Any, list[tuple[int, int]]] = {}
    for call, number, _, ran, read in took:
        if number == CHUNK:
            rows.setdefault(call, []).append((ran, read))
    if not rows:
        return {}
    chunks = min(map(len, rows.values()))
    measured = np.array([one[:chunks] for one in rows.values()], dtype=float)
    print("\n| samples of each | " + " | ".join(f"{one} workers" for one in MOST) + " |")
    print("|" + "--:|" * (len(MOST) + 1))
    found: dict[int, dict[int, float]] = {}
    for each in EACH:
        found[each] = {}
        for number in MOST:
            drawn = np.random.default_rng(0).integers(chunks, size=(number, each // CHUNK))
            several = seconds(measured, drawn, costs, batch_size).max(axis=1) + trip
            alone = seconds(measured, drawn.reshape(1, -1), costs, batch_size)
            found[each][number] = float(alone.sum() / several.sum())
        print(f"| {each} | " + " | ".join(f"{one:.1f}x" for one in found[each].values()) + " |")
    return found


def seconds(
    measured: NDArray[np.float64], drawn: NDArray[np.int64], costs: Any, batch_size: int
) -> NDArray[np.float64]:
    """Return the seconds of every call on every worker, for the chunks that each was given."""
    ran, read = measured[:, drawn, 0], measured[:, drawn, 1]
    starts = np.arange(0, drawn.shape[1], max(1, batch_size // CHUNK))
    # A batch runs as often as its longest sample asks for.
    batches = np.maximum.reduceat(ran, starts, axis=2).sum(axis=2)
    found: NDArray[np.float64] = costs[0] * batches + costs[1] * read.sum(axis=2)
    return found


def draw(speedups: dict[int, dict[int, float]], path: Path) -> None:
    """Draw the speed-up against the number of workers, a line for each number of samples."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5.5, 4), layout="constrained")
    axes.plot(MOST, MOST, color="0.7", linestyle="--", label="as many times as workers")
    for number, (each, found) in enumerate(sorted(speedups.items(), reverse=True)):
        color = pyplot.get_cmap("viridis")(number / len(speedups))
        label = f"{each} samples of each worker"
        axes.plot(
            list(found),
            list(found.values()),
            marker="o",
            ms=3,
            color=color,
            label=label,
        )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="Workers",
        ylabel="Times as fast as one process",
    )
    axes.set_xticks(MOST, labels=list(map(str, MOST)))
    axes.set_yticks(MOST, labels=list(map(str, MOST)))
    axes.minorticks_off()
    axes.set_title("Simulated from the measured calls of the demo model", fontsize="medium")
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
