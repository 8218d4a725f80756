"""From rows to samples: which columns hold the question, the answers, the options, the pictures."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from string import ascii_uppercase
from typing import Any

from depthprune.base.errors import TaskError
from depthprune.tasks.sources.images import LazyImage
from depthprune.tasks.sources.rows import Rows
from depthprune.tasks.task import Sample

QUESTION_COLUMNS = ("question",)
ANSWER_COLUMNS = ("answers", "answer", "references", "captions", "caption", "text")
CHOICE_COLUMNS = ("choices", "options")
IMAGE_COLUMNS = ("image", "images", "file_name")


@dataclass(frozen=True)
class Fields:
    """Which columns hold what; an empty entry means the plain name (see docs/tasks.md).

    Attributes:
        question: columns joined by line breaks, e.g. a hint and the question; all but the last
            may be missing or empty.
        answers: an answer or a list of them; `answers.answer` takes `answer` of each entry that
            is an object. For multiple choice: the right option's letter, number (from 0) or text.
        choices: the options.
        images: columns with a picture or a list of pictures; null means none.
        records: a column with several question-answer records per row, each of which becomes a
            sample; `question`, `answers` and `choices` are then looked up in the record first.
    """

    question: tuple[str, ...] = ()
    answers: str = ""
    choices: str = ""
    images: tuple[str, ...] = ()
    records: str = ""

    def required(self) -> tuple[str, ...]:
        """Return the columns that the data must have."""
        inside_record = (*self.question[-1:], self.answers, self.choices)
        named = (*(() if self.records else inside_record), self.records, *self.images[:1])
        return tuple(name.partition(".")[0] for name in named if name)

    def columns(self) -> tuple[str, ...]:
        """Return all columns that a sample is made of."""
        named = (*self.question, self.answers, self.choices, self.records, *self.images)
        return tuple(dict.fromkeys(name.partition(".")[0] for name in named if name))


@dataclass(frozen=True)
class RowSamples:
    """The samples of a table, made from its rows when they are asked for."""

    rows: Rows
    fields: Fields
    split: str
    places: Sequence[tuple[int, int]]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Sample:
        row, record = self.places[index]
        return _to_sample(self.rows, self.fields, row, record, f"{self.split}/{index}")


def make_samples(rows: Rows, own: Fields | None, split: str, *, or_plain: bool) -> RowSamples:
    """Return the samples of `rows`.

    Args:
        rows: the table.
        own: the task's columns; what it does not name is found by its plain name.
        split: the first part of the sample ids.
        or_plain: whether a table that lacks one of the task's columns may have plain names.

    Raises:
        TaskError: a column is missing (names those that are there).
    """
    fields = _complete(own or Fields(), rows.columns)
    missing = [name for name in fields.required() if name not in rows.columns]
    if missing and or_plain:
        fields = _complete(Fields(), rows.columns)
        missing = []
    if not len(rows):
        return RowSamples(rows, fields, split, ())
    if not fields.answers and not fields.records:
        missing = missing or ["answers"]
    if missing:
        raise _missing_field(missing[0], rows.place(0), rows.columns)
    if not fields.records:
        return RowSamples(rows, fields, split, [(index, 0) for index in range(len(rows))])
    places = [
        (index, number)
        for index, records in enumerate(rows.column(fields.records))
        for number in range(len(records or ()))
    ]
    return RowSamples(rows, fields, split, places)


def _complete(own: Fields, columns: Iterable[str]) -> Fields:
    present = set(columns)

    def first(names: Sequence[str]) -> str:
        return next((name for name in names if name in present), "")

    plain = Fields(
        question=(first(QUESTION_COLUMNS),) if first(QUESTION_COLUMNS) else (),
        answers=first(ANSWER_COLUMNS),
        choices=first(CHOICE_COLUMNS),
        images=(first(IMAGE_COLUMNS),) if first(IMAGE_COLUMNS) else (),
    )
    return replace(
        own,
        question=own.question or plain.question,
        answers=own.answers or plain.answers,
        choices=own.choices or plain.choices,
        images=own.images or plain.images,
    )


def _to_sample(rows: Rows, fields: Fields, index: int, record: int, name: str) -> Sample:
    columns = fields.columns()
    row = dict(rows.row(index, columns))
    place = rows.place(index)
    pictures = row
    if fields.records:
        entry = row[fields.records][record]
        if not isinstance(entry, Mapping):
            raise TaskError(f"a record in {fields.records!r} is not an object", where=place)
        row = {**row, **entry}
    choices = _texts(_cell(row, fields.choices, place)) if fields.choices else ()
    answers = _texts(_cell(row, fields.answers, place))
    if choices:
        answers = tuple(_letter(answer, choices, place) for answer in answers)
    return Sample(
        id=name,
        question=_question(row, fields.question, place),
        images=tuple(_images(rows, fields, pictures, index, place)),
        references=answers,
        choices=choices,
    )


def _question(row: Mapping[str, Any], columns: Sequence[str], place: str) -> str:
    if not columns:
        return ""
    lines = [str(row[name]) for name in columns[:-1] if row.get(name)]
    return "\n".join([*lines, str(_cell(row, columns[-1], place))])


def _images(
    rows: Rows, fields: Fields, row: Mapping[str, Any], index: int, place: str
) -> Iterable[LazyImage]:
    columns = fields.columns()
    for number, name in enumerate(fields.images):
        if name not in row:
            if number == 0:
                raise _missing_field(name, place, row)
            continue
        cell = row[name]
        many = isinstance(cell, list)
        for entry, value in enumerate(cell if many else [cell]):
            if value is None or value == {"bytes": None, "path": None}:
                continue
            read = partial(_read_image, rows, columns, index, name, entry if many else None)
            yield LazyImage(read, rows.root, place)


def _read_image(
    rows: Rows, columns: Sequence[str], index: int, name: str, entry: int | None
) -> Any:
    cell = rows.row(index, columns)[name]
    return cell if entry is None else cell[entry]


def _cell(row: Mapping[str, Any], name: str, place: str) -> Any:
    """Return what `name` leads to; `answers.answer` takes `answer` from each entry of a list."""
    column, _, key = name.partition(".")
    if row.get(column) is None:
        raise _missing_field(column, place, row)
    value = row[column]
    if not key:
        return value
    entries = value if isinstance(value, list) else [value]
    for entry in entries:
        if isinstance(entry, Mapping) and key not in entry:
            raise TaskError(f"an entry of {column!r} has no field {key!r}", where=place)
    return [entry[key] if isinstance(entry, Mapping) else entry for entry in entries]


def _texts(value: Any) -> tuple[str, ...]:
    """Return a cell as texts: one text, a list, or a list written as text (as MMMU does)."""
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return (str(value),)
    if isinstance(value, list | tuple):
        return tuple(_text(entry) for entry in value)
    return (_text(value),)


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _letter(answer: str, choices: Sequence[str], place: str) -> str:
    letters = ascii_uppercase[: len(choices)]
    if len(answer) == 1 and answer in letters:
        return answer
    if choices.count(answer) == 1:
        return letters[choices.index(answer)]
    if answer.isdigit() and int(answer) < len(letters):
        return letters[int(answer)]
    raise TaskError(
        f"the answer {answer!r} is none of the {len(choices)} options",
        where=place,
        mend="give the right option's letter, its number counted from 0, or its text",
    )


def _missing_field(name: str, place: str, available: Iterable[str]) -> TaskError:
    return TaskError(
        f"the field {name!r} is missing",
        where=place,
        mend=f"available fields: {', '.join(available) or 'none'}; "
        "map other names with `fields:` in the task's definition",
    )
