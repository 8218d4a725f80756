"""Signs of life: how far some work is, as a bar in a terminal, else as a line now and then.

All of it goes to stderr. What is shown is kept in one place, `Progress`; a bar, a line and what
other processes read of a study (`depthprune status`) only render it.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any

from depthprune.base.language import t
from depthprune.base.removal import Removal, format_removal

if TYPE_CHECKING:
    from rich.console import RenderableType

FIRST, EVERY = 10.0, 30.0
"""Seconds until the first line outside a terminal, and from one line to the next."""

TELL_EVERY = 5.0
"""Seconds from one message for other processes to the next."""

RECENT = 256
"""Seconds, at least, over which a pace is taken: work at the beginning may be slower."""

FEW_WORKERS = 8
"""Paces of more workers than these are told as a range."""

Tell = Callable[[dict[str, Any]], None]
"""Is told `Progress.value()` now and then, and once at the end."""


class Progress:
    """How far some work is; whoever works says so, and nothing is shown by it.

    Attributes:
        what: is being done now.
        total: units of work; None: nobody knows.
        done: of them.
        removals: that are measured, and how many there are at most; None where none are.
        best: removal and its drop (a fraction).
        paces: of the workers that share the work, in units per second; empty where none do.
    """

    def __init__(self, what: str = "", total: float | None = None) -> None:
        self.what, self.total, self.done = what, total, 0.0
        self.removals: tuple[int, int] | None = None
        self.best: tuple[Removal, float] | None = None
        self.paces: tuple[float, ...] = ()
        self.begun = self.advanced = monotonic()
        # Times with what was done by then, a second or more apart: for the pace.
        self._marks = deque([(self.begun, 0.0)], maxlen=RECENT)

    def advance(self, amount: float = 1) -> None:
        """Say that `amount` units of work are done."""
        self.done += amount
        self.advanced = monotonic()
        if self.advanced - self._marks[-1][0] >= 1:
            self._marks.append((self.advanced, self.done))

    def shrink(self, amount: float) -> None:
        """Say that `amount` units of the total turned out not to be needed."""
        self.grow(-amount)

    def grow(self, amount: float) -> None:
        """Say that `amount` units more turned out to be needed."""
        self.total = max(0.0, (self.total or 0.0) + amount)

    def describe(self, text: str) -> None:
        """Say what is being done now."""
        self.what = text

    def count(self, done: int, total: int) -> None:
        """Say how many removals are measured, each once for every split, of how many at most."""
        self.removals = (done, total)

    def found(self, removal: Removal, drop: float) -> None:
        """Say which removal of those of as many blocks is the best so far, and its drop."""
        self.best = (removal, drop)

    def paced(self, paces: Sequence[float]) -> None:
        """Say how many units of work per second each worker does."""
        self.paces = tuple(paces)

    @property
    def share(self) -> float | None:
        """The share that is done; None where the total is not known."""
        return min(1.0, self.done / self.total) if self.total else None

    def pace(self) -> float | None:
        """Return units of work per second; None before anything is done."""
        began, done = self._marks[0]
        passed = monotonic() - began
        return (self.done - done) / passed if passed > 0 and self.done > done else None

    def seconds_left(self) -> float | None:
        """Return how long the rest takes at this pace; None where nobody knows."""
        pace = self.pace()
        return None if not self.total or pace is None else max(0.0, self.total - self.done) / pace

    def counts(self) -> str:
        """Return how many removals are done, the best, and the paces of workers, in words."""
        paced = pace_of(self.pace(), self.paces) if self.paces else ""
        return ", ".join(filter(None, (tally(self.removals, self.best), paced)))

    def rest(self) -> str:
        """Return the share that is done and the time that is left, in words."""
        if self.total is None:
            return t("{time} so far", time=duration(monotonic() - self.begun))
        return ahead(self.share or 0.0, self.seconds_left())

    def line(self) -> str:
        """Return all of it in one line."""
        return f"{self.what}: {', '.join(filter(None, (self.counts(), self.rest())))}"

    def value(self) -> dict[str, Any]:
        """Return all of it as plain JSON data."""
        removal, drop = self.best or (None, None)
        now, moment = monotonic(), datetime.now(UTC).timestamp()

        def at(time: float) -> str:
            return datetime.fromtimestamp(moment - (now - time), UTC).isoformat(timespec="seconds")

        return {
            "what": self.what,
            "begun": at(self.begun),
            "updated": at(now),
            "advanced": at(self.advanced),
            "done": self.done,
            "total": self.total,
            "removals": list(self.removals or ()),
            "best": None if removal is None else {"removal": list(removal), "drop": drop},
            "per_second": self.pace(),
            "workers_per_second": list(self.paces),
            "seconds_left": self.seconds_left(),
        }


def tally(removals: Sequence[int] | None, best: tuple[Removal, float] | None) -> str:
    """Return how many removals are done, of how many, and which is the best, in words."""
    parts = []
    if removals:
        done, total = removals
        parts.append(t("{done} of {total} {total:removal|removals}", done=done, total=total))
    if best is not None:
        removal, drop = best
        blocks, points = format_removal(removal, ", "), f"{100 * drop:.2f}"
        parts.append(
            t(
                "best of {n} removed so far: {blocks} (drop {drop} points)",
                n=len(removal),
                blocks=blocks,
                drop=points,
            )
        )
    return ", ".join(parts)


def pace_of(all_of_them: float | None, workers: Sequence[float] = ()) -> str:
    """Return how many answers are given per second, and by each worker, in words."""
    parts = []
    if all_of_them:
        parts.append(t("{pace} per second", pace=_round(all_of_them)))
    if 0 < len(workers) <= FEW_WORKERS:
        parts.append(t("by worker {paces}", paces=" + ".join(map(_round, workers))))
    elif workers:
        low, high = _round(min(workers)), _round(max(workers))
        text = t("by each of {n} workers {low} to {high}", n=len(workers), low=low, high=high)
        parts.append(text)
    return ", ".join(parts)


def _round(pace: float) -> str:
    return f"{pace:,.0f}" if pace >= 100 else f"{pace:.2g}" if pace < 10 else f"{pace:.0f}"


def ahead(share: float, seconds_left: float | None) -> str:
    """Return the share that is done and the time that is left, in words."""
    parts = [f"{share:.0%}"]
    if seconds_left is not None and share < 1:
        parts.append(t("about {time} left", time=duration(seconds_left)))
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return a time as people say it: `40 s`, `12 min`, `3 h 20 min`, `2 days 4 h`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return t("{seconds} s", seconds=round(seconds))
    if minutes < 90:
        return t("{minutes} min", minutes=minutes)
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return t("{hours} h {minutes} min", hours=hours, minutes=minutes)
    return t("{days} days {hours} h", days=hours // 24, hours=hours % 24)


_shown: ContextVar[bool] = ContextVar("shown", default=True)


@contextmanager
def shown(show: bool) -> Iterator[None]:
    """Let the body show signs of life, or none; inside `shown(False)` nothing is shown."""
    before = _shown.set(show and _shown.get())
    try:
        yield
    finally:
        _shown.reset(before)


@contextmanager
def progress(what: str, total: float | None = None, tell: Tell | None = None) -> Iterator[Progress]:
    """Show how far some work is while the body runs.

    Args:
        what: is being done.
        total: units of work; None: nobody knows how much there is.
        tell: is told of it now and then, whoever watches, and how it ended.
    """
    work = Progress(what, total)
    show = _shown.get()
    with ExitStack() as stack:
        if tell is not None:
            stack.enter_context(_regularly(lambda: tell(work.value()), 0, TELL_EVERY))
        if show and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            stack.enter_context(_bar(work))
        elif show:
            stack.enter_context(
                _regularly(lambda: sys.stderr.write(f"{work.line()}\n"), FIRST, EVERY)
            )
        state = "finished"
        try:
            yield work
        except BaseException as error:
            state = "stopped"
            work.what = f"{work.what} ({type(error).__name__})"
            raise
        finally:
            stack.close()
            if tell is not None:
                with suppress(OSError):
                    tell(work.value() | {"state": state})


@contextmanager
def _regularly(do: Callable[[], object], first: float, every: float) -> Iterator[None]:
    """Do something now and then, while the body runs, in a thread of its own."""
    over = Event()

    def run() -> None:
        wait = first
        # Who reads stderr may go away, and a disk be full: that must not end the work.
        with suppress(OSError, ValueError):
            while not over.wait(wait):
                do()
                wait = every

    # In the language of whoever asked.
    thread = Thread(target=copy_context().run, args=(run,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _bar(work: Progress) -> Iterator[None]:
    """Show a bar, or a spinner where nobody knows how much there is; that one leaves no trace."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.spinner import Spinner
    from rich.table import Table
    from rich.text import Text

    spinner = Spinner("line")
    context = copy_context()

    def render() -> RenderableType:
        parts = Table.grid(padding=(0, 1))
        parts.add_row(
            Text(work.what, overflow="ellipsis", no_wrap=True),
            spinner
            if work.total is None
            else ProgressBar(work.total or 1, work.done if work.total else 1, width=20),
            Text(context.copy().run(work.rest), no_wrap=True),
        )
        counts = context.copy().run(work.counts)
        return Group(parts, Text(counts)) if counts else parts

    console = Console(stderr=True)
    with Live(
        get_renderable=render,
        console=console,
        refresh_per_second=4,
        redirect_stdout=False,
        transient=work.total is None,
    ):
        yield
