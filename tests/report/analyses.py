"""Analyses that the documents are tested on: published results, and small ones made by hand."""

from __future__ import annotations

from functools import cache
from typing import Any

from depthprune.analysis.collect import read_result_set
from depthprune.analysis.findings import Analysis, analyze_results
from depthprune.analysis.options import Ranking, Targets
from tests.analysis.results import PUBLISHED, Cells, result_set, results
from tests.measurements import dataset

BEAM = PUBLISHED / "exp3_beam_search_multi_dataset"


@cache
def published() -> Analysis:
    """Return the analysis of the published results: 16 blocks, eight datasets."""
    return analyze_results(
        read_result_set(BEAM), targets=Targets(max_drop=0.05, speedup=1.2, params=0.85)
    )


@cache
def both_splits() -> Analysis:
    """Return the same with the comparisons of training against validation."""
    return analyze_results(read_result_set(PUBLISHED))


def limits(**asked: Any) -> tuple[Ranking, Targets]:
    """Return what is ranked and what is asked for, by the names of their fields."""
    targets = {name: asked.pop(name) for name in vars(Targets()) if name in asked}
    return Ranking(**asked), Targets(**targets)


def made(cells: Cells, *, num_blocks: int = 6, **asked: Any) -> Analysis:
    """Return the analysis of drops written down by hand, one entry per dataset."""
    return analyze_results(results(cells, num_blocks=num_blocks), *limits(**asked))


def with_samples() -> Analysis:
    """Return an analysis of two datasets whose scores per sample are known."""
    wrong = {(0,): 40, (1,): 1, (2,): 2, (1, 2): 8, (3,): 0}
    answers = {removal: [0] * number + [1] * (40 - number) for removal, number in wrong.items()}
    datasets = [dataset(name, [1] * 40, answers) for name in ("first", "second")]
    return analyze_results(result_set(datasets, num_blocks=4))


def one_dataset() -> Analysis:
    """Return an analysis of a single dataset of unknown type, without numbers of samples."""
    return made({(0,): [0.7], (1,): [0.01], (2,): [0.02], (1, 2): [0.05], (1, 3): [-0.01]})


def many_blocks() -> Analysis:
    """Return an analysis of 80 blocks of which up to 30 go."""
    cells = {tuple(range(1, 1 + number)): [0.001 * number] * 3 for number in range(1, 31)}
    return made({(0,): [0.8, 0.8, 0.8]} | cells, num_blocks=80)
