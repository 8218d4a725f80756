"""How much too good does the best of many removals look, and what does the correction mend?

Draws studies of known drops, chooses the removal of the smallest drop, and prints two tables in
markdown: bias of its drop and share of its intervals that hold the true drop, before and after
`depthprune.analysis.combinations`, and the same over all cells for other ways to correct.

    python benchmarks/selection.py [--draws 300] [--seed 0]

The studies: removals that are all equal, independent of each other, with much in common, or with
rare losses; one clear winner; drops spread out; beam searches, of a made-up model of 16 blocks
(every answer depends on what is left of the model's strength) and of the demo's measured scores
(`racing_scores.npz`), of which every draw takes samples with replacement. The other ways:

- both ends: the same correction, moving both ends of the interval.
- shrunken: the same, drawn around drops whose distance to the best is reduced by its noise.
- crossed: each tenth of the samples is judged by the best of the other nine.
- conditional: what is left of the normal distribution given that this removal won, within a
  simultaneous band (Andrews, Kitagawa and McCloskey, Inference on Winners, 2024, the hybrid).

It fails where fewer than 92 % of the corrected intervals hold the true drop.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from depthprune.analysis.combinations import Combination, combine, find_selections, rank
from depthprune.analysis.intervals import Differences, score_ends
from depthprune.analysis.result_set import DatasetMeasurements
from depthprune.base.removal import Removal
from depthprune.study import Measurement

MATRICES = Path(__file__).parent / "racing_scores.npz"
SIZES = (1, 16), (1, 64), (1, 1000), (8, 16), (8, 64), (8, 250)
LEAST = 0.92
WIDTH = 3
FOLDS = 10
NOISE = 0.3
BLOCKS = 16
NORMAL = NormalDist().inv_cdf(0.975)

Table = NDArray[np.float64]
Estimate = tuple[float, float, float]
"""A drop, and the ends of its interval."""


@dataclass(frozen=True)
class Study:
    """Scores of one number of removed blocks: baseline, and K removals, for each dataset.

    Attributes:
        baseline: (N,) for each dataset.
        scores: (K, N) for each dataset.
        true: drops of the K removals.
    """

    baseline: Sequence[Table]
    scores: Sequence[Table]
    true: Table


Draw = Callable[[int, int, np.random.Generator], Study]


def flips(costs: Table, common: float = 0.0, won: float = 0.1, lost: float = 0.1) -> Draw:
    """Return studies of answers of which these shares are lost and won, and the costs lost too."""

    def draw(datasets: int, samples: int, generator: np.random.Generator) -> Study:
        baseline, scores = [], []
        for _ in range(datasets):
            right = generator.random(samples) < 0.8
            own = generator.standard_normal((len(costs), samples))
            shared = generator.standard_normal(samples)
            luck = ndtr(np.sqrt(common) * shared + np.sqrt(1 - common) * own)
            stays = luck >= (lost + costs[:, None]) / 0.8
            baseline.append(right.astype(np.float64))
            scores.append(np.where(right, stays, luck < won / 0.2).astype(np.float64))
        return Study(baseline, scores, costs + lost - won)

    return draw


def made_up_beam(datasets: int, samples: int, generator: np.random.Generator) -> Study:
    """Search down to four blocks: an answer is right where the strength left exceeds its demand."""
    costs = np.maximum(np.linspace(0.01, 0.8, BLOCKS) - 0.1, 0.01)
    demands = generator.standard_normal((datasets, samples))
    known: dict[Removal, Table] = {}

    def scores(removal: Removal) -> Table:
        if removal not in known:
            luck = NOISE * generator.standard_normal(demands.shape) if removal else 0.0
            known[removal] = (0.5 - costs[list(removal)].sum() + luck > demands).astype(np.float64)
        return known[removal]

    last = _last_candidates(lambda removal: float((scores(()) - scores(removal)).mean()), 4)
    left = np.array([0.5 - costs[list(removal)].sum() for removal in last])
    true = ndtr(0.5) - ndtr(left / np.sqrt(1 + NOISE**2))
    return Study([*scores(())], [*np.stack([scores(one) for one in last], axis=1)], true)


def demo_beam(names: Sequence[str], most: int) -> Draw:
    """Return searches in the demo's measured scores: all samples are the truth."""
    tables = [_measured(name) for name in names]

    def draw(datasets: int, samples: int, generator: np.random.Generator) -> Study:
        drawn = []
        for table in tables:
            places = generator.integers(len(table[()]), size=samples)
            drawn.append({removal: row[places] for removal, row in table.items()})

        def drop(removal: Removal, of: Sequence[Mapping[Removal, Table]]) -> float:
            return float(np.mean([each[()].mean() - each[removal].mean() for each in of]))

        last = _last_candidates(lambda removal: drop(removal, drawn), most)
        return Study(
            [each[()] for each in drawn],
            [np.array([each[removal] for removal in last]) for each in drawn],
            np.array([drop(removal, tables) for removal in last]),
        )

    return draw


