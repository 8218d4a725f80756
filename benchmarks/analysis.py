"""How long and in how much memory a large result set is analysed, without figures.

    python benchmarks/analysis.py
    python benchmarks/analysis.py --combinations 5000 --datasets 9 --samples 1000

The results are made up: random removals of up to eight of 32 blocks, drops that grow with their
number, a share of the cells missing. They are held in memory before the clock starts: reading files
is not part of it. Memory is the most that the process has held, the results included. The limits
are those of 100,000 combinations on 50 datasets; beyond them the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from depthprune.analysis.drop_table import drop_table
from depthprune.analysis.findings import find
from depthprune.analysis.recommend import recommend
from depthprune.analysis.result_set import DatasetMeasurements, ResultSet
from depthprune.base.removal import Removal
from depthprune.study import Measurement

NUM_BLOCKS = 32
MOST_REMOVED = 8
BASELINE = 0.8
SECONDS, GIGABYTES = 20.0, 4.0


def main() -> int:
    """Analyse made-up results and print a line for each part; 1 when beyond the limits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--combinations", type=int, default=100_000)
    parser.add_argument("--datasets", type=int, default=50)
    parser.add_argument("--samples", type=int, default=0, help="scores of each cell; 0: none")
    parser.add_argument("--missing", type=float, default=0.0, help="share of the cells")
    given = parser.parse_args()
    with _timed("make the results (not counted)"):
        results = make_results(given.combinations, given.datasets, given.samples, given.missing)
    cells = sum(len(dataset.measurements) for dataset in results.datasets)
    print(f"{given.combinations:,} combinations x {given.datasets} datasets: {cells:,} cells")
    started, worked = time.perf_counter(), time.process_time()
    with _timed("table"):
        table = drop_table(results.datasets, results.num_blocks)
    with _timed("recommend"):
        recommendations = recommend(results, max_drop=0.05, speedup=1.2, params=0.85, table=table)
    with _timed("find"):
        findings = find(results, table=table)
    seconds, processor = time.perf_counter() - started, time.process_time() - worked
    steps = [step.combination.removal for step in recommendations.stepwise.steps]
    print(f"  the path ends with {steps[-1]}; {len(findings.synergies):,} synergies")
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    load, _, _ = os.getloadavg()
    print(
        f"analysed in {seconds:.1f} s (limit {SECONDS:.0f}; {processor:.1f} s of processor time), "
        f"at most {gigabytes:.2f} GiB (limit {GIGABYTES:.0f}); "
        f"{os.cpu_count()} cores, load {load:.1f}"
    )
    return int(seconds > SECONDS or gigabytes > GIGABYTES)


def make_results(
    combinations: int, num_datasets: int, samples: int = 0, missing: float = 0.0
) -> ResultSet:
    """Return random results whose drops grow with the number of removed blocks."""
    generator = np.random.default_rng(0)
    removals = _removals(generator, combinations)
    costs = generator.exponential(0.02, NUM_BLOCKS)
    means = np.array([costs[list(removal)].sum() for removal in removals])
    datasets = []
    for number in range(num_datasets):
        name = f"dataset_{number}"
        noisy = means * generator.uniform(0.5, 1.5) + generator.normal(0, 0.01, len(means))
        accuracies = np.clip(BASELINE - noisy, 0, 1).tolist()
        here = (generator.random(len(removals)) >= missing).tolist()
        datasets.append(
            DatasetMeasurements(
                name,
                ("VQA", "Captioning", "Document QA")[number % 3],
                _measurement(name, (), BASELINE, samples, generator),
                {
                    removal: _measurement(name, removal, accuracy, samples, generator)
                    for removal, accuracy, measured in zip(removals, accuracies, here, strict=True)
                    if measured or len(removal) == 1
                },
            )
        )
    return ResultSet(
        "made up", NUM_BLOCKS, tuple(datasets), {one.dataset: "validation" for one in datasets}
    )


def _removals(generator: np.random.Generator, count: int) -> list[Removal]:
    found: dict[Removal, None] = {(block,): None for block in range(NUM_BLOCKS)}
    while len(found) < count:
        number = int(generator.integers(2, MOST_REMOVED + 1))
        blocks = generator.choice(NUM_BLOCKS, number, replace=False)
        found[tuple(sorted(blocks.tolist()))] = None
    return list(found)[:count]


def _measurement(
    dataset: str, removal: Removal, accuracy: float, samples: int, generator: np.random.Generator
) -> Measurement:
    scores = None
    if samples:
        scores = (generator.random(samples, dtype=np.float32) < accuracy).astype(np.float32)
        accuracy = float(scores.mean(dtype=np.float64))
    return Measurement(
        task=dataset,
        split="validation",
        removal=removal,
        accuracy=accuracy,
        std=0.4,
        num_samples=samples or 1000,
        scores=scores,
        answers=None,
        seconds=0.0,
        settings="made up",
        created="",
    )


@contextmanager
def _timed(what: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    print(f"  {what}: {time.perf_counter() - started:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
