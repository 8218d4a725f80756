"""How often does a raced beam search keep the beams of the full one, and what does it save?

Replays beam searches on score matrices and prints a table in markdown:

    python benchmarks/racing.py [--repetitions 200] [--confidence 0.95] [--chunk 64]

The matrices: every single and pair of the demo's 16 blocks on 1000 samples of three datasets and
every triple on 512 samples of one (`racing_scores.npz`, measured by `depthprune search demo
--strategy exhaustive`), and a made-up model of 32 blocks whose costs rise by a gradient, with up to
four blocks removed. A repetition draws samples with replacement, which makes another data set of
the same kind, searches it in full, and races over it in an order of its own.

*kept*: the beams of all steps are those of the full search. *saved*: sample evaluations, of the
whole search (baseline, single blocks and one-shot removals are always measured in full), and of the
raced steps alone. Beside the rule that depthprune uses: the exact rule alone, and a sign test
against the candidate that is the width-th best at the moment, corrected for candidates and looks.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from depthprune.base.removal import Removal
from depthprune.strategies import Beam, SearchSpace, one_shot_removals
from depthprune.strategies.race import RaceRule, race, race_order
from depthprune.strategies.strategy import STOPPED

MATRICES = Path(__file__).parent / "racing_scores.npz"

Scores = NDArray[np.float64]
Rule = Callable[[Scores, RaceRule, int], NDArray[np.int64]]
"""Says after how many samples each candidate leaves, see `race`."""


class Source(Protocol):
    """Draws data sets: tables of scores by removal."""

    @property
    def num_blocks(self) -> int: ...

    @property
    def max_removed(self) -> int: ...

    def draw(self, num_samples: int, seed: int) -> Callable[[Removal], Scores]: ...


@dataclass(frozen=True)
class Matrix:
    """Scores that were measured."""

    scores: Mapping[Removal, Scores]
    num_blocks: int = 16
    max_removed: int = 2

    def draw(self, num_samples: int, seed: int) -> Callable[[Removal], Scores]:
        available = len(self.scores[()])
        chosen = np.random.default_rng(seed).integers(available, size=num_samples)
        return lambda removal: self.scores[removal][chosen]


@dataclass(frozen=True)
class Gradient:
    """Made-up scores: a sample is answered if the strength that is left exceeds its difficulty."""

    num_blocks: int = 32
    max_removed: int = 4
    smallest: float = 0.01
    largest: float = 0.8
    noise: float = 0.3

    def draw(self, num_samples: int, seed: int) -> Callable[[Removal], Scores]:
        difficulty = np.random.default_rng(seed).normal(size=num_samples)
        costs = np.linspace(self.smallest, self.largest, self.num_blocks)
        known: dict[Removal, Scores] = {}

        def scores(removal: Removal) -> Scores:
            if removal not in known:
                luck = np.random.default_rng([seed, *removal]).normal(size=num_samples)
                strength = 0.5 - costs[list(removal)].sum() + self.noise * luck
                known[removal] = (strength > difficulty).astype(np.float64)
            return known[removal]

        return scores


@dataclass(frozen=True)
class Search:
    """One search on a table: the beam of each step, and the samples seen of each removal."""

    beams: tuple[tuple[Removal, ...], ...]
    seen: Mapping[Removal, int]


def search(
    source: Source,
    scores: Callable[[Removal], Scores],
    width: int,
    rule: Rule | None,
    confidence: float,
    chunk: int,
    seed: int,
) -> Search:
    """Follow a beam search, raced from the second step on, or in full where there is no rule."""
    num_samples = len(scores(()))
    order = race_order(num_samples, seed)
    space = SearchSpace(source.num_blocks)
    beam = Beam(width, max_removed=source.max_removed)
    baseline = scores(()).mean()
    told: dict[Removal, float] = {(): 0.0}
    seen: dict[Removal, int] = {(): num_samples}
    while step := next((step for step in beam.steps(space, told) if step.missing), None):
        candidates = step.missing
        left = np.full(len(candidates), num_samples)
        if rule is not None and step.number > 1:
            table = np.array([scores(removal)[order] for removal in candidates])
            level = (1 - confidence) / (source.max_removed - 1)
            left = rule(table, RaceRule(width, level), chunk)
        for removal, samples in zip(candidates, left.tolist(), strict=True):
            stopped = samples < num_samples
            told[removal] = STOPPED if stopped else baseline - scores(removal).mean()
            seen[removal] = samples
    for removal in one_shot_removals(told, space, source.max_removed).values():
        # Of a stopped one the rest is measured.
        seen[removal] = num_samples
    return Search(tuple(step.beam for step in beam.steps(space, told)), seen)


def exact_rule(scores: Scores, rule: RaceRule, chunk: int) -> NDArray[np.int64]:
    """Stop what cannot catch up even if all remaining samples are right: certain, no statistics."""
    return race(scores, RaceRule(rule.width, 1e-300), chunk)


def sign_test(scores: Scores, rule: RaceRule, chunk: int) -> NDArray[np.int64]:
    """Stop what loses a paired sign test against the width-th best, corrected by Bonferroni."""
    num_candidates, num_samples = scores.shape
    looks = max(1, -(-num_samples // chunk) - 1)
    left = np.full(num_candidates, num_samples)
    running = np.arange(num_candidates)
    for stop in range(chunk, num_samples, chunk):
        if len(running) <= rule.width:
            break
        sums = scores[running, :stop].sum(axis=1)
        target = running[np.argsort(-sums, kind="stable")[rule.width - 1]]
        difference = scores[target, :stop] - scores[running, :stop]
        better, worse = (difference > 0).sum(axis=1), (difference < 0).sum(axis=1)
        chance = binom.sf(better - 1, better + worse, 0.5)
        leaving = running[chance <= rule.level / (num_candidates * looks)]
        left[leaving] = stop
        running = np.setdiff1d(running, leaving)
    return left


RULES: Mapping[str, Rule] = {"betting": race, "exact only": exact_rule, "sign test": sign_test}


def load_matrices() -> dict[str, Matrix]:
    """Return the measured matrices by dataset."""
    with np.load(MATRICES) as file:
        names = [key.removesuffix("_codes") for key in file.files if key.endswith("_codes")]
        matrices = {}
        for name in names:
            table = file[f"{name}_values"][file[f"{name}_codes"]].astype(np.float64)
            removals = [
                tuple(map(int, text.split(","))) if text else ()
                for text in file[f"{name}_removals"].tolist()
            ]
            scores = dict(zip(removals, table, strict=True))
            matrices[f"demo_{name}"] = Matrix(scores, max_removed=max(map(len, removals)))
    return matrices


def main() -> None:
    """Repeat, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--chunk", type=int, default=64)
    parser.add_argument("--samples", type=int, nargs="+", default=[256, 1000])
    parser.add_argument("--widths", type=int, nargs="+", default=[1, 3, 5])
    arguments = parser.parse_args()
    sources: dict[str, Source] = {**load_matrices(), "gradient, 32 blocks": Gradient()}
    print(
        f"{arguments.repetitions} repetitions, confidence {arguments.confidence:g}, chunks of "
        f"{arguments.chunk}; load {os.getloadavg()[0]:.1f}\n"
    )
    print("| scores | samples | width | rule | kept of 100 | saved % | of raced steps % |")
    print("|---|--:|--:|---|--:|--:|--:|")
    started = time.process_time()
    for name, source in sources.items():
        for num_samples in arguments.samples:
            for width in arguments.widths:
                for rule, found in repeat(source, num_samples, width, arguments).items():
                    kept, saved, raced = found
                    print(
                        f"| {name} | {num_samples} | {width} | {rule} | {100 * kept:.1f} "
                        f"| {100 * saved:.1f} | {100 * raced:.1f} |",
                        flush=True,
                    )
    print(f"\n{time.process_time() - started:.0f} s of CPU time")


def repeat(
    source: Source, num_samples: int, width: int, arguments: argparse.Namespace
) -> dict[str, tuple[float, float, float]]:
    """Return for each rule how often beams are kept, and the shares saved: in all, and raced."""
    kept = dict.fromkeys(RULES, 0)
    taken = dict.fromkeys(RULES, 0)
    taken_raced = dict.fromkeys(RULES, 0)
    whole = whole_raced = 0
    for seed in range(arguments.repetitions):
        scores = source.draw(num_samples, seed)
        options = (arguments.confidence, arguments.chunk, seed)
        full = search(source, scores, width, None, *options)
        whole += sum(full.seen.values())
        whole_raced += _raced(full)
        for name, rule in RULES.items():
            found = search(source, scores, width, rule, *options)
            kept[name] += found.beams == full.beams
            taken[name] += sum(found.seen.values())
            taken_raced[name] += _raced(found)
    return {
        name: (
            kept[name] / arguments.repetitions,
            1 - taken[name] / whole,
            1 - taken_raced[name] / whole_raced,
        )
        for name in RULES
    }


def _raced(found: Search) -> int:
    return sum(seen for removal, seen in found.seen.items() if len(removal) > 1)


if __name__ == "__main__":
    main()
