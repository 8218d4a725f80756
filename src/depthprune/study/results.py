"""Results as they were read from files: plain records, whoever wrote the files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depthprune.base.removal import Removal
from depthprune.study.records import ModelRecord


@dataclass(frozen=True)
class SampleResult:
    """The score of one sample and the answer behind it (empty when the file has none)."""

    sample_id: str
    score: float
    answer: str


@dataclass(frozen=True)
class RemovalResult:
    """What a file says about one removal.

    Attributes:
        removal: the blocks left out; `()` is the baseline.
        drop: a fraction, as the file states it; else baseline accuracy minus accuracy.
        accuracy: None when the file has none.
        std: population standard deviation over the samples; None when the file has none.
        num_samples: None when the file has none.
        samples: in the order of the file; None when the file has none.
    """

    removal: Removal
    drop: float
    accuracy: float | None = None
    std: float | None = None
    num_samples: int | None = None
    samples: tuple[SampleResult, ...] | None = None


@dataclass(frozen=True)
class Provenance:
    """What depthprune's own files say about how their numbers were measured.

    Attributes:
        num_samples: None where it is not known (imported results).
        files: the names of the result files beside it, as anyone may have edited them.
    """

    model: ModelRecord
    task_fingerprint: str
    task_type: str
    metric: str
    settings: str
    num_samples: int | None = None
    files: tuple[Any, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class DatasetResults:
    """The results of one split of one dataset.

    Attributes:
        dataset: with underscores, e.g. `coco_2014_vqa`.
        split: e.g. `train+validation`.
        num_blocks: of the unpruned model; None when no file tells it.
        baseline_accuracy: None when no file tells it.
        results: by number of removed blocks and removal; the baseline first, when it is known.
        folder: where the files lie.
        beam_width: of the search, when stated.
        max_blocks_to_remove: of the search, when stated.
        provenance: None for results that depthprune did not write.
    """

    dataset: str
    split: str
    num_blocks: int | None
    baseline_accuracy: float | None
    results: tuple[RemovalResult, ...]
    folder: Path
    beam_width: int | None = None
    max_blocks_to_remove: int | None = None
    provenance: Provenance | None = None

    @property
    def drops(self) -> dict[Removal, float]:
        """The drop of every removal, in the order of `results`."""
        return {result.removal: result.drop for result in self.results}


@dataclass(frozen=True)
class ImportanceComparison:
    """Single-block drops of one dataset on its training and its validation split, by block."""

    dataset: str
    train_scores: dict[int, float]
    validation_scores: dict[int, float]
    spearman_correlation: float | None
    p_value: float | None
    path: Path


@dataclass(frozen=True)
class Problem:
    """Something in a file that is not as it should be.

    Attributes:
        what: one sentence.
        where: file and, when known, the place in it.
        left_out: True: what is wrong was left out of the results; False: it was kept, in doubt.
    """

    what: str
    where: str
    left_out: bool = True

    def __str__(self) -> str:
        return f"{self.where}: {self.what} ({'left out' if self.left_out else 'kept'})"


@dataclass(frozen=True)
class Reading:
    """All that was found in a folder.

    Attributes:
        datasets: ordered by dataset and split.
        comparisons: ordered by dataset.
        problems: what was left out, or kept in doubt, and why.
    """

    datasets: tuple[DatasetResults, ...]
    comparisons: tuple[ImportanceComparison, ...]
    problems: tuple[Problem, ...]
