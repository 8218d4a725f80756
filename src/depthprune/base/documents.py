"""JSON files whose layout is a pydantic model: read whole, or refused with file, place and mend."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from depthprune.base.errors import LayoutError
from depthprune.base.files import place_of, read_json

_Layout = TypeVar("_Layout", bound=BaseModel)


def read_document(path: Path, layout: type[_Layout], *, thing: str, mend: str) -> _Layout:
    """Read a JSON file.

    Args:
        path: of the file.
        layout: of its content.
        thing: what a file of another layout is told not to be: `the file of a sweep`.
        mend: what to do about it.

    Raises:
        FileError: the file is missing, unreadable or not JSON, see `read_json`.
        LayoutError: it is not in this layout; names the first field that does not fit.
    """
    value = read_json(path)
    try:
        return layout.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ", ".join(filter(None, (str(path), place_of(first["loc"]))))
        raise LayoutError(f"not {thing}: {first['msg']}", where=where, mend=mend) from error
