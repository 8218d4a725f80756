"""How texts name an option: by its field; the command line names the flag that sets it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Spelling = Callable[[str, str | None], str]
"""What names an option, with a value where one is proposed."""


def _as_field(name: str, value: str | None) -> str:
    return name if value is None else f"{name}={value}"


_SPELLING: ContextVar[Spelling] = ContextVar("spelling", default=_as_field)


def option(name: str, value: object = None) -> str:
    """Return the name of an option for a message, as its reader gives it.

    Args:
        name: of the field: `max_drop`.
        value: one that is proposed; a caller in Python reads `dtype=float32`, a user of the command
            line `--dtype float32`.
    """
    return _SPELLING.get()(name, None if value is None else str(value))


def spelling() -> Spelling:
    """Return what names options at the moment."""
    return _SPELLING.get()


@contextmanager
def spelled(by: Spelling) -> Iterator[None]:
    """Name options by `by` for as long as the context lasts."""
    token = _SPELLING.set(by)
    try:
        yield
    finally:
        _SPELLING.reset(token)
