"""A study or a folder of result files, as values: what was measured, and what was answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields
from functools import cached_property
from html import escape
from math import isnan
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import AnalysisError, LayoutError, MissingDependencyError
from depthprune.base.language import counted
from depthprune.base.removal import check_removal, format_removal, make_removal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pandas import DataFrame

    from depthprune.analysis.answers import PairedAnswers
    from depthprune.analysis.result_set import DatasetMeasurements, ResultSet
    from depthprune.tasks.task import TaskSplit


SHOWN = 20
"""Rows that are shown where a table is printed."""


@dataclass(frozen=True, repr=False)
class Table:
    """Rows under named columns: `for row in table`, `table["drop"]`, `len(table)`.

    Attributes:
        columns: their names.
        rows: one tuple each, in the order of the columns; what is not known is None.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    @classmethod
    def of(cls, values: Iterable[Any], columns: Sequence[str]) -> Table:
        """Return a table of attributes: one row for each value, one column for each name."""
        rows = (tuple(getattr(one, name) for name in columns) for one in values)
        return cls(tuple(columns), tuple(rows))

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (dict(zip(self.columns, row, strict=True)) for row in self.rows)

    def __getitem__(self, column: str) -> list[Any]:
        """Return the values of a column, row by row.

        Raises:
            KeyError: there is no such column; names those that there are.
        """
        if column not in self.columns:
            raise KeyError(f"there is no column {column!r}; there are {', '.join(self.columns)}")
        place = self.columns.index(column)
        return [row[place] for row in self.rows]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dictionary for each row, by column."""
        return list(self)

    def to_pandas(self) -> DataFrame:
        """Return a pandas DataFrame; what is not known is missing in it.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                "a DataFrame needs the package pandas, which is not installed",
                mend="pip install pandas, or use .to_dicts()",
            ) from error
        return DataFrame({name: self[name] for name in self.columns}, columns=list(self.columns))

    def __repr__(self) -> str:
        cells = [self.columns, *(tuple(map(_text, row)) for row in self.rows[:SHOWN])]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in cells
        ]
        return "\n".join([*lines, *self._rest()])

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""

        def line(cells: Iterable[str], kind: str) -> str:
            return "<tr>" + "".join(f"<{kind}>{escape(c)}</{kind}>" for c in cells) + "</tr>"

        body = "".join(line(map(_text, row), "td") for row in self.rows[:SHOWN])
        rest = "".join(f"<p>{text}</p>" for text in self._rest())
        return f"<table>{line(self.columns, 'th')}{body}</table>{rest}"

    def _rest(self) -> list[str]:
        more = len(self) - SHOWN
        return [f"... and {counted(more, 'more row')}"] if more > 0 else []


def field_names(kind: type) -> tuple[str, ...]:
    """Return the names of a dataclass's fields."""
    return tuple(one.name for one in fields(kind))


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "" if value is None else str(value)


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
    from depthprune.analysis.answers import AnswerReader, pair_answers

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
    with closing(AnswerReader(results)) as reader:
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
