"""Does the interval from fresh samples hold the drop that other samples give?

Searches the embedded demo model once for each seed, on 64 samples of the training split of each of
its eight datasets, verifies what is recommended on 64 fresh samples of each, and compares the drop
of the removal that is recommended with the truth: its mean drop over all 500 validation samples of
each dataset. Prints tables in markdown: every seed, and the share of 95 % intervals that hold the
truth: the one on the samples that chose, the one corrected for the choice, and the fresh one.

    python benchmarks/verification.py FOLDER [--seeds 20] [--samples 64]

What is in the folder already is not measured again. About a minute of CPU for each seed.
The last table draws the fresh samples 2000 times from the stored scores of all validation samples.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import depthprune as dp
from depthprune.analysis.intervals import Differences, Interval, score_ends
from depthprune.analysis.recommend import Recommended
from depthprune.analysis.verified import choose_first
from depthprune.base.progress import progress
from depthprune.base.removal import Removal, format_removal
from depthprune.tasks.registry import list_tasks

LEAST = 17
DRAWS = 2000
NAMES = tuple(task.name for task in list_tasks() if task.name.startswith("demo_"))

Scores = Mapping[str, NDArray[np.float32]]
"""Of all validation samples, by dataset."""


@dataclass(frozen=True)
class Verdict:
    """One removal: its true drop, and each interval with its drop.

    Attributes:
        roles: what it is, see `VerifiedRemoval`; `recommended` first for the one that is named.
    """

    seed: int
    removal: Removal
    roles: tuple[str, ...]
    true: float
    searched: tuple[float, Interval]
    corrected: tuple[float, Interval] | None
    fresh: tuple[float, Interval]


def studies(folder: Path, seeds: int, samples: int) -> Iterator[tuple[int, Recommended]]:
    """Search and verify; yield what is recommended for each seed."""
    model = dp.load_model("demo")
    for seed in range(seeds):
        place = folder / str(seed)
        tasks = dp.load_tasks(*NAMES, split="train", num_samples=samples, seed=seed)
        dp.search(model, tasks, folder=place, joint=True, seed=seed, progress=False)
        dp.verify(model, place, tasks=tasks, samples=samples, progress=False)
        yield seed, dp.recommend(place).found


def truth(folder: Path, removals: Iterable[Removal]) -> dict[Removal, Scores]:
    """Return the scores of every validation sample; what the file holds is not measured again."""
    file = folder / "truth.npz"
    known: dict[Removal, dict[str, NDArray[np.float32]]] = {}
    if file.exists():
        with np.load(file) as stored:
            for key in stored.files:
                name, _, blocks = key.partition(":")
                known.setdefault(tuple(map(int, blocks.split())), {})[name] = stored[key]
    missing = sorted({(), *removals} - set(known))
    if missing:
        splits = dp.load_tasks(*NAMES, split="validation", num_samples=None)
        work = sum(len(one.samples) for one in splits) * len(missing)
        with progress("true drops", work) as bar:
            evaluator = dp.load_model("demo").evaluator(bar)
            for one in splits:
                found = evaluator.evaluate(one, missing)
                for removal, row in zip(missing, found.scores, strict=True):
                    known.setdefault(removal, {})[one.task.name] = row
        flat: dict[str, Any] = {
            f"{name}:{' '.join(map(str, removal))}": row
            for removal, rows in known.items()
            for name, row in rows.items()
        }
        np.savez_compressed(file, **flat)
    return dict(known)


def verdicts(seed: int, found: Recommended, scores: Mapping[Removal, Scores]) -> Iterator[Verdict]:
    """Yield every removal that was verified."""
    assert found.verified is not None
    ranked = {one.removal: one for each in found.independent.values() for one in each.combinations}
    named = choose_first(found)
    for fresh in found.verified.removals:
        one, selection = ranked[fresh.removal], found.selections.get(fresh.removal)
        assert one.interval is not None
        assert fresh.interval is not None
        corrected = None
        if selection is not None and selection.drop is not None and selection.interval is not None:
            corrected = selection.drop, selection.interval
        is_named = named is not None and named.combination.removal == fresh.removal
        yield Verdict(
            seed,
            fresh.removal,
            ("recommended", *fresh.roles) if is_named else fresh.roles,
            true_drop(scores, fresh.removal),
            (one.mean, one.interval),
            corrected,
            (fresh.drop, fresh.interval),
        )


def true_drop(scores: Mapping[Removal, Scores], removal: Removal) -> float:
    """Return the mean drop over all validation samples of the datasets."""
    return float(
        np.mean([scores[()][name].mean() - scores[removal][name].mean() for name in NAMES])
    )


def holds(true: float, given: tuple[float, Interval] | None) -> bool:
    """Return whether an interval holds the truth."""
    return given is not None and given[1].low <= true <= given[1].high


def redrawn(
    scores: Mapping[Removal, Scores], removal: Removal, samples: int, generator: np.random.Generator
) -> float:
    """Return the share of intervals that hold the truth, fresh samples drawn `DRAWS` times."""
    parts = []
    for name in NAMES:
        changes = scores[()][name].astype(np.float64) - scores[removal][name]
        places = generator.random((DRAWS, len(changes))).argpartition(samples, axis=1)[:, :samples]
        parts.append(Differences(changes[places], 1 / len(NAMES)))
    low, high = score_ends(parts)
    true = true_drop(scores, removal)
    return float(np.mean((low <= true) & (true <= high)))


def report(
    found: Sequence[Verdict], scores: Mapping[Removal, Scores], samples: int
) -> Iterator[str]:
    """Yield the tables."""
    named = [one for one in found if one.roles[:1] == ("recommended",)]
    yield "| seed | recommended | truth | chose it | corrected | fresh |"
    yield "|--:|---|--:|--:|--:|--:|"
    for one in named:
        cells = [_cell(one.true, each) for each in (one.searched, one.corrected, one.fresh)]
        yield (
            f"| {one.seed} | {format_removal(one.removal, ', ')} | {100 * one.true:.2f} "
            f"| {' | '.join(cells)} |"
        )
    groups = {
        "recommended": named,
        "of every strategy": [
            one for one in found if {"conservative", "balanced", "aggressive"} & set(one.roles)
        ],
        "runner-up": [one for one in found if "runner_up" in one.roles],
        "one-shot": [one for one in found if "one_shot" in one.roles],
    }
    yield ""
    heading = "| removals | n | bias: chose it | corrected | fresh "
    yield heading + "| held: chose it | corrected | fresh |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for name, group in groups.items():
        if group:
            yield f"| {name} | {len(group)} | {_shares(group)} |"
    generator = np.random.default_rng(0)
    distinct = sorted({one.removal for one in named})
    shares = {one: redrawn(scores, one, samples, generator) for one in distinct}
    yield ""
    yield "| recommended | truth | fresh intervals that hold it % |"
    yield "|---|--:|--:|"
    for removal, share in shares.items():
        true = 100 * true_drop(scores, removal)
        yield f"| {format_removal(removal, ', ')} | {true:.2f} | {100 * share:.1f} |"


def _cell(true: float, given: tuple[float, Interval] | None) -> str:
    if given is None:
        return "-"
    drop, ends = given
    missed = "" if holds(true, given) else " x"
    return f"{100 * drop:.2f} [{100 * ends.low:.2f}, {100 * ends.high:.2f}]{missed}"


def _shares(group: Sequence[Verdict]) -> str:
    columns = [
        [(one.true, one.searched) for one in group],
        [(one.true, one.corrected) for one in group if one.corrected is not None],
        [(one.true, one.fresh) for one in group],
    ]
    bias = [
        f"{100 * float(np.mean([given[0] - true for true, given in each])):.2f}" if each else "-"
        for each in columns
    ]
    held = [f"{sum(holds(true, given) for true, given in each)} of {len(each)}" for each in columns]
    return " | ".join([*bias, *held])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--samples", type=int, default=64)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    found = list(studies(arguments.folder, arguments.seeds, arguments.samples))
    wanted = {one.removal for _, each in found if each.verified for one in each.verified.removals}
    scores = truth(arguments.folder, wanted)
    rows = [verdict for seed, each in found for verdict in verdicts(seed, each, scores)]
    print("\n".join(report(rows, scores, arguments.samples)))
    named = [one for one in rows if one.roles[:1] == ("recommended",)]
    held = sum(holds(one.true, one.fresh) for one in named)
    return int(arguments.seeds == 20 and held < LEAST)


if __name__ == "__main__":
    sys.exit(main())
