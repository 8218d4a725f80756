"""Progress bars with time left: on stderr, silent when it is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[..., None]
"""Call with the number of units done, and `note=` for the text beside the bar."""


@contextmanager
def progress(description: str, total: float) -> Iterator[Advance]:
    """Show a bar for `total` units of work while the body runs; yields `advance(amount, note=...)`."""
    if not sys.stderr.isatty():
        yield lambda amount=1, note=None: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(description, total=total, note="")

        def advance(amount: float = 1, note: str | None = None) -> None:
            bar.advance(task, amount)
            if note is not None:
                bar.update(task, note=note)

        yield advance
