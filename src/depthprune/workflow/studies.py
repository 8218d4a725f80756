"""A study or a folder of result files, as values: what was measured, and what was answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import isnan
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from depthprune.base.errors import AnalysisError, LayoutError
from depthprune.base.removal import check_removal, format_removal, make_removal
from depthprune.workflow.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from depthprune.analysis.answers import PairedAnswers
    from depthprune.analysis.dataset import DatasetMeasurements
    from depthprune.analysis.result_set import ResultSet
    from depthprune.tasks.task import TaskSplit


@dataclass(frozen=True)
class Study:
    """What was measured of one model; nothing is held open, and nothing is changed.

    Attributes:
        folder: of the study, or of documented result files.
        selection: splits and settings that are looked at, as (key, settings); None looks at all.
        tasks: the samples that were measured, where they are at hand; their references stand
            beside the answers.
    """

    folder: Path
    selection: frozenset[tuple[int, str]] | None = field(default=None, repr=False)
    tasks: tuple[TaskSplit, ...] = field(default=(), repr=False, compare=False)

    def results(self, split: str | None = None) -> ResultSet:
        """Return what was measured on one split of each dataset, as an analysis takes it.

        Args:
            split: e.g. `validation`; None takes the split that most datasets have.

        Raises:
            DepthpruneError: nothing was measured, or not on this split; files are damaged.
        """
        from depthprune.analysis.collect import read_result_set

        if split is None:
            return self._usual
        return read_result_set(self.folder, split, selection=self.selection)

    @cached_property
    def _usual(self) -> ResultSet:
        from depthprune.analysis.collect import read_result_set

        return read_result_set(self.folder, selection=self.selection)

    @property
    def num_blocks(self) -> int:
        """How many blocks the unpruned model has."""
        return self._usual.num_blocks

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the datasets that were measured."""
        return tuple(one.dataset for one in self._usual.datasets)

    def drops(self, split: str | None = None) -> Table:
        """Return what every removal costs on every dataset that it was measured on.

        The columns: `removal` (block indices), `dataset`, `split`, `n` (samples), `accuracy`,
        `drop` (accuracy of the whole model minus this, a fraction), `low` and `high` (its paired
        95% interval; None without per-sample scores, or below ten samples).

        Args:
            split: see `results`.

        Raises:
            DepthpruneError: see `results`.
        """
        results = self.results(split)
        rows = [
            row for one in results.datasets for row in drop_rows(one, results.splits[one.dataset])
        ]
        return Table(DROP_COLUMNS, tuple(rows))

    def importance(self, dataset: str | None = None, split: str | None = None) -> dict[int, float]:
        """Return the drop of every block that was removed alone, by block; higher = keep first.

        Args:
            dataset: one of `datasets`; None takes the mean over those that measured the block.
            split: see `results`.

        Raises:
            AnalysisError: there is no such dataset.
            DepthpruneError: see `results`.
        """
        found = self.results(split).datasets
        used = found if dataset is None else [_named(dataset, found)]
        drops: dict[int, list[float]] = {}
        for one in used:
            for removal in one.measurements:
                if len(removal) == 1:
                    drops.setdefault(removal[0], []).append(one.drop(removal))
        return {block: fmean(drops[block]) for block in sorted(drops)}

    def answers(self, removal: Iterable[int], dataset: str, split: str | None = None) -> Table:
        """Return what the model answered without these blocks, beside the whole model's answers.

        The columns: `sample` (its id), `prompt` (as it was sent), `references` (accepted answers),
        `baseline_answer`, `answer`, `baseline_score`, `score`, `damage` (how the answer is damaged,
        see `depthprune.tasks.damage`; None where the model was asked for likelihoods). Prompts
        and references are None in result files and in studies that did not keep them, unless
        `tasks` holds the samples.

        Args:
            removal: block indices; `()` is the whole model.
            dataset: one of `datasets`.
            split: see `results`.

        Raises:
            AnalysisError: this was not measured, or no answers were kept.
            DepthpruneError: see `results`.
        """
        found = paired_answers(self, removal, dataset, split)
        return Table.of(found.pairs, ANSWER_COLUMNS)


ANSWER_COLUMNS = (
    "sample", "prompt", "references", "baseline_answer", "answer", "baseline_score", "score",
    "damage",
)  # fmt: skip


def paired_answers(
    study: Study, removal: Iterable[int], dataset: str, split: str | None = None
) -> PairedAnswers:
    """Return the answers that `Study.answers` lists, with the damage to all of them."""
    from depthprune.analysis.answers import open_answers, pair_answers

    results = study.results(split)
    one = _named(dataset, results.datasets)
    blocks = check_removal(make_removal(removal), results.num_blocks)
    if blocks and blocks not in one.measurements:
        raise AnalysisError(
            f"the removal {format_removal(blocks)} was not measured on {one.dataset}",
            where=str(study.folder),
            mend="`drops()` lists what was measured",
        )
    name = results.splits[one.dataset]
    references = {
        loaded.fingerprint: {sample.id: sample.references for sample in loaded.samples}
        for loaded in study.tasks
    }
    with open_answers(results) as reader:
        found = pair_answers(reader, one, name, blocks, references)
    if found is None or not found.pairs:
        raise LayoutError(
            "the answers behind these scores were not kept",
            where=str(study.folder),
            mend="measure in a study of your own: profile and search keep every answer",
        )
    return found


DROP_COLUMNS = ("removal", "dataset", "split", "n", "accuracy", "drop", "low", "high")


def drop_rows(one: DatasetMeasurements, split: str) -> list[tuple[object, ...]]:
    """Return a row for each removal that was measured on a dataset, see `Study.drops`."""
    from depthprune.analysis.intervals import paired_intervals

    removals = sorted(one.measurements, key=lambda removal: (len(removal), removal))
    ends = paired_intervals([one], [((), removal) for removal in removals])
    rows: list[tuple[object, ...]] = []
    for removal, interval in zip(removals, ends, strict=True):
        measured = one.measurements[removal]
        accuracy = None if isnan(measured.accuracy) else measured.accuracy
        low, high = (None, None) if interval is None else (interval.low, interval.high)
        numbers = (measured.num_samples or None, accuracy, one.drop(removal), low, high)
        rows.append((removal, one.dataset, split, *numbers))
    return rows


def open_study(folder: str | Path) -> Study:
    """Return what was measured: of a study, or of documented result files from anywhere.

    Args:
        folder: of the study, its database, a folder of result files, or one such file.

    Raises:
        FileError: there is no such folder or file.
        DepthpruneError: nothing was measured, or the files are damaged.
    """
    from depthprune.study.store import DATABASE_NAME

    path = Path(folder)
    study = Study(path.parent if path.name == DATABASE_NAME else path)
    study.results()
    return study


def as_study(study: Study | str | Path) -> Study:
    """Return a study, which may be named by its folder."""
    return study if isinstance(study, Study) else open_study(study)


def _named(dataset: str, found: Sequence[DatasetMeasurements]) -> DatasetMeasurements:
    name = dataset.replace("-", "_")
    for one in found:
        if one.dataset.replace("-", "_") == name:
            return one
    raise AnalysisError(
        f"there are no results of {dataset!r}",
        option="dataset",
        mend=f"choose from {', '.join(one.dataset for one in found)}",
    )