def _measured(name: str) -> dict[Removal, Table]:
    with np.load(MATRICES) as file:
        scores = file[f"{name}_values"][file[f"{name}_codes"]].astype(np.float64)
        labels = file[f"{name}_removals"].tolist()
    removals = (tuple(map(int, text.split(","))) if text else () for text in labels)
    return dict(zip(removals, scores, strict=True))


def _last_candidates(drop: Callable[[Removal], float], most: int) -> list[Removal]:
    """Return what a beam measures of the last number of blocks."""
    beam: list[Removal] = [()]
    candidates: list[Removal] = []
    for _ in range(most):
        wider = {tuple(sorted({*one, block})) for one in beam for block in range(BLOCKS)}
        candidates = sorted(one for one in wider if len(one) > len(beam[0]))
        beam = sorted(candidates, key=lambda one: (round(drop(one), 12), one))[:WIDTH]
    return candidates


EQUAL = np.zeros(60)
FAR = np.r_[0.0, 0.01, 0.02, np.linspace(0.1, 0.6, 37)]
KINDS: Mapping[str, tuple[Draw, Sequence[tuple[int, int]]]] = {
    "5 equal": (flips(EQUAL[:5]), SIZES),
    "20 equal": (flips(EQUAL[:20]), SIZES),
    "60 equal": (flips(EQUAL), SIZES),
    "20 equal, much in common": (flips(EQUAL[:20], common=0.7), SIZES),
    "20 equal, 2 % lost": (flips(EQUAL[:20], won=0.0, lost=0.02), SIZES),
    "a winner by 10 points": (flips(np.r_[0.0, np.full(19, 0.1)]), SIZES),
    "a winner by 30 points": (flips(np.r_[0.0, np.full(19, 0.3)]), SIZES),
    "40, spread over 20 points": (flips(np.linspace(0.0, 0.2, 40)), SIZES),
    "3 close, 37 worse": (flips(FAR), SIZES),
    "beam, made-up": (made_up_beam, SIZES),
    "beam, demo, 2 blocks": (
        demo_beam(["okvqa", "doc_qa", "tally_qa"], 2),
        [(3, 16), (3, 64), (3, 250)],
    ),
    "beam, demo, 3 blocks": (demo_beam(["okvqa_triples"], 3), [(1, 64), (1, 256), (1, 512)]),
}


@dataclass(frozen=True)
class Cell:
    """What one kind and size gave: error, hold, width by way, each (draws,)."""

    kind: str
    datasets: int
    samples: int
    errors: Mapping[str, Table]
    held: Mapping[str, Table]
    above: Mapping[str, Table]
    widths: Mapping[str, Table]


def cells(draws: int, seed: int) -> Iterator[Cell]:
    """Yield every cell; all ways see the same draws."""
    for kind, (draw, sizes) in KINDS.items():
        for datasets, samples in sizes:
            generator = np.random.default_rng([seed, datasets, samples])
            found: dict[str, list[tuple[float, float, float, float]]] = {}
            for number in range(draws):
                study = draw(datasets, samples, generator)
                first, estimates = estimate(study, generator, number)
                true = float(study.true[first])
                for way, (drop, low, high) in estimates.items():
                    holds = low - 1e-9 <= true <= high + 1e-9
                    row = drop - true, float(holds), float(true > high + 1e-9), high - low
                    found.setdefault(way, []).append(row)
            columns = {way: np.array(rows).T for way, rows in found.items()}
            parts = ({way: rows[place] for way, rows in columns.items()} for place in range(4))
            yield Cell(kind, datasets, samples, *parts)


