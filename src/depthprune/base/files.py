"""Files that are whole or absent: atomic writes, and JSON errors that name the place."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from errno import EISDIR
from math import isfinite
from pathlib import Path
from typing import Any

from depthprune.base.errors import FileError

_STAGED: ContextVar[list[tuple[Path, Path]] | None] = ContextVar("staged", default=None)
"""Temporary files, with the names that they get at the end of `together`."""


@contextmanager
def together() -> Iterator[None]:
    """Let all files that the body writes appear at its end, or, where it fails, none of them.

    What the disk cannot hold is known before the first old file goes: a new name takes no room.
    Inside, what was written is not there yet.
    """
    staged: list[tuple[Path, Path]] = []
    token = _STAGED.set(staged)
    try:
        yield
        for temporary, path in staged:
            temporary.replace(path)
    finally:
        _STAGED.reset(token)
        for temporary, _ in staged:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, as `write_bytes` does; half a surrogate pair becomes an escape.

    Raises:
        FileError: see `write_bytes`.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_bytes(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write `content` so that a reader sees the old file or the new one, never a part.

    Content in pieces is never held as a whole. Temporary file in the same folder, fsync, rename;
    missing parent folders are made.

    Raises:
        FileError: the folder cannot be written, or the disk is full; nothing is left behind.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines((content,) if isinstance(content, bytes) else content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes the file private; a result is as readable as any file the user makes.
        Path(temporary).chmod(0o666 & ~_umask())
        staged = _STAGED.get()
        if staged is None:
            Path(temporary).replace(path)
        elif path.is_dir():  # known before the first file of the set is there
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        else:
            staged.append((Path(temporary), path))
        temporary = None
    except OSError as error:
        raise FileError(
            f"cannot write {path.name}: {error.strerror or error}",
            where=str(path),
            mend="check that the folder exists, is writable and has free space",
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def write_json(path: Path, value: Any, *, indent: int | None = 1) -> None:
    """Write `value` as JSON (UTF-8), atomically; NaN and infinity are refused.

    A file that holds these very bytes already is left alone.

    Raises:
        FileError: the value holds NaN or infinity, or the file cannot be written.
    """
    try:
        text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n"
    except ValueError as error:
        raise FileError(f"{path.name} would hold a number that JSON lacks: {error}") from error
    # Half a surrogate pair is no UTF-8; as a JSON escape it is kept.
    encoded = text.encode("utf-8", "backslashreplace")
    if not _holds(path, encoded):
        write_text(path, encoded.decode("utf-8"))


def read_json(path: Path, *, unique_keys: bool = False, infinity: bool = False) -> Any:
    """Read a JSON file; bare `NaN` and `Infinity` are refused, they are not JSON.

    Args:
        path: of the file.
        unique_keys: refuse an object that has a key twice; otherwise its last value counts.
        infinity: take `NaN` and `Infinity` all the same, as some programs write them.

    Raises:
        FileError: the file is missing, unreadable or not JSON (names line and column), or has a
            key twice.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise FileError(f"the key {twice!r} occurs twice", where=str(path), mend="keep one")
        return value

    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise FileError("there is no such file", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise FileError(f"not a UTF-8 text file: {error.reason}", where=str(path)) from error
    except OSError as error:
        raise FileError(f"cannot read: {error.strerror or error}", where=str(path)) from error
    try:
        return json.loads(
            text,
            parse_constant=None if infinity else _refuse_constant,
            object_pairs_hook=unique if unique_keys else None,
        )
    except json.JSONDecodeError as error:
        raise FileError(
            f"not valid JSON: {error.msg}",
            where=f"{path}, line {error.lineno}, column {error.colno}",
            mend="mend or delete the file; it may be half written",
        ) from error
    except RecursionError as error:
        raise FileError("nested too deeply to be a result file", where=str(path)) from error
    except ValueError as error:
        raise FileError(
            str(error),
            where=str(path),
            mend="write a finite number, or leave out what is not known",
        ) from error


def is_number(value: object) -> bool:
    """Return whether `value` is a finite int or float (a bool is not a number)."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    except OverflowError:  # an int beyond every float
        return False


def not_finite(value: Any) -> Iterator[tuple[str, float]]:
    """Yield every `NaN` and infinity in a JSON value, in order, with its place."""
    waiting: list[tuple[list[str | int], Any]] = [([], value)]
    while waiting:
        steps, value = waiting.pop()
        if isinstance(value, float) and not isfinite(value):
            yield place_of(steps), value
        if isinstance(value, dict | list):
            members = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += [([*steps, key], member) for key, member in reversed(list(members))]


def place_of(steps: Sequence[str | int]) -> str:
    """Return keys and indices as `layers[3].mlp.total`."""
    parts = (
        f".{step}" if isinstance(step, str) and step.isidentifier() else f"[{json.dumps(step)}]"
        for step in steps
    )
    return "".join(parts).removeprefix(".")


def check_can_make(path: Path) -> None:
    """Check that a folder could be made at `path` and written, without making it.

    Raises:
        FileError: see `make_folder`.
    """
    existing = path.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise _cannot_write_into(path, error) from error


def make_folder(path: Path) -> Path:
    """Make a folder (and its parents) that can be written, and return it.

    Raises:
        FileError: it cannot be made, is a file, or is read-only.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise _cannot_write_into(path, error) from error
    return path


def _cannot_write_into(path: Path, error: OSError) -> FileError:
    return FileError(
        f"cannot write into the folder: {error.strerror or error}",
        where=str(path),
        mend="choose a folder that you may write to",
    )


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:
        return False


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def format_size(num_bytes: int) -> str:
    """Return a number of bytes as people read it, in powers of 1000: `1.20 GB`, `538.09 MB`."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6)):
        if num_bytes >= factor:
            return f"{num_bytes / factor:.2f} {unit}"
    return f"{num_bytes / 1000:.1f} kB"
