"""Typed fields of a JSON document; what is wrong is told with its place in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from depthprune.base.documents import Json, WrongFieldError
from depthprune.base.files import is_number

MOST = 2**63
"""No count in these files reaches it."""

_Value = TypeVar("_Value")


def as_object(value: Any) -> Json:
    """Return a value that must be a JSON object."""
    if not isinstance(value, dict):
        raise WrongFieldError(f"a JSON object was expected, not {_kind(value)}")
    return value


def count(of: Json, key: str) -> int:
    """Return a count that must be there; `12.0` is one too."""
    return stated(optional_count(of, key), key)


def stated(value: int | None, *steps: str | int) -> int:
    """Return a count that must be known; `steps` lead to it."""
    if value is None:
        raise WrongFieldError("a count is missing", *steps)
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
            found.append(read(as_object(value), index))
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


def _kind(value: object) -> str:
    names = {type(None): "null", bool: "true or false", dict: "an object", list: "a list"}
    return names.get(type(value)) or json.dumps(value)[:40]