def estimate(
    study: Study, generator: np.random.Generator, seed: int
) -> tuple[int, dict[str, Estimate]]:
    """Return which removal is best, and what each way says of its drop."""
    ranked = rank(combine(_measurements(study)), min_coverage=1)
    one: Combination = ranked.combinations[0]
    (first,) = one.removal
    found = find_selections({1: ranked}, [one.removal], _measurements(study), seed=seed)
    chosen = found[one.removal]
    assert one.interval is not None
    assert chosen.drop is not None
    assert chosen.interval is not None
    low, high = one.interval.low, one.interval.high
    correction = chosen.drop - one.mean
    differences = [base - rows for base, rows in zip(study.baseline, study.scores, strict=True)]
    return first, {
        "none": (one.mean, low, high),
        "corrected": (chosen.drop, chosen.interval.low, chosen.interval.high),
        "both ends": (chosen.drop, low + correction, min(1.0, high + correction)),
        **_others(differences, first, one.interval.low, one.interval.high, generator),
    }


def _others(
    differences: Sequence[Table],
    first: int,
    low: float,
    high: float,
    generator: np.random.Generator,
) -> dict[str, Estimate]:
    """Return what the ways say that are not taken."""
    count = len(differences)
    drops = np.mean([rows.mean(axis=1) for rows in differences], axis=0)
    centred = [rows - rows.mean(axis=1, keepdims=True) for rows in differences]
    spare = [max(1, rows.shape[1] - 1) * rows.shape[1] * count**2 for rows in differences]
    parts = list(zip(centred, spare, strict=True))
    with_first = np.sum([rows @ rows[first] / part for rows, part in parts], axis=0)
    own = np.sum([(rows**2).sum(axis=1) / part for rows, part in parts], axis=0)
    noise = np.sum(
        [
            rows @ generator.standard_normal((rows.shape[1], 300)) / np.sqrt(part)
            for rows, part in parts
        ],
        axis=0,
    )
    noise = np.hstack([noise, -noise])
    # Positive-part shrinkage of each distance by the variance of that difference.
    distance = drops - drops[first]
    variance = own + own[first] - 2 * with_first
    ratio = np.divide(variance, distance**2, out=np.ones_like(distance), where=distance > 0)
    shrunken = distance * np.clip(1 - ratio, 0, None)
    winners = (shrunken[:, None] + noise).argmin(axis=0)
    correction = -float(noise[winners, np.arange(noise.shape[1])].mean())
    return {
        "shrunken": (drops[first] + correction, low, max(high, min(1.0, high + correction))),
        "crossed": _crossed(differences),
        "conditional": _conditional(drops, first, own, with_first, noise),
    }


def _crossed(differences: Sequence[Table]) -> Estimate:
    judged = [np.empty((1, rows.shape[1])) for rows in differences]
    for fold in range(FOLDS):
        means = [np.delete(rows, np.s_[fold::FOLDS], axis=1).mean(axis=1) for rows in differences]
        best = int(np.mean(means, axis=0).argmin())
        for rows, into in zip(differences, judged, strict=True):
            into[0, fold::FOLDS] = rows[best, fold::FOLDS]
    low, high = score_ends([Differences(rows, 1 / len(judged)) for rows in judged])
    return float(np.mean([rows.mean() for rows in judged])), float(low[0]), float(high[0])


