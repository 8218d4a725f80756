"""Tables and sections as values: a builder says what they hold, a renderer how that looks.

Builders are in `report/sections/`, one for each finding; renderers in `report/render/`, one for
each format. What a number means is said once, by the kind of its column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal[
    "text", "blocks", "choice", "choices", "points", "share", "range", "interval", "count",
    "samples", "number", "p-value",
]  # fmt: skip
"""What the values of a column are; None, in every kind: not measured.

- text: as it is read, e.g. the name of a dataset
- blocks: a removal
- choice: a removal, its drop, and perhaps the number of datasets behind it; choices: several
- points: a fraction, shown in percentage points; share: in whole per cent
- range: two fractions, in points; interval: a confidence interval of a fraction
- count: a whole number; samples: likewise, but 0 is unknown
- number: with the digits of its column; p-value
"""

LEFT: tuple[Kind, ...] = ("text", "blocks", "choice", "choices")
"""Kinds that stand to the left; all others are numbers, which stand to the right."""


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, and what stands below it.

    Attributes:
        name: the heading.
        kind: of the values.
        digits: behind the point, of a `number`.
    """

    name: str
    kind: Kind = "text"
    digits: int = 2

    @property
    def is_number(self) -> bool:
        """Whether the values stand to the right."""
        return self.kind not in LEFT


@dataclass(frozen=True, slots=True)
class Marked:
    """A value with a mark behind it, which a note explains."""

    value: Any
    mark: str


@dataclass(frozen=True)
class Table:
    """Rows of values under columns.

    Attributes:
        columns: of the table.
        rows: as wide as `columns`; values of the columns' kinds, or such values `Marked`.
        title: what it shows; empty where the section says it.
        notes: how to read it.
        names: columns at the left that name the rows: where a table is too wide, it goes on in
            another one that begins with them. 0: it always fits.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    title: str = ""
    notes: Sequence[str] = ()
    names: int = 0


@dataclass(frozen=True)
class Section:
    """What answers one question.

    Attributes:
        name: for links.
        title: the question, or the topic.
        sentences: the answer in words, or why there is none.
        tables: the numbers behind it.
        notes: further lines, below the tables.
    """

    name: str
    title: str
    sentences: Sequence[str] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
