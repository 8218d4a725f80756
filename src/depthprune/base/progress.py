"""Progress bars with time left: on stderr, silent when it is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Progress(Protocol):
    """A bar over a stated amount of work."""

    def advance(self, amount: float = 1) -> None:
        """Say that `amount` units of work are done."""
        ...

    def shrink(self, amount: float) -> None:
        """Say that `amount` units of the total turned out not to be needed."""
        ...

    def grow(self, amount: float) -> None:
        """Say that `amount` units more turned out to be needed."""
        ...

    def describe(self, text: str) -> None:
        """Show what is being done now."""
        ...


class Silence:
    """The bar where nobody watches."""

    def advance(self, amount: float = 1) -> None:
        """Show nothing."""

    def shrink(self, amount: float) -> None:
        """Show nothing."""

    def grow(self, amount: float) -> None:
        """Show nothing."""

    def describe(self, text: str) -> None:
        """Show nothing."""


_shown: ContextVar[bool] = ContextVar("shown", default=True)


@contextmanager
def shown(show: bool) -> Iterator[None]:
    """Let the body show bars, or none whatever the terminal."""
    before = _shown.set(show)
    try:
        yield
    finally:
        _shown.reset(before)


@contextmanager
def progress(description: str, total: float) -> Iterator[Progress]:
    """Show a bar for `total` units of work while the body runs."""
    if not (_shown.get() and sys.stderr.isatty()):
        yield Silence()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("left"),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(description, total=total)

        class Bar:
            def advance(self, amount: float = 1) -> None:
                bars.advance(task, amount)

            def shrink(self, amount: float) -> None:
                bars.update(task, total=max(0, (bars.tasks[0].total or 0) - amount))

            def grow(self, amount: float) -> None:
                self.shrink(-amount)

            def describe(self, text: str) -> None:
                bars.update(task, description=text)

        yield Bar()
