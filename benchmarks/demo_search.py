"""Does a beam find the best pair, and what does one joint search find that eight searches do not?

Measures on the embedded demo model (16 blocks, eight datasets) and prints two tables in markdown:

    python benchmarks/demo_search.py [--samples 64] [--folder FOLDER]

Every pair is measured on every dataset, so that beams of any width can be replayed on the table of
pairs. About 15 CPU minutes with 64 samples; a folder that is given is gone on with.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from depthprune.analysis.combinations import Combination, combine, rank
from depthprune.analysis.from_study import dataset_measurements
from depthprune.analysis.result_set import DatasetMeasurements
from depthprune.base.removal import Removal, format_removal, rounded
from depthprune.strategies import Beam, Exhaustive, SearchSpace, Strategy
from depthprune.strategies.model import ModelSource
from depthprune.strategies.options import SearchOptions
from depthprune.strategies.pipeline import SearchOutcome, SearchRequest, search_model
from depthprune.study import StudyStore
from depthprune.tasks.demo import MODEL_PATH
from depthprune.tasks.registry import list_tasks

NUM_BLOCKS = 16
WIDTHS = (1, 2, 3, 5)
MOST = 4


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="depthprune-"))

    def request(name: str, strategy: Strategy, *, joint: bool, complete: int) -> SearchRequest:
        return SearchRequest(
            model=ModelSource(source=str(MODEL_PATH), name="demo"),
            tasks=tuple(task for task in list_tasks() if task.name.startswith("demo_")),
            splits=("train+validation",),
            folder=folder / name,
            search=SearchOptions(strategy, joint=joint, complete=complete),
            num_samples=arguments.samples,
        )

    pairs = search_model(request("pairs", Exhaustive(max_removed=2), joint=True, complete=0))
    beam = Beam(max_removed=MOST)
    joint = search_model(request("joint", beam, joint=True, complete=0))
    alone = search_model(request("alone", beam, joint=False, complete=0))
    searched = alone.report.measured + alone.report.reused
    completed = search_model(request("completed", beam, joint=False, complete=3))

    print(f"{arguments.samples} samples of each dataset, split train+validation\n")
    print(_pair_table(_measured(pairs)))
    print()
    print(
        _search_table(
            {
                "joint": (joint, _total(joint)),
                "per dataset": (alone, searched),
                "per dataset, --complete 3": (completed, _total(completed)),
            }
        )
    )


def _pair_table(datasets: list[DatasetMeasurements]) -> str:
    """Return, for every dataset and their mean, the best pair and what beams find of it."""
    tables = {one.dataset: {r: one.drop(r) for r in one.measurements} for one in datasets}
    tables["mean of all (joint)"] = {one.removal: one.mean for one in combine(datasets)}
    heading = ["dataset", "best pair", "drop %", "singles alone"]
    heading += [f"beam {width}" for width in WIDTHS]
    lines = [heading, ["--"] * len(heading)]
    for name, drops in tables.items():
        best = min((r for r in drops if len(r) == 2), key=lambda r: (rounded(drops[r]), r))
        one_shot = _pair_of_singles(drops)
        cells = [name, _blocks(best), _percent(drops[best]), _verdict(one_shot, best, drops)]
        for width in WIDTHS:
            space = SearchSpace(NUM_BLOCKS)
            *_, last = Beam(width, max_removed=2).steps(space, {(): 0.0, **drops})
            cells.append(_verdict(last.beam[0], best, drops))
        lines.append(cells)
    return _markdown(lines)


def _search_table(searches: dict[str, tuple[SearchOutcome, int]]) -> str:
    """Return the best combination that is known on every dataset, for each search."""
    lines = [["search", "measurements", *(f"{n} removed" for n in range(1, MOST + 1))]]
    lines.append(["--"] * len(lines[0]))
    for name, (outcome, measurements) in searches.items():
        datasets = _measured(outcome)
        everywhere: dict[int, list[Combination]] = {}
        for one in combine(datasets):
            everywhere.setdefault(len(one.removal), []).append(one)
        cells = [name, str(measurements)]
        for number in range(1, MOST + 1):
            ranked = rank(everywhere[number], min_coverage=len(datasets), min_drop=None)
            cells.append(_best(ranked.combinations))
        lines.append(cells)
    return _markdown(lines)


def _best(ranked: tuple[Combination, ...]) -> str:
    if not ranked:
        return "none on all datasets"
    one = ranked[0]
    assert one.interval is not None
    low, high = _percent(one.interval.low), _percent(one.interval.high)
    return f"{_blocks(one.removal)}: {_percent(one.mean)} [{low}, {high}]"


def _measured(outcome: SearchOutcome) -> list[DatasetMeasurements]:
    with StudyStore.open(outcome.folder, read_only=True) as study:
        return dataset_measurements(study, outcome.splits, outcome.settings)


def _total(outcome: SearchOutcome) -> int:
    return outcome.report.measured + outcome.report.reused


def _pair_of_singles(drops: dict[Removal, float]) -> Removal:
    singles = sorted((r for r in drops if len(r) == 1), key=lambda r: (rounded(drops[r]), r))
    return tuple(sorted((singles[0][0], singles[1][0])))


def _verdict(found: Removal, best: Removal, drops: dict[Removal, float]) -> str:
    """Return `best`, or what was found instead and how much worse it is."""
    worse = rounded(drops[found]) - rounded(drops[best])
    return "best" if worse <= 0 else f"{_blocks(found)} (+{_percent(worse)})"


def _blocks(removal: Removal) -> str:
    return format_removal(removal, ", ")


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}"


def _markdown(lines: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


if __name__ == "__main__":
    main()
