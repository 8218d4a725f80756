"""JSON files: what does not fit is told with the file, the place in it, and how to mend it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from depthprune.base.errors import FileError, LayoutError
from depthprune.base.files import not_finite, place_of, read_json

Json = dict[str, Any]

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
