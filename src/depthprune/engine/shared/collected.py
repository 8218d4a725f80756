"""What came out for the rows of a call, until every sample of every removal has its answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from depthprune.engine.inputs import Row
from depthprune.engine.modes import Mode, Outcome
from depthprune.tasks.task import Sample


class Collected:
    """Collects outcomes of rows.

    Args:
        mode: makes answers of them.
        samples: the N samples of the call.
        rows: all their rows.
        count: R, how many removals there are.
    """

    def __init__(
        self,
        mode: Mode,
        samples: Sequence[Sample],
        rows: Sequence[Row],
        count: int,
    ) -> None:
        self._mode = mode
        self._samples = samples
        self._outcomes: list[list[list[tuple[Row, Outcome]]]] = [
            [[] for _ in samples] for _ in range(count)
        ]
        self._rows_of = Counter(row.index for row in rows)
        self.finished = 0
        """How many answers are complete."""

    def add(self, removal: int, row: Row, outcome: Outcome) -> None:
        """Take the outcome of a row for the removal at a position."""
        found = self._outcomes[removal][row.index]
        found.append((row, outcome))
        self.finished += len(found) == self._rows_of[row.index]

    def answers(self) -> list[tuple[str, ...]]:
        """Return R tuples of N answers."""
        return [
            tuple(map(self._mode.answer, self._samples, outcomes)) for outcomes in self._outcomes
        ]
