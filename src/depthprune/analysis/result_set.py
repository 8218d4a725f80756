"""What an analysis starts from: everything measured of one model, one split of each dataset."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from depthprune.analysis.dataset import DatasetMeasurements


@dataclass(frozen=True)
class SplitScores:
    """Single-block drops of one dataset on its training and its validation split, by block."""

    dataset: str
    train: Mapping[int, float]
    validation: Mapping[int, float]


@dataclass(frozen=True)
class FreshResults:
    """Removals measured again on samples that had no part in finding any removal.

    Attributes:
        datasets: as far as they hold enough such samples, by name.
        splits: the split that the samples are of, by dataset name.
        counts: fresh samples of the datasets that hold too few to be verified on.
        reasons: why there are none of a dataset, in a sentence; empty where it was not tried.
    """

    datasets: tuple[DatasetMeasurements, ...] = ()
    splits: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ResultSet:
    """Results of one model over datasets, from a study or from files.

    Attributes:
        model: its name, or the folder where it is unknown.
        num_blocks: of the unpruned stack.
        datasets: one split each, by name.
        splits: the split of each dataset, by dataset name.
        comparisons: datasets whose training and validation splits were both measured.
        problems: what was wrong in the files, and whether it was left out; for people.
        parameters: of the whole model; None when unknown.
        block_parameters: of each block; None when unknown.
        source: the folder or file that holds them, with the answers; None where there is none.
        selection: of a study, the splits and settings that were looked at; None for all.
        fresh: removals that were measured again on fresh samples; None where none ever was.
    """

    model: str
    num_blocks: int
    datasets: tuple[DatasetMeasurements, ...]
    splits: Mapping[str, str]
    comparisons: tuple[SplitScores, ...] = ()
    problems: tuple[str, ...] = ()
    parameters: int | None = None
    block_parameters: tuple[int, ...] | None = None
    source: Path | None = field(default=None, compare=False)
    selection: Collection[tuple[int, str]] | None = field(default=None, compare=False, repr=False)
    fresh: FreshResults | None = None
