"""What a run has told so far: on the screen, in `summary.txt`, and for scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from depthprune.base.errors import DepthpruneError, WeakBaselineError
from depthprune.base.files import write_text
from depthprune.report.tables import as_text
from depthprune.workflow.outcome import SUMMARY

Show = Callable[[Sequence[RenderableType]], None]
"""Shows tables and sentences to people."""


class Transcript:
    """Tells what each stage found as soon as it is done.

    Args:
        folder: of the study, which gets the summary.
        show: shows what a stage found; nobody does when not given.

    Attributes:
        value: all that was found, for scripts, by the name of the stage.
    """

    def __init__(self, folder: Path, show: Show | None = None) -> None:
        self.value: dict[str, Any] = {}
        self._folder = folder
        self._show = show
        self._summary: list[RenderableType] = []

    def tell(
        self,
        parts: Sequence[RenderableType],
        value: Mapping[str, Any],
        *,
        closing: Sequence[RenderableType] = (),
    ) -> None:
        """Show what a stage found, and keep it.

        Args:
            parts: for people; kept in the summary too.
            value: for scripts, by the name of the stage.
            closing: for people, on the screen alone: what was done just now, and places.
        """
        between = ["", ""] if self._summary else []
        self._summary += [*between, *parts]
        self.value |= value
        write_text(self._folder / SUMMARY, as_text(self._summary))
        if self._show is not None:
            self._show([*between, *parts, *closing])


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Name the stage in errors of the body, and say that nothing is lost.

    Raises:
        DepthpruneError: what the body raised, of the same class.
    """
    try:
        yield
    except WeakBaselineError:
        # Nothing was removed yet, and to run the same command again would not help.
        raise
    except DepthpruneError as error:
        kept = "what was measured is kept: run the same command again to go on"
        raise error.but(
            what=f"{name}: {error.what}", mend=f"{error.mend}; {kept}" if error.mend else kept
        ) from error
