"""What came out for the rows of a call, until every sample of every removal has its answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from depthprune.evaluate.inputs import Row
from depthprune.evaluate.modes import Mode, Outcome
from depthprune.tasks.task import Sample


class Collected:
    """Collects outcomes of rows.

    Args:
        mode: makes answers of them.
        samples: the N samples of the call.
        rows: all their rows.
        count: R, how many removals there are.
        on_finished: called with the number of answers that were completed.
    """

    def __init__(
        self,
        mode: Mode,
        samples: Sequence[Sample],
        rows: Sequence[Row],
        count: int,
        on_finished: Callable[[int], None] | None,
    ) -> None:
        self._mode = mode
        self._samples = samples
        self._outcomes: list[list[list[tuple[Row, Outcome]]]] = [
            [[] for _ in samples] for _ in range(count)
        ]
        self._rows_of = Counter(row.index for row in rows)
        self._on_finished = on_finished
        self._finished = 0

    def add(self, removal: int, row: Row, outcome: Outcome) -> None:
        """Take the outcome of a row for the removal at a position."""
        found = self._outcomes[removal][row.index]
        found.append((row, outcome))
        self._finished += len(found) == self._rows_of[row.index]

    def report(self) -> None:
        """Say how many answers were completed since the last time."""
        if self._finished and self._on_finished is not None:
            self._on_finished(self._finished)
        self._finished = 0

    def answers(self) -> list[tuple[str, ...]]:
        """Return R tuples of N answers."""
        return [
            tuple(map(self._mode.answer, self._samples, outcomes)) for outcomes in self._outcomes
        ]
