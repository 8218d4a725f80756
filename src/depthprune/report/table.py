"""Tables and sections as values: a builder says what they hold, a renderer how that looks.

Builders are in `report/sections/`, one for each finding; renderers in `report/render/`, one for
each format. What a number means is said once, by the kind of its column.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

T = TypeVar("T")

Kind = Literal[
    "text", "list", "blocks", "choice", "choices", "shown", "points", "share", "range", "interval",
    "count", "amount", "samples", "bytes", "number", "size", "perplexity", "p-value",
]  # fmt: skip
"""What the values of a column are; None, in every kind: not measured.

- text: as it is read, e.g. the name of a dataset; list: likewise, and may be folded
- blocks: a removal
- choice: a removal, its drop, and perhaps the number of datasets behind it; choices: several
- shown: a number ready to be read, of which more is said than a kind can say
- points: a fraction, shown in percentage points; share: in whole per cent
- range: two fractions, in points; interval: a confidence interval of a fraction
- count: a whole number; amount: likewise, in thousands; samples: a count of which 0
  is unknown; bytes: of a file or of memory
- number: with the digits of its column; size: likewise, more digits where it is small; perplexity;
  p-value
"""

LEFT: tuple[Kind, ...] = ("text", "list", "blocks", "choice", "choices")
"""Kinds that stand to the left; all others are numbers, which stand to the right."""


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, and what stands below it.

    Attributes:
        name: heading.
        kind: kind of the values.
        digits: number of decimals of a `number` and a `size`.
        key: heading in files for programs, the same in every language; empty without such files.
        better: whether high or low values are better; None where neither is.
        room: minimum width in text, in letters.
        is_spare: whether a narrow terminal leaves the column out.
    """

    name: str
    kind: Kind = "text"
    digits: int = 2
    key: str = ""
    better: Literal["high", "low"] | None = None
    room: int = 0
    is_spare: bool = False

    @property
    def is_number(self) -> bool:
        """Whether the values stand to the right."""
        return self.kind not in LEFT


@dataclass(frozen=True, slots=True)
class Cell:
    """A value of which more is known.

    Attributes:
        value: value of the kind of its column; None: not known.
        text: how the value is shown, where the kind does not say it.
        mark: number of the note about this value, or a sign that a note explains; shown behind it.
        is_best: whether no value of the column is shown as a better one.
        tone: how the value stands out where there are colours.
    """

    value: Any
    text: str | None = None
    mark: int | str | None = None
    is_best: bool = False
    tone: Literal["bad", "warn", "weak"] | None = None


@dataclass(frozen=True)
class Table:
    """Rows of values under columns.

    Attributes:
        columns: columns; where none has a name, the rows stand without headings.
        rows: values or cells, one for each column.
        title: what the table shows; empty where the section says it.
        notes: how to read the table.
        marked: notes that marks point to; the first is number 1.
        names: number of columns at the left that name the rows: a table that is too wide goes on
            in another one that begins with them. 0: the table always fits.
        reference: index of the row that the others are compared with.
        ends: indices of rows that end a group.
        is_spaced: whether two spaces separate the columns on a terminal, instead of one.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    title: str = ""
    notes: Sequence[str] = ()
    marked: Sequence[str] = ()
    names: int = 0
    reference: int | None = None
    ends: Collection[int] = ()
    is_spaced: bool = False

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield the table as rich prints it, so that it may stand among lines of text."""
        from depthprune.report.render.text import rich_table, without_spare

        yield rich_table(without_spare(self, options.max_width))


def table_of(
    items: Iterable[T], columns: Sequence[tuple[Column, Callable[[T], Any]]], **options: Any
) -> Table:
    """Return a table with a row for each item.

    Args:
        items: one item for each row.
        columns: each column with the function that returns its value for an item.
        options: other attributes of the table.
    """
    rows = [[value(one) for _, value in columns] for one in items]
    return Table([column for column, _ in columns], rows, **options)


def with_columns(table: Table, keys: Iterable[str]) -> Table:
    """Return the table with the columns that have these keys, in this order."""
    known = {column.key: place for place, column in enumerate(table.columns)}
    places = [known[key] for key in keys]
    rows = [[row[place] for place in places] for row in table.rows]
    return replace(table, columns=[table.columns[place] for place in places], rows=rows)


def cell_of(value: Any) -> Cell:
    """Return a value as a cell."""
    return value if isinstance(value, Cell) else Cell(value)


def all_notes(table: Table) -> list[str]:
    """Return the notes of a table, those that marks point to first with their numbers."""
    return [f"[{number}] {text}" for number, text in enumerate(table.marked, 1)] + [*table.notes]


@dataclass(frozen=True)
class Section:
    """What answers one question.

    Attributes:
        name: name of the section in links.
        title: question or topic; empty where the section stands alone.
        sentences: answer in words, or why there is none.
        tables: numbers behind the answer.
        notes: further lines below the tables.
    """

    name: str
    title: str
    sentences: Sequence[str] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
