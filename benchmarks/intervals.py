"""How often does an interval hold the true drop, and how wide is it?

Draws paired scores of known drops and prints a table in markdown, a row for each kind of change,
number of samples and number of datasets: coverage and median width of the paired percentile
bootstrap (depthprune's intervals until December 2026) and of `depthprune.analysis.intervals`.

    python benchmarks/intervals.py [--draws 5000] [--seed 0]

It fails where the goal is missed: with 64 samples or more over all datasets, at least 93 % of the
intervals hold the true drop. The second goal, a median width of at most 1.25 times the bootstrap's
where that holds the true drop at least as often, is marked in the table where it is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depthprune.analysis.intervals import Differences, bootstrap_means, score_ends

Draws = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], Draws]

SAMPLES = 16, 64, 200, 1000
DATASETS = 1, 2, 8
GRADES = np.array([0.0, 0.3, 0.6, 0.9, 1.0])
GOAL = 0.93
ENOUGH = 64
WIDER = 1.25


@dataclass(frozen=True)
class Kind:
    """A way in which a removal changes scores: draws of differences, and their true mean."""

    name: str
    draw: Draw
    drop: float


@dataclass(frozen=True)
class Cell:
    """What was found for one kind, number of samples and number of datasets."""

    kind: str
    samples: int
    datasets: int
    coverage: tuple[float, float]
    width: tuple[float, float]

    @property
    def holds(self) -> bool:
        """Whether enough of the new intervals hold the true drop, where that is asked for."""
        return self.samples * self.datasets < ENOUGH or self.coverage[1] >= GOAL

    @property
    def is_too_wide(self) -> bool:
        """Whether the new interval is much wider than one that was good enough."""
        return self.coverage[0] >= GOAL and self.width[1] > WIDER * self.width[0]


def flips(name: str, lost: float, won: float) -> Kind:
    """Return answers of 0 or 1 of which this share is lost and won."""

    def draw(generator: np.random.Generator, shape: tuple[int, int]) -> Draws:
        chance = generator.random(shape)
        return (chance < lost).astype(np.float64) - (chance > 1 - won)

    return Kind(name, draw, lost - won)


def graded(name: str, changed: float, before: list[float], after: list[float]) -> Kind:
    """Return grades as VQA accuracy has: a share of the samples is graded anew."""

    def draw(generator: np.random.Generator, shape: tuple[int, int]) -> Draws:
        old = generator.choice(GRADES, shape, p=before)
        new = generator.choice(GRADES, shape, p=after)
        return np.where(generator.random(shape) < changed, old - new, 0.0)

    return Kind(name, draw, changed * float(GRADES @ before - GRADES @ after))


def dense(name: str, drop: float, spread: float) -> Kind:
    """Return small changes of every sample, as of token probabilities."""

    def draw(generator: np.random.Generator, shape: tuple[int, int]) -> Draws:
        return drop + spread * (2 * generator.beta(2, 2, shape) - 1)

    return Kind(name, draw, drop)


KINDS = (
    flips("even: 10 % lost, 10 % won", 0.1, 0.1),
    flips("rare losses: 0.5 %", 0.005, 0.0),
    flips("rare losses: 1 %", 0.01, 0.0),
    graded("graded: 20 % anew", 0.2, [0.2, 0.1, 0.1, 0.1, 0.5], [0.4, 0.15, 0.1, 0.1, 0.25]),
    graded("graded, rare: 1 % to 0", 0.01, [0.0, 0.25, 0.25, 0.25, 0.25], [1.0, 0, 0, 0, 0]),
    dense("graded: all by 0.05 ± 0.15", 0.05, 0.15),
    flips("few flips: 1.5 % lost, 0.5 % won", 0.015, 0.005),
    flips("few flips: 2 % lost, 2 % won", 0.02, 0.02),
    flips("large: 60 % lost, 2 % won", 0.6, 0.02),
    flips("large: 95 % lost", 0.95, 0.0),
)


def cells(draws: int, seed: int) -> Iterator[Cell]:
    """Yield every cell; both intervals see the same draws."""
    for kind in KINDS:
        for samples in SAMPLES:
            generator = np.random.default_rng([seed, samples])
            drawn = [kind.draw(generator, (draws, samples)) for _ in range(max(DATASETS))]
            means = [
                bootstrap_means(values, seed=place).astype(np.float32)
                for place, values in enumerate(drawn)
            ]
            for datasets in DATASETS:
                old = np.quantile(np.mean(means[:datasets], axis=0), [0.025, 0.975], axis=1)
                new = np.clip(
                    score_ends([Differences(one, 1 / datasets) for one in drawn[:datasets]]), -1, 1
                )
                held = [
                    float(np.mean((low <= kind.drop + 1e-7) & (high >= kind.drop - 1e-7)))
                    for low, high in (old, new)
                ]
                widths = [float(np.median(high - low)) for low, high in (old, new)]
                yield Cell(kind.name, samples, datasets, (held[0], held[1]), (widths[0], widths[1]))


def row(cell: Cell) -> str:
    """Return a row of the table; coverages in per cent, widths in points."""
    old, new = cell.width
    ratio = f"{new / old:.2f}" if old else "-"
    missed = "" if cell.holds else " !"
    return (
        f"| {cell.kind} | {cell.samples} | {cell.datasets} "
        f"| {100 * cell.coverage[0]:.1f} | {100 * cell.coverage[1]:.1f}{missed} "
        f"| {100 * old:.2f} | {100 * new:.2f} | {ratio}{' *' if cell.is_too_wide else ''} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=5000, help="of each cell")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("| change | n | datasets | held % before | held % | width before | width | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    found = []
    for cell in cells(arguments.draws, arguments.seed):
        print(row(cell), flush=True)
        found.append(cell)
    missed = [cell for cell in found if not cell.holds]
    wide = [cell for cell in found if cell.is_too_wide]
    least = min(cell.coverage[1] for cell in found if cell.samples * cell.datasets >= ENOUGH)
    print(
        f"\nLeast coverage with {ENOUGH} samples or more: {100 * least:.1f} %; below "
        f"{100 * GOAL:.0f} %: {len(missed)} cells; too wide (*): {len(wide)} of {len(found)} cells"
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
