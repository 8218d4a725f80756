"""JSON files: errors name the file, the place in it, and how to mend it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from operator import attrgetter
from pathlib import Path
from sys import float_info
from typing import Any, TypeVar

from depthprune.base.errors import FileError, LayoutError, RemovalError
from depthprune.base.files import is_number, not_finite, place_of, read_json
from depthprune.base.removal import Removal, make_removal

Json = dict[str, Any]

LAYOUTS = {
    "exp3_accuracy_sensitivity_v2_results.json": "study.layouts:HEAD",
    "sensitivity_baseline.json": "study.layouts:ENTRY",
    "sensitivity_block_{block}.json": "study.layouts:ENTRY",
    "beam_search_step{step}_blocks{active}_removed{blocks}.json": "study.layouts:ENTRY",
    "layer_importance_scores.json": "study.layouts:SCORES",
    "importance_comparison_{dataset}.json": "study.layouts:COMPARISON",
    "provenance.json": "study.layouts:PROVENANCE",
    "proxies/{task}/{split}/{proxy}.json": "importance.proxies:PROXY_FILE",
    "model_structure.json": "structure.layouts:ANATOMY",
    "original_model_analysis.json": "structure.layouts:ANATOMY",
    "pruned_model_analysis.json": "structure.layouts:ANATOMY",
    "model_comparison.json": "structure.layouts:COMPARISON",
    "pruning_comparison.json": "structure.layouts:COMPARISON",
    "batch_analysis_results.json": "structure.batches:BATCH",
    "block_configs_for_core_exp.json": "strategies.block_files:CONFIGS",
    "pruning_recommendations.json": "strategies.block_files:RECOMMENDATIONS",
    "methods.json": "widths.methods:METHODS_FILE",
    "{task}_blocks{active}.json": "report.documents.sweep:SWEEP_FILE",
}
"""Where the layout of each JSON file is declared: its module in this package, and its name."""

_Value = TypeVar("_Value")


class WrongFieldError(LayoutError):
    """A value that does not fit, and the way to it from where reading began.

    `read_document` adds the file. So the way is only spelt out when something is wrong: a summary
    reads a million fields.
    """

    def __init__(self, what: str, *steps: str | int, mend: str | None = None) -> None:
        super().__init__(what, mend=mend)
        self.steps = list(steps)

    def within(self, *steps: str | int) -> WrongFieldError:
        """Put steps in front of the way and return the error."""
        self.steps[:0] = steps
        return self


class Kind:
    """What a field of a JSON object holds.

    Args:
        noun: for messages: `a count`.
        read: returns what a value means, or raises WrongFieldError; it is never given null.
        write: returns the value in JSON.
        inner: of each value in a list or an object of any names.
    """

    def __init__(
        self,
        noun: str,
        read: Callable[[Any], Any],
        write: Callable[[Any], Any] = lambda value: value,
        inner: Kind | None = None,
    ) -> None:
        self.noun, self.read, self.write, self.inner = noun, read, write, inner


@dataclass(frozen=True)
class Field:
    """A field of a JSON object, for who reads it, writes it or explains it.

    Attributes:
        name: in the file.
        kind: of its value.
        of: the attribute that holds it, `mlp.original` of one inside; `.` is the object itself;
            empty where it has the field's name. Or a function that returns it.
        required: refuse a file without it.
        null: null says something else than leaving the field out, and is handed on.
        omit: leave out of the file what is None, instead of writing null.
        derived: follows from the others: written for readers of the file, and not read.
    """

    name: str
    kind: Kind
    of: str | Callable[[Any], Any] = ""
    required: bool = False
    null: bool = False
    omit: bool = False
    derived: bool = False

    @property
    def attribute(self) -> str:
        """The name under which what was read is handed on: the last part of `of`."""
        return (isinstance(self.of, str) and self.of.rpartition(".")[2]) or self.name

    def value_of(self, holder: Any) -> Any:
        """Return what is written, as JSON has it."""
        if callable(self.of):
            value = self.of(holder)
        else:
            value = holder if self.of == "." else attrgetter(self.of or self.name)(holder)
        return value if value is None else self.kind.write(value)


class Layout(Kind):
    """A JSON object, declared once: read, written and listed by its fields, in their order.

    This and no pydantic model, because results and analyses are read by commands that take half a
    second: to import pydantic takes 0.1 s more, and the summary of 1,000 analysed models took
    3.4 s instead of 2.8 s with models.

    Args:
        make: is given what was read by attribute, without what the file leaves out.
        fields: others are passed over.
    """

    def __init__(self, make: Callable[..., Any], *fields: Field) -> None:
        super().__init__("a JSON object", self._read, self._write)
        self.make, self.fields = make, fields
        self._rows: list[tuple[Any, ...]] = [
            (one.name, one.attribute, one.kind.read, *_plain(one.kind), one)
            for one in fields
            if not one.derived
        ]

    def _read(self, value: Any) -> Any:
        if not isinstance(value, dict):
            raise unexpected(self.noun, value)
        found: Json = {}
        for name, attribute, read, plain, least, end, field in self._rows:
            given = value.get(name)
            if type(given) is plain and least <= given < end:
                found[attribute] = given  # what most fields hold, without a call
            elif given is not None:
                try:
                    found[attribute] = read(given)
                except WrongFieldError as wrong:
                    raise wrong.within(name) from None
            elif field.null and name in value:
                found[attribute] = None
            elif field.required:
                raise WrongFieldError(f"{field.kind.noun} is missing", name)
        return self.make(**found)

    def _write(self, holder: Any) -> Json:
        values = ((one, one.value_of(holder)) for one in self.fields)
        return {one.name: value for one, value in values if value is not None or not one.omit}


def _plain(kind: Kind) -> tuple[type | None, float, float]:
    """Return a type whose values between two numbers a kind takes as they are."""
    if kind is COUNT:
        return int, 0, MOST
    return (float, -float_info.max, inf) if kind is NUMBER else (None, 0, 0)


def each(kind: Kind) -> Kind:
    """Return the kind of a list of such values."""

    def read(values: Any) -> tuple[Any, ...]:
        if not isinstance(values, list):
            raise unexpected("a list", values)
        found = []
        for place, value in enumerate(values):
            try:
                found.append(kind.read(value))
            except WrongFieldError as wrong:
                wrong.within(place)
                raise
        return tuple(found)

    return Kind("a list", read, lambda values: list(map(kind.write, values)), kind)


def named(kind: Kind, *, null: bool = False) -> Kind:
    """Return the kind of an object of such values; of null, only if that says something."""

    def read(values: Any) -> Json:
        if not isinstance(values, dict):
            raise unexpected("a JSON object", values)
        found = {}
        for name, value in values.items():
            try:
                if value is not None or null:
                    found[name] = None if value is None else kind.read(value)
            except WrongFieldError as wrong:
                wrong.within(name)
                raise
        return found

    return Kind("a JSON object", read, dict, kind)


def one_of(known: Sequence[str]) -> Kind:
    """Return the kind of a text that is one of those."""

    def read(value: Any) -> str:
        if _text(value) not in known:
            raise WrongFieldError(f"{value!r} is not one of {', '.join(known)}")
        return str(value)

    return Kind("a text", read)


def unexpected(noun: str, value: Any) -> WrongFieldError:
    """Return the error of a value that is something else than `noun`."""
    names = {type(None): "null", bool: "true or false", dict: "an object", list: "a list"}
    found = names.get(type(value)) or json.dumps(value)[:40]
    return WrongFieldError(f"{noun} was expected, not {found}")


MOST = 2**63
"""No count in these files reaches it."""


def _count(value: Any) -> int:
    if not is_number(value):
        raise unexpected("a count", value)
    if value != int(value):
        raise WrongFieldError(f"{value} is not a whole number")
    if not 0 <= value < MOST:
        raise WrongFieldError(f"{value} is not a count")
    return int(value)


def _number(value: Any) -> float:
    if not is_number(value):
        raise unexpected("a number", value)
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise unexpected("a text", value)
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise WrongFieldError("a list of texts was expected")
    return tuple(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise unexpected("true or false", value)
    return value


COUNT = Kind("a count", _count)
"""A whole number from 0; `12.0` is one too."""

NUMBER = Kind("a number", _number)
"""A finite number."""

TEXT, TEXTS = Kind("a text", _text), Kind("a list of texts", _texts, list)
FLAG = Kind("true or false", _flag)
ANY = Kind("a value", lambda value: value)


def _blocks(value: Any) -> Removal:
    try:
        return make_removal(each(ANY).read(value))
    except RemovalError as error:
        raise WrongFieldError(error.what, mend=error.mend) from error


BLOCKS = Kind("a list of blocks", _blocks, list)
"""Blocks of the original model, each once, in any order."""


def read_document(
    path: Path,
    read: Callable[[Any], _Value],
    *,
    mend: str | None = None,
    unique_keys: bool = False,
) -> _Value:
    """Read a JSON file and return what `read` makes of its content.

    Args:
        path: of the file.
        read: raises WrongFieldError for what does not fit.
        mend: what to do about such a file, where that error does not say.
        unique_keys: refuse an object that has a key twice.

    Raises:
        FileError: the file is missing, unreadable or not JSON (line and column), or has a key
            twice.
        LayoutError: it holds `NaN` or `Infinity`, or something that does not fit; with its place.
    """
    value = read_value(path, unique_keys=unique_keys)
    try:
        return read(value)
    except WrongFieldError as wrong:
        where = ", ".join(filter(None, (str(path), place_of(wrong.steps))))
        raise LayoutError(wrong.what, where=where, mend=wrong.mend or mend) from wrong.__cause__


def read_value(path: Path, *, unique_keys: bool = False) -> Any:
    """Read a JSON file, whatever it holds; raises as `read_document` does."""
    try:
        return read_json(path, unique_keys=unique_keys)
    except FileError as error:
        if isinstance(error.__cause__, ValueError):
            _tell_not_finite(path)
        raise


def object_at(holder: Any, name: str) -> Json:
    """Return the object under a key; an empty one where there is none, or something else."""
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, dict) else {}


def _tell_not_finite(path: Path) -> None:
    """Raise with the place of the first number that JSON lacks, if that is what is wrong."""
    try:
        value = read_json(path, infinity=True)
    except FileError:
        return
    for place, number in not_finite(value):
        raise LayoutError(
            f"{json.dumps(number)} is not a JSON number",
            where=", ".join(filter(None, (str(path), place))),
            mend="write a finite number, or leave out what is not known",
        )
