"""From rows to samples: which columns hold the question, the answers, the options, the pictures."""

from __future__ import annotations

import ast
import math
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
        answers: an answer or a list of them; `answers.answer` takes `answer` of an object, or of
            each entry of a list that is an object. For multiple choice: the right option, see
            `_letter`.
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

    def require_question(self) -> None:
        """Raise TaskError when no column holds the question."""
        if not self.fields.question and self.places:
            raise _missing_field(QUESTION_COLUMNS[0], self.rows.place(0), self.rows.columns)

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
    if not fields.answers:
        missing = missing or ["answers"]
    if missing:
        raise _missing_field(missing[0], rows.place(0), rows.columns)
    if not fields.records:
        return RowSamples(rows, fields, split, [(index, 0) for index in range(len(rows))])
    places: list[tuple[int, int]] = []
    for index, records in enumerate(rows.column(fields.records)):
        if records is not None and not isinstance(records, list):
            raise TaskError(
                f"the field {fields.records!r} holds no list of records", where=rows.place(index)
            )
        places.extend((index, number) for number in range(len(records or ())))
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
    choices: tuple[str, ...] = ()
    answers = _cell(row, fields.answers, place)
    if fields.choices:
        options = _list_written_as_text(_cell(row, fields.choices, place))
        choices = tuple(_text(option, fields.choices, place) for option in _entries(options))
        # MMMU writes the answers to an open question as it writes options.
        answers = answers if choices else _list_written_as_text(answers)
    references = tuple(
        _letter(answer, choices, fields.answers, place)
        if choices
        else _text(answer, fields.answers, place)
        for answer in _entries(answers)
    )
    return Sample(
        id=name,
        question=_question(row, fields.question, place),
        images=tuple(_images(rows, fields, pictures, index, place)),
        references=references,
        choices=choices,
    )


def _question(row: Mapping[str, Any], columns: Sequence[str], place: str) -> str:
    if not columns:
        return ""
    lines = [_text(row[name], name, place) for name in columns[:-1] if row.get(name)]
    return "\n".join([*lines, _text(_cell(row, columns[-1], place), columns[-1], place)])


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
    for entry in _entries(value):
        if isinstance(entry, Mapping) and key not in entry:
            raise TaskError(f"an entry of {column!r} has no field {key!r}", where=place)
    if isinstance(value, Mapping):
        return value[key]
    found = [entry[key] if isinstance(entry, Mapping) else entry for entry in _entries(value)]
    return [inner for entry in found for inner in _entries(entry)]


def _entries(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else (value,)


def _list_written_as_text(value: Any) -> Any:
    """Return the list that a text such as `['a', 'b']` means (MMMU), other values unchanged."""
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        try:
            return ast.literal_eval(value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return value
    return value


def _text(value: Any, name: str, place: str) -> str:
    number = isinstance(value, float)
    if (number and not math.isfinite(value)) or isinstance(
        value, Mapping | list | tuple | bytes | None
    ):
        raise TaskError(
            f"the field {name!r} holds {str(value)[:60]}, which is neither text nor number",
            where=place,
            mend="mend the data, or name what is within: `fields: {answers: answers.text}`",
        )
    return str(int(value)) if number and value.is_integer() else str(value)


def _letter(answer: Any, choices: Sequence[str], name: str, place: str) -> str:
    """Return the right option's letter.

    A whole number is the option's place, counted from 0, whatever the options say. A text is the
    option's letter, else its text, else its place.
    """
    letters = ascii_uppercase[: len(choices)]
    places = [str(number) for number in range(len(letters))]
    text = _text(answer, name, place)
    if isinstance(answer, str | bool):
        if len(text) == 1 and text in letters:
            return text
        if choices.count(text) == 1:
            return ascii_uppercase[choices.index(text)]
    if text in places:
        return letters[places.index(text)]
    raise TaskError(
        f"the answer {text[:60]!r} is none of the {len(choices)} options",
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
