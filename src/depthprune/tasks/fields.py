"""From rows to samples: which columns hold the question, the answers, the options, the pictures."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from string import ascii_uppercase
from typing import Any

from depthprune.base.errors import TaskError
from depthprune.base.language import counted
from depthprune.tasks.images import LazyImage, PictureFolder
from depthprune.tasks.metrics.words import fold
from depthprune.tasks.rows import Rows
from depthprune.tasks.task import Sample

QUESTION_COLUMNS = ("question",)
QUESTION_TYPE = "question_type"
"""Says `open` of a question among multiple choice that has no options (MMMU)."""
ANSWER_COLUMNS = ("answers", "answer", "references", "captions", "caption", "text")
CHOICE_COLUMNS = ("choices", "options")
IMAGE_COLUMNS = ("image", "images", "file_name")
# A column per option: A, B, C; option_a, option_b; choice A, choice B.
_OPTION_COLUMN = re.compile(r"(?:(?:option|choice|opt)[ _-]?)?([a-z])", re.IGNORECASE)
_PICTURE_NAME = re.compile(
    r"im(a)?ge?s?(?![a-z])|picture|photo|pic(?![a-z])|file_?(name|path)", re.I
)
_NO_PICTURE_NAME = re.compile(r"(^|_)(id|ids|width|height|size|type|source|class|classes)$", re.I)
_PICTURE_FILE = re.compile(r"[^\n]{1,300}\.(bmp|gif|jpe?g|png|ppm|pgm|tiff?|webp)", re.IGNORECASE)
# What an option may begin with: its letter, or its number where a blank follows (not of `1.5`).
_MARKED = re.compile(
    r"\s*(?:(?:option|choice|选项)\s*)?(?:[(\[（]?([A-Za-zＡ-Ｚａ-ｚ])(?:\s*[.):\]、．：）]\s*|\s+-\s+)"
    r"|[(\[（]?(\d{1,2})(?:[.)\]]\s+|[、．）]\s*))(?=\S)",
    re.IGNORECASE,
)
_OPTION_NAME = re.compile(
    r"opt|op[a-e]$|choi[cs]e|candidate|ending|alternative|answer.|distract", re.I
)
_IN_WORDS = re.compile(r"\{([^{}:]+)(:capitalized)?\}")
_SEVERAL = ("answers", "references", "captions")
_LOOKED_AT = 20
_ONE = ("answer", "caption", "text")


@dataclass(frozen=True)
class Fields:
    """Which columns hold what; an empty entry means the plain name (see docs/tasks.md).

    Attributes:
        question: columns joined by line breaks, e.g. a hint and the question; all but the last
            may be missing or empty. With braces a text with the column in it, `Context: {hint}`;
            `{question:capitalized}` has its first letter large and all others small.
        answers: an answer or a list of them; `answers.answer` takes `answer` of an object, or of
            each entry of a list that is an object. For multiple choice: the right option, see
            `_letter`.
        choices: the options; several columns where each holds one of them.
        images: columns with a picture or a list of pictures; null means none.
        has_images: False for data without pictures, whatever their columns are called.
        records: a column with several question-answer records per row, each of which becomes a
            sample; `question`, `answers` and `choices` are then looked up in the record first.
    """

    question: tuple[str, ...] = ()
    answers: str = ""
    choices: str | tuple[str, ...] = ""
    images: tuple[str, ...] = ()
    records: str = ""
    has_images: bool = True

    @property
    def choice_columns(self) -> tuple[str, ...]:
        """The columns of the options: one with a list, or one for each; there may be none."""
        named = (self.choices,) if isinstance(self.choices, str) else self.choices
        return tuple(name for name in named if name)

    def required(self) -> tuple[str, ...]:
        """Return the columns that the data must have."""
        inside_record = (
            *map(column_of, self.question[-1:]),
            self.answers,
            *self.choice_columns[:2],
        )
        named = (*(() if self.records else inside_record), self.records, *self.images[:1])
        return tuple(name.partition(".")[0] for name in named if name)

    def columns(self) -> tuple[str, ...]:
        """Return all columns that a sample is made of."""
        named = (
            *map(column_of, self.question), self.answers, *self.choice_columns, self.records,
            *self.images, QUESTION_TYPE,
        )  # fmt: skip
        return tuple(dict.fromkeys(name.partition(".")[0] for name in named if name))


@dataclass(frozen=True)
class RowSamples:
    """The samples of a table, made from its rows when they are asked for."""

    rows: Rows
    fields: Fields
    split: str
    places: Sequence[tuple[int, int]]
    pictures: PictureFolder

    def __len__(self) -> int:
        return len(self.places)

    def require_question(self) -> None:
        """Raise TaskError when no column holds the question."""
        if not self.fields.question and self.places:
            raise _missing_field(QUESTION_COLUMNS[0], self.rows.place(0), self.rows.columns)

    def require_pictures(self, *, always: bool) -> None:
        """Raise TaskError when no column is known to hold pictures and the data should have some.

        Args:
            always: whether the task is about pictures; otherwise only a column that visibly holds
                pictures is a reason.
        """
        if self.fields.images or not self.fields.has_images or not self.places:
            return
        holding = self._holding_pictures()
        named = [
            name
            for name in self.rows.columns
            if _PICTURE_NAME.search(name) and not _NO_PICTURE_NAME.search(name)
        ]
        alike = holding or named
        if always or holding:
            example = alike[0] if alike else "NAME"
            raise TaskError(
                "no column is known to hold the pictures"
                + (f"; {' and '.join(map(repr, alike))} may" if alike else ""),
                where=self.rows.place(0),
                mend=f"name the column in the task, `fields: {{image: {example}}}`, or call it "
                f"{' or '.join(IMAGE_COLUMNS)}; a task of texts says `fields: {{image: []}}`. "
                f"Columns that are there: {', '.join(self.rows.columns)}",
            )

    def require_options(self) -> None:
        """Raise TaskError when no column is known to hold the options of multiple choice."""
        if self.fields.choice_columns or self.fields.records or not self.places:
            return
        alike = [name for name in self.rows.columns if _OPTION_NAME.search(name)]
        example = f"[{', '.join(alike)}]" if alike[1:] else "".join(alike) or "NAME"
        raise TaskError(
            "no column is known to hold the options"
            + (f"; {' and '.join(map(repr, alike))} may" if alike else ""),
            where=self.rows.place(0),
            mend=f"name the columns in the task, `fields: {{choices: {example}}}`, or call them "
            f"{' or '.join(CHOICE_COLUMNS)} (a list) or A, B, ... (one each); a task without "
            f"options has no {{choices}} in its prompt. Columns that are there: "
            f"{', '.join(self.rows.columns)}",
        )

    def require_all_pictures(self) -> None:
        """Raise TaskError when `image_2` holds pictures, too, and only `image` is known."""
        if len(self.fields.images) != 1:
            return
        known = re.escape(self.fields.images[0].removesuffix("_1"))
        more = [name for name in self._holding_pictures() if re.fullmatch(rf"{known}_?\d+", name)]
        more = [name for name in more if name != self.fields.images[0]]
        if more:
            together = ", ".join([self.fields.images[0], *more])
            raise TaskError(
                f"more columns hold pictures: {', '.join(more)}",
                where=self.rows.place(0),
                mend=f"name all of them in the task, `fields: {{image: [{together}]}}`",
            )

    def _holding_pictures(self) -> list[str]:
        """Return the columns in which one of the first rows visibly holds a picture."""
        first = [
            self.rows.row(n, self.rows.columns) for n in range(min(_LOOKED_AT, len(self.rows)))
        ]
        return [
            name for name in self.rows.columns if any(_is_picture(row.get(name)) for row in first)
        ]

    def place(self, index: int) -> str:
        """Return the file and row of a sample, for error messages."""
        return self.rows.place(self.places[index][0])

    def __getitem__(self, index: int) -> Sample:
        return _to_sample(self, index)


def make_samples(
    rows: Rows, own: Fields | None, split: str, pictures: PictureFolder, *, or_plain: bool
) -> RowSamples:
    """Return the samples of `rows`.

    Args:
        rows: the table.
        own: the task's columns; what it does not name is found by its plain name.
        split: the first part of the sample ids.
        pictures: where files of pictures may lie.
        or_plain: whether a table that lacks one of the task's columns may have plain names.

    Raises:
        TaskError: a column is missing (names those that are there).
    """
    fields = _complete(own or Fields(), rows.columns)
    missing = [name for name in fields.required() if name not in rows.columns]
    if missing and or_plain:
        question = () if own is None else own.question
        in_words = question if any(column_of(name) != name for name in question) else ()
        fields = _complete(Fields(question=in_words), rows.columns)
        missing = []
    if not len(rows):
        return RowSamples(rows, fields, split, (), pictures)
    if not fields.answers:
        missing = missing or ["answers"]
    if missing:
        raise _missing_field(missing[0], rows.place(0), rows.columns)
    if not fields.records:
        places = [(index, 0) for index in range(len(rows))]
        return RowSamples(rows, fields, split, places, pictures)
    places = []
    for index, records in enumerate(rows.column(fields.records)):
        if records is not None and not isinstance(records, list):
            raise TaskError(
                f"the field {fields.records!r} holds no list of records", where=rows.place(index)
            )
        places.extend((index, number) for number in range(len(records or ())))
    return RowSamples(rows, fields, split, places, pictures)


def _complete(own: Fields, columns: Iterable[str]) -> Fields:
    present = set(columns)

    def first(names: Sequence[str]) -> str:
        return next((name for name in names if name in present), "")

    plain = Fields(
        question=(first(QUESTION_COLUMNS),) if first(QUESTION_COLUMNS) else (),
        answers=first(ANSWER_COLUMNS),
        choices=first(CHOICE_COLUMNS) or _option_columns(columns),
        images=(first(IMAGE_COLUMNS),) if own.has_images and first(IMAGE_COLUMNS) else (),
    )
    return replace(
        own,
        question=own.question or plain.question,
        answers=own.answers or plain.answers,
        choices=own.choices or plain.choices,
        images=own.images or plain.images,
    )


def _option_columns(columns: Iterable[str]) -> tuple[str, ...]:
    """Return the columns that hold one option each, A, B, ..., when there are at least two."""
    families: dict[str, dict[str, str]] = {}
    for name in columns:
        if match := _OPTION_COLUMN.fullmatch(name):
            family = name[: -len(match[1])] + ("A" if match[1].isupper() else "a")
            families.setdefault(family, {})[match[1].upper()] = name
    for letters in families.values():
        found = []
        for letter in ascii_uppercase:
            if letter not in letters:
                break
            found.append(letters[letter])
        if len(found) > 1:
            return tuple(found)
    return ()


def _to_sample(samples: RowSamples, index: int) -> Sample:
    rows, fields = samples.rows, samples.fields
    number, record = samples.places[index]
    row = dict(rows.row(number, fields.columns()))
    place = rows.place(number)
    pictures = row
    if fields.records:
        entry = row[fields.records][record]
        if not isinstance(entry, Mapping):
            raise TaskError(f"a record in {fields.records!r} is not an object", where=place)
        row = {**row, **entry}
    answers = _cell(row, fields.answers, place)
    written = _choices(row, fields, place)
    if written:
        choices = _unlettered(written)
        references = tuple(
            _letter(answer, written, choices, fields.answers, place) for answer in _entries(answers)
        )
    else:
        choices = ()
        # MMMU writes the answers to an open question as it writes options.
        several = _list_written_as_text(answers)
        are_texts = isinstance(several, list) and all(isinstance(one, str) for one in several)
        named_several = fields.choice_columns or fields.answers.partition(".")[0] in _SEVERAL
        if named_several or (are_texts and fields.answers not in _ONE):
            answers = several
        references = tuple(_text(answer, fields.answers, place) for answer in _entries(answers))
    return Sample(
        id=f"{samples.split}/{index}",
        question=_question(row, fields.question, place),
        images=tuple(_images(samples, pictures, number, place)),
        references=references,
        choices=choices,
    )


def _choices(row: Mapping[str, Any], fields: Fields, place: str) -> tuple[str, ...]:
    """Return the options as they are written; an open question has none."""
    columns = fields.choice_columns
    if not columns or str(row.get(QUESTION_TYPE)).strip().lower() == "open":
        return ()
    if len(columns) == 1:
        options = _labelled(_list_written_as_text(_cell(row, columns[0], place)))
        return tuple(_text(option, columns[0], place) for option in _entries(options))
    cells = [None if _is_blank(row.get(name)) else row[name] for name in columns]
    while cells and cells[-1] is None:
        cells.pop()
    if None in cells or len(cells) < 2:
        empty = columns[cells.index(None)] if None in cells else columns[len(cells)]
        raise TaskError(f"the option {empty!r} is empty", where=place)
    return tuple(_text(cell, name, place) for cell, name in zip(cells, columns, strict=False))


def _is_blank(cell: Any) -> bool:
    is_nan = isinstance(cell, float) and math.isnan(cell)
    return cell is None or is_nan or (isinstance(cell, str) and not cell.strip())


def _labelled(options: Any) -> Any:
    """Return options of other forms as a list: `{A: cat}`, `{label: [A], text: [cat]}` (ARC)."""
    if isinstance(options, Mapping) and {"label", "text"} <= options.keys():
        pairs = list(zip(_entries(options["label"]), _entries(options["text"]), strict=False))
    elif isinstance(options, list) and all(
        isinstance(option, Mapping) and {"label", "text"} <= option.keys() for option in options
    ):
        pairs = [(option["label"], option["text"]) for option in options]
    elif isinstance(options, Mapping):
        pairs = sorted(options.items())
    else:
        return options
    labels = [str(label).upper() for label, _ in pairs]
    if labels not in (list(ascii_uppercase[: len(pairs)]), _numbers(pairs)):
        return options
    return [
        f"{label}) {text}" if isinstance(text, str | int | float) else text for label, text in pairs
    ]


def _marks(options: Sequence[str]) -> list[str]:
    """Return the letters or numbers that all options have already, in order; else nothing."""
    matches = [_MARKED.match(option) for option in options]
    marks = [fold(match[1] or match[2]).upper() if match else "" for match in matches]
    if len(options) > 1 and marks in (list(ascii_uppercase[: len(options)]), _numbers(options)):
        return marks
    return []


def _numbers(entries: Sequence[Any]) -> list[str]:
    return [str(number) for number in range(1, len(entries) + 1)]


def _unlettered(options: tuple[str, ...]) -> tuple[str, ...]:
    """Return options without the letters or numbers that all of them have: `A. cat`, `(B) dog`."""
    return (
        tuple(_MARKED.sub("", option, count=1) for option in options)
        if _marks(options)
        else options
    )


def _is_picture(cell: Any) -> bool:
    """Return whether a cell visibly holds a picture, or names one."""
    if isinstance(cell, Mapping):
        return set(cell) == {"bytes", "path"}
    if isinstance(cell, list):
        return bool(cell) and _is_picture(cell[0])
    if isinstance(cell, bytes):
        return True
    return isinstance(cell, str) and (
        _PICTURE_FILE.fullmatch(cell) is not None or cell.startswith("data:image/")
    )


def column_of(name: str) -> str:
    """Return the column that a part of the question is made of."""
    found = _IN_WORDS.search(name)
    return found[1] if found else name


def _question(row: Mapping[str, Any], columns: Sequence[str], place: str) -> str:
    if not columns:
        return ""
    lines = [
        _worded(row[column_of(name)], name, place)
        for name in columns[:-1]
        if row.get(column_of(name))
    ]
    return "\n".join(
        [*lines, _worded(_cell(row, column_of(columns[-1]), place), columns[-1], place)]
    )


def _worded(value: Any, name: str, place: str) -> str:
    """Return a part of the question: a column as it is, or in the words around it."""
    text = _text(value, column_of(name), place)
    found = _IN_WORDS.search(name)
    if found is None:
        return text
    return name[: found.start()] + (text.capitalize() if found[2] else text) + name[found.end() :]


def _images(
    samples: RowSamples, row: Mapping[str, Any], index: int, place: str
) -> Iterable[LazyImage]:
    rows, fields = samples.rows, samples.fields
    columns = fields.columns()
    for number, name in enumerate(fields.images):
        if name not in row:
            if number == 0:
                raise _missing_field(name, place, row)
            continue
        cell = row[name]
        many = isinstance(cell, list)
        for entry, value in enumerate(cell if many else [cell]):
            is_nan = isinstance(value, float) and math.isnan(value)
            if value is None or is_nan or value == {"bytes": None, "path": None}:
                continue
            read = partial(_read_image, rows, columns, index, name, entry if many else None)
            yield LazyImage(read, samples.pictures, place)


def _read_image(
    rows: Rows, columns: Sequence[str], index: int, name: str, entry: int | None
) -> Any:
    cell = rows.row(index, columns)[name]
    return cell if entry is None else cell[entry]


def _cell(row: Mapping[str, Any], name: str, place: str) -> Any:
    """Return what `name` leads to; `answers.answer` takes `answer` from each entry of a list."""
    column, _, key = name.partition(".")
    if column not in row:
        raise _missing_field(column, place, row)
    value = row[column]
    if value is None:
        raise TaskError(
            f"the field {column!r} is null: there is nothing in it",
            where=place,
            mend="fill it in, or leave the row out; splits whose answers are secret (often `test`) "
            "cannot be scored",
        )
    if not key:
        return value
    value = _list_written_as_text(value)
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
    """Return what a text such as `['a', 'b']` (MMMU) or `["a", "b"]` means, others unchanged."""
    text = value.strip() if isinstance(value, str) else ""
    if text.startswith(("[", "{")) and text.endswith(("]", "}")):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
        try:
            return ast.literal_eval(text)
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


def _letter(
    answer: Any, written: Sequence[str], choices: Sequence[str], name: str, place: str
) -> str:
    """Return the right option's letter.

    A whole number is the option's place, counted from 0, whatever the options say, unless they are
    numbered (`1) cat`). A text is the option's letter, else its text (with its own letter or
    without), else its place, else a letter in lower case or with a bracket or point.
    """
    letters = ascii_uppercase[: len(choices)]
    marks = _marks(written)
    are_numbered = marks == _numbers(written)
    places = marks if are_numbered else [str(number) for number in range(len(letters))]
    text = _text(answer, name, place)
    if isinstance(answer, str | bool):
        if len(text) == 1 and text in letters:
            return text
        for options in (written, choices):
            if list(options).count(text) == 1:
                return ascii_uppercase[list(options).index(text)]
    if text in places:
        return letters[places.index(text)]
    bare = fold(text).strip(" ().[]:").upper()
    if are_numbered and bare in marks:
        return letters[marks.index(bare)]
    if isinstance(answer, str) and len(bare) == 1 and bare in letters:
        return bare
    raise TaskError(
        f"the answer {text[:60]!r} is none of the {counted(len(choices), 'option')}",
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
