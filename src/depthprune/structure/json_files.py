"""JSON files that lie beside a model's weights; they may come from anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from depthprune.base.errors import FileError
from depthprune.base.files import read_json
from depthprune.base.language import counted
from depthprune.checkpoint.links import check_link

LARGEST_JSON = 8 * 1024**2
"""Bytes of a configuration; those with the names of 20,000 classes take some 2 million."""


def read_json_object(path: Path, folder: Path, *, most: int = LARGEST_JSON) -> dict[str, Any]:
    """Return the JSON object in a file, see `read_json_value`; FileError when it holds none."""
    value = read_json_value(path, folder, most=most)
    if not isinstance(value, dict):
        raise FileError("it holds no JSON object", where=str(path))
    return value


def read_json_value(path: Path, folder: Path, *, most: int = LARGEST_JSON) -> Any:
    """Return what a JSON file of a model holds, of `most` bytes; `NaN` and `Infinity` pass.

    Raises:
        ModelError: it is a link out of the folder.
        FileError: it cannot be read, is no JSON, or larger than any.
    """
    check_link(path, folder)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise FileError(f"cannot read: {error.strerror or error}", where=str(path)) from error
    if size > most:
        raise FileError(
            f"its {counted(size, 'byte')} are more than any model needs", where=str(path)
        )
    return read_json(path, infinity=True)