def _conditional(
    drops: Table, first: int, own: Table, with_first: Table, noise: Table, least: float = 0.005
) -> Estimate:
    drop, deviation = float(drops[first]), float(np.sqrt(own[first]))
    if deviation == 0:
        return drop, drop, drop
    slopes = 1 - with_first / own[first]
    rest = drops - (1 - slopes) * drop
    ends = np.divide(rest, slopes, out=np.full_like(rest, np.inf), where=np.abs(slopes) > 1e-9)
    upper = min(ends[slopes > 1e-9], default=np.inf)
    lower = max(ends[slopes < -1e-9], default=-np.inf)
    spread = np.sqrt(np.maximum(own, 1e-12))[:, None]
    band = float(np.quantile(np.abs(noise / spread).max(axis=0), 1 - least)) * deviation
    means = np.linspace(drop - band, drop + band, 801)
    start, stop = np.maximum(lower, means - band), np.minimum(upper, means + band)
    below = ndtr((start - means) / deviation)
    whole = np.maximum(ndtr((stop - means) / deviation) - below, 1e-300)
    chance = np.clip((ndtr((drop - means) / deviation) - below) / whole, 0, 1)
    tail = (0.05 - least) / (1 - least) / 2
    inside = np.flatnonzero((chance >= tail) & (chance <= 1 - tail))
    if not len(inside):
        return drop, drop, drop
    median = means[np.abs(chance - 0.5).argmin()]
    return float(median), float(means[inside[0]]), float(means[inside[-1]])


def _measurements(study: Study) -> list[DatasetMeasurements]:
    """Return the removals as if each were one block, by its place."""
    return [
        DatasetMeasurements(
            f"set{place}",
            "VQA",
            _measurement((), base),
            {(row,): _measurement((row,), scores) for row, scores in enumerate(rows)},
        )
        for place, (base, rows) in enumerate(zip(study.baseline, study.scores, strict=True))
    ]


def _measurement(removal: Removal, scores: Table) -> Measurement:
    mean, std = float(scores.mean()), float(scores.std())
    known = scores.astype(np.float32)
    return Measurement("set", "train", removal, mean, std, len(scores), known, None, 0.0, "", "")


def row(cell: Cell) -> str:
    """Return a row of the table; bias and width in points, the rest in per cent."""
    ways = "none", "corrected"
    bias = [f"{100 * cell.errors[way].mean():.2f}" for way in ways]
    held = [f"{100 * cell.held[way].mean():.1f}" for way in ways]
    above = [f"{100 * cell.above[way].mean():.1f}" for way in ways]
    width = [f"{100 * np.median(cell.widths[way]):.2f}" for way in ways]
    missed = "" if cell.held["corrected"].mean() >= LEAST else " !"
    texts = [cell.kind, str(cell.samples), str(cell.datasets), *bias, *held, *above, *width]
    return "| " + " | ".join(texts) + f"{missed} |"


def summary(found: Sequence[Cell]) -> Iterator[str]:
    """Yield the second table: each way over all cells; errors in standard errors of the mean."""
    yield "| way | mean abs(bias) | largest | RMS error | held % | least | above % | most | width |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for way in found[0].errors:
        units = [np.median(cell.widths["none"]) / 2 / NORMAL for cell in found]
        bias = [
            abs(cell.errors[way].mean()) / unit for cell, unit in zip(found, units, strict=True)
        ]
        rms = [
            np.sqrt((cell.errors[way] ** 2).mean()) / unit
            for cell, unit in zip(found, units, strict=True)
        ]
        held = [100 * cell.held[way].mean() for cell in found]
        above = [100 * cell.above[way].mean() for cell in found]
        wider = [np.median(cell.widths[way]) / np.median(cell.widths["none"]) for cell in found]
        yield (
            f"| {way} | {np.mean(bias):.2f} | {max(bias):.2f} | {np.mean(rms):.2f} "
            f"| {np.mean(held):.1f} | {min(held):.1f} | {np.mean(above):.1f} | {max(above):.1f} "
            f"| {np.mean(wider):.2f} |"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=300, help="studies of each cell")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("| removals | n | datasets | bias before | bias | held % before | held % ", end="")
    print("| above % before | above % | width before | width |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    found = []
    for cell in cells(arguments.draws, arguments.seed):
        print(row(cell), flush=True)
        found.append(cell)
    print()
    print("\n".join(summary(found)))
    return int(any(cell.held["corrected"].mean() < LEAST for cell in found))


if __name__ == "__main__":
    sys.exit(main())
