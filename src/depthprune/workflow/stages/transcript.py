"""What a run has told so far: on the screen, in `summary.txt`, and for scripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from depthprune.base.errors import DepthpruneError, WeakBaselineError
from depthprune.base.files import write_text
from depthprune.cli.outcome import SUMMARY, print_findings
from depthprune.report.tables import as_text


class Transcript:
    """Tells what each stage found as soon as it is done.

    Args:
        folder: of the study, which gets the summary.
        as_json: print nothing but one object in the end.
    """

    def __init__(self, folder: Path, *, as_json: bool) -> None:
        self._folder = folder
        self._as_json = as_json
        self._summary: list[RenderableType] = []
        self._value: dict[str, Any] = {}

    def tell(
        self,
        parts: Sequence[RenderableType],
        value: Mapping[str, Any],
        *,
        closing: Sequence[RenderableType] = (),
    ) -> None:
        """Print what a stage found, and keep it.

        Args:
            parts: for people; kept in the summary too.
            value: for scripts, by the name of the stage.
            closing: for people, on the screen alone: what was done just now, and places.
        """
        between = ["", ""] if self._summary else []
        self._summary += [*between, *parts]
        self._value |= value
        write_text(self._folder / SUMMARY, as_text(self._summary))
        if not self._as_json:
            print_findings([*between, *parts, *closing], {}, as_json=False)

    def close(self) -> None:
        """Print what is for scripts, if that was asked for."""
        if self._as_json:
            print_findings([], self._value, as_json=True)


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
