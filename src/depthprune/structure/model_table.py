"""Every model in one table: size, scores, speed, and how unevenly its layers were pruned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from depthprune.base.errors import DepthpruneError
from depthprune.structure.comparison import layers_below
from depthprune.structure.model_row import (
    ALL_TASKS,
    BILLION,
    BY_KEY,
    STANDARD,
    TEXTS,
    ModelColumn,
    ModelRow,
    NumberConditions,
    model_row,
)
from depthprune.structure.summaries import summarize


@dataclass(frozen=True)
class ModelTable:
    """Models side by side.

    Attributes:
        rows: family by family, the reference first, the others in the order that was asked for.
        families: of the rows: parameters of the model that each was made of, None where nothing
            tells. Only models of one family compete.
        compared: by column, the conditions under which its numbers are compared.
        best: by column, the places of the rows with the best number; empty where fewer than two
            compete, the reference not counted.
        apart: by column, the places of the rows whose number was measured otherwise and so does not
            compare with the others.
    """

    rows: tuple[ModelRow, ...]
    families: tuple[int | None, ...]
    compared: Mapping[str, NumberConditions]
    best: Mapping[str, tuple[int, ...]]
    apart: Mapping[str, tuple[int, ...]]


def table(
    dirs: str | Path | Iterable[str | Path],
    *,
    method: str | None = None,
    ratio: float | None = None,
    base: str | None = None,
    window: str = STANDARD,
    sort_by: str = "model",
    reverse: bool = False,
) -> ModelTable:
    """Return every model whose analysis or evaluation lies below some folders, side by side.

    Args:
        dirs: the folders, or one of them; no model is opened.
        method: keeps the models whose name tells it, e.g. `wanda`.
        ratio: keeps the models that lost about this share of their parameters, 0..1.
        base: name of the model that the others were pruned from; found where not given.
        window: tokens (and stride) of the perplexities that are compared: `2048/512` or `128`.
        sort_by: key of a column, see `model_table`.
        reverse: the best last.

    Raises:
        FileError: a folder is missing.
        DepthpruneError: there is no such column or model.
    """
    found = summarize(dirs, method=method, ratio=ratio).models
    rows = [model_row(one, window) for one in found]
    return model_table(rows, window=window, reference=base, sort_by=sort_by, reverse=reverse)


def model_table(
    rows: Sequence[ModelRow],
    *,
    window: str = STANDARD,
    reference: str | None = None,
    sort_by: str = "model",
    reverse: bool = False,
) -> ModelTable:
    """Return models side by side, what is best in each column marked.

    Args:
        rows: of the models.
        window: of the perplexity that is compared, where any model has it.
        reference: name of the model that the others were pruned from; None takes for each family
            the only one that has no comparison and as many parameters as the original of others.
        sort_by: key of a column; the better number first, else the smaller one, what does not
            compare behind, and what is not known last.
        reverse: the other way round, but for what does not compare or is not known.

    Raises:
        DepthpruneError: there is no such column or model.
    """
    column = BY_KEY.get(sort_by.replace("-", "_"))
    if column is None:
        raise DepthpruneError(
            f"the table has no column {sort_by!r}",
            option="sort_by",
            mend=f"choose from {', '.join(BY_KEY)}",
        )
    origins = _find_references(rows, reference)
    marked = (replace(row, is_reference=place in origins) for place, row in enumerate(rows))
    named = sorted(marked, key=lambda row: row.name)
    preferred = {f"ppl_{text}": window for text in TEXTS} | {"mean_accuracy": ALL_TASKS}
    compared = {
        key: _usual(found, preferred.get(key))
        for key in BY_KEY
        if (found := [row.numbers[key].under for row in named if key in row.numbers])
    }
    family_of = _families(named)
    ordered = _in_order(named, family_of, column, compared.get(column.key), reverse=reverse)
    families = [family_of[row.name] for row in ordered]
    apart, best = {}, {}
    for key, usual in compared.items():
        known = [place for place, row in enumerate(ordered) if key in row.numbers]
        alike = [p for p in known if ordered[p].numbers[key].under.compare_with(usual)]
        apart[key] = tuple(place for place in known if place not in alike)
        best[key] = tuple(
            place
            for family in dict.fromkeys(families)
            for place in _best(ordered, BY_KEY[key], [p for p in alike if families[p] == family])
        )
    return ModelTable(tuple(ordered), tuple(families), compared, best, apart)


def _find_references(rows: Sequence[ModelRow], name: str | None) -> set[int]:
    """Return the places of the models that others were pruned from, at most one for each family."""
    if name is not None:
        named = [
            place
            for place, row in enumerate(rows)
            if f"/{row.name}".endswith(f"/{name.strip('/')}")
        ]
        if len(named) != 1:
            raise DepthpruneError(
                f"{len(named) or 'none'} of the models is called {name!r}",
                option="base",
                mend="write its name as in the table's first column",
            )
        return set(named)
    originals = {row.comparison.total.original for row in rows if row.comparison is not None}
    unchanged = [
        place
        for place, row in enumerate(rows)
        if row.comparison is None and _parameters(row) is not None and _parameters(row) in originals
    ]
    families = Counter(_parameters(rows[place]) for place in unchanged)
    return {place for place in unchanged if families[_parameters(rows[place])] == 1}


def _parameters(row: ModelRow) -> int | None:
    found = row.numbers.get("parameters_b")
    return None if found is None else round(found.value * BILLION)


def _families(rows: Sequence[ModelRow]) -> dict[str, int | None]:
    """Return the parameters of the model that each was made of; one of that size is one of them."""
    made_of = {row.name: row.comparison.total.original for row in rows if row.comparison}
    known = set(made_of.values()) - {None}
    if len(known) < 2:
        return dict.fromkeys((row.name for row in rows), next(iter(known), None))
    own = {row.name: made_of.get(row.name) or _parameters(row) for row in rows}
    return {name: family if family in known else None for name, family in own.items()}


def _is_unpruned(row: ModelRow) -> bool:
    return row.is_reference or (
        row.comparison is not None
        and row.comparison.strategy == "unchanged"
        and row.comparison.total.reduced == 0
    )


def _usual(found: Sequence[NumberConditions], preferred: str | None) -> NumberConditions:
    """Return the conditions of a column: the preferred basis, else the most usual that is known."""
    bases = Counter(one.basis for one in found if one.basis is not None)
    if preferred in bases or not bases:
        basis = preferred if preferred in bases else None
    else:
        basis = bases.most_common(1)[0][0]
    details = Counter(one.details for one in found if one.basis == basis and one.details)
    return NumberConditions(basis, details.most_common(1)[0][0] if details else None)


def _in_order(
    rows: Sequence[ModelRow],
    family_of: Mapping[str, int | None],
    column: ModelColumn,
    usual: NumberConditions | None,
    *,
    reverse: bool,
) -> list[ModelRow]:
    """Return rows in the order of a column; those that are equal in the order of their names."""
    families = list(dict.fromkeys(family_of.values()))

    def group(row: ModelRow) -> tuple[int, bool]:
        return families.index(family_of[row.name]), not row.is_reference

    def place(row: ModelRow) -> tuple[bool, bool, float]:
        value, number = _sorted_value(row, column), row.numbers.get(column.key)
        apart = bool(usual and number and not number.under.compare_with(usual))
        sign = -1 if (column.better == "high") != reverse else 1
        return value is None, apart, sign * (value or 0.0)

    if column.kind == "name":
        return sorted(sorted(rows, key=lambda row: row.name, reverse=reverse), key=group)
    return sorted(rows, key=lambda row: (group(row), place(row)))


def _sorted_value(row: ModelRow, column: ModelColumn) -> float | None:
    if column.kind == "layers":
        if row.comparison is None:
            return None
        below = layers_below(row.comparison, int(column.of))
        return len(below) + row.comparison.missing_layers
    return row.numbers[column.key].value if column.key in row.numbers else None


def _best(rows: Sequence[ModelRow], column: ModelColumn, alike: Sequence[int]) -> tuple[int, ...]:
    competing = [place for place in alike if not _is_unpruned(rows[place])]
    if column.better is None or len(competing) < 2:
        return ()
    values = [rows[place].numbers[column.key].value for place in competing]
    best = max(values) if column.better == "high" else min(values)
    return tuple(p for p, value in zip(competing, values, strict=True) if value == best)
