"""Typed fields of a JSON document; what is wrong is told with its place in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from depthprune.base.errors import FileError, LayoutError
from depthprune.base.files import is_number, not_finite, place_of, read_json

Json = dict[str, Any]

MOST = 2**63
"""No count in these files reaches it."""

_Value = TypeVar("_Value")


class WrongFieldError(Exception):
    """A value that does not fit, and the way to it from where reading began.

    `read_document` turns it into a `LayoutError`; it never leaves this floor. So the way is only
    spelt out when something is wrong: a summary reads a million fields.
    """

    def __init__(self, what: str, *steps: str | int) -> None:
        self.what = what
        self.steps = list(steps)
        super().__init__(what)

    def within(self, *steps: str | int) -> WrongFieldError:
        """Put steps in front of the way and return the error."""
        self.steps[:0] = steps
        return self

    @property
    def place(self) -> str:
        """The way as `layers[3].mlp.total`."""
        return place_of(self.steps)


def read_document(path: Path, read: Callable[[Json], _Value]) -> _Value:
    """Read a JSON file that holds one object and return what `read` makes of it.

    Raises:
        FileError: the file is missing, unreadable or not JSON (line and column).
        LayoutError: it holds `NaN` or `Infinity`, or `read` found a field that does not fit; with
            the file and the place in it.
    """
    value = read_value(path)
    try:
        if not isinstance(value, dict):
            raise WrongFieldError(f"a JSON object was expected, not {_kind(value)}")
        return read(value)
    except WrongFieldError as wrong:
        where = ", ".join(filter(None, (str(path), wrong.place)))
        mend = "mend the file, or analyse the model again"
        raise LayoutError(wrong.what, where=where, mend=mend) from None


def read_value(path: Path) -> Any:
    """Read a JSON file, whatever it holds.

    Raises:
        FileError: the file is missing, unreadable or not JSON (line and column).
        LayoutError: it holds `NaN` or `Infinity`; with the place of the first one.
    """
    try:
        return read_json(path)
    except FileError as error:
        if isinstance(error.__cause__, ValueError):
            _tell_not_finite(path)
        raise


def count(of: Json, key: str) -> int:
    """Return a count that must be there; `12.0` is one too."""
    value = optional_count(of, key)
    if value is None:
        raise WrongFieldError("a count is missing", key)
    return value


def optional_count(of: Json, key: str) -> int | None:
    """Return a count, or None where the file does not say."""
    value = of.get(key)
    if type(value) is int and 0 <= value < MOST:
        return value
    if value is None:
        return None
    if not is_number(value):
        raise WrongFieldError(f"a count was expected, not {_kind(value)}", key)
    if value != int(value):
        raise WrongFieldError(f"{value} is no whole number", key)
    if not 0 <= value < MOST:
        raise WrongFieldError(f"{value} is no count of anything", key)
    return int(value)


def optional_number(of: Json, key: str) -> float | None:
    """Return a finite number, or None where the file does not say."""
    value = of.get(key)
    if value is None:
        return None
    if not is_number(value):
        raise WrongFieldError(f"a number was expected, not {_kind(value)}", key)
    return float(value)


def optional_text(of: Json, key: str) -> str | None:
    """Return a text, or None where the file does not say."""
    value = of.get(key)
    if value is not None and not isinstance(value, str):
        raise WrongFieldError(f"a text was expected, not {_kind(value)}", key)
    return value


def optional_flag(of: Json, key: str) -> bool | None:
    """Return true or false, or None where the file does not say."""
    value = of.get(key)
    if value is not None and not isinstance(value, bool):
        raise WrongFieldError(f"true or false was expected, not {_kind(value)}", key)
    return value


def inside(of: Json, key: str, read: Callable[[Json], _Value]) -> _Value:
    """Return what `read` makes of an object that must be there."""
    value = of.get(key)
    if not isinstance(value, dict):
        what = "missing" if value is None else f"expected, not {_kind(value)}"
        raise WrongFieldError(f"a JSON object is {what}", key)
    try:
        return read(value)
    except WrongFieldError as wrong:
        raise wrong.within(key) from None


def optional_inside(of: Json, key: str, read: Callable[[Json], _Value]) -> _Value | None:
    """Return what `read` makes of an object, or None where there is none."""
    return None if of.get(key) is None else inside(of, key, read)


def each(of: Json, key: str, read: Callable[[Json, int], _Value]) -> tuple[_Value, ...]:
    """Return what `read` makes of every object of a list, given its position too."""
    values = of.get(key)
    if not isinstance(values, list):
        what = "missing" if values is None else f"expected, not {_kind(values)}"
        raise WrongFieldError(f"a list is {what}", key)
    found = []
    for index, value in enumerate(values):
        try:
            if not isinstance(value, dict):
                raise WrongFieldError(f"a JSON object was expected, not {_kind(value)}")
            found.append(read(value, index))
        except WrongFieldError as wrong:
            raise wrong.within(key, index) from None
    return tuple(found)


def texts(of: Json, key: str) -> tuple[str, ...]:
    """Return a list of texts; an absent one is empty."""
    values = of.get(key)
    if values is None:
        return ()
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise WrongFieldError("a list of texts was expected", key)
    return tuple(values)


def counts(of: Json, key: str) -> dict[str, int]:
    """Return counts by name; an absent object is empty."""
    return (
        optional_inside(of, key, lambda value: {name: count(value, name) for name in value}) or {}
    )


def numbers(of: Json, key: str) -> dict[str, float]:
    """Return finite numbers by name; an absent object is empty."""

    def read(value: Json) -> dict[str, float]:
        found = {name: optional_number(value, name) for name in value}
        return {name: number for name, number in found.items() if number is not None}

    return optional_inside(of, key, read) or {}


def _tell_not_finite(path: Path) -> None:
    """Raise with the place of the first number that JSON lacks, if that is what is wrong."""
    try:
        value = read_json(path, infinity=True)
    except FileError:
        return
    for place, number in not_finite(value):
        raise LayoutError(
            f"{json.dumps(number)} is not a JSON number",
            where=f"{path}, {place}",
            mend="write a finite number, or leave out what is not known",
        )


def _kind(value: object) -> str:
    names = {type(None): "null", bool: "true or false", dict: "an object", list: "a list"}
    return names.get(type(value)) or json.dumps(value)[:40]
