"""The inputs of a split, prepared once: removals change the model, never what it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from depthprune.engine.inputs import Inputs, Row, num_bytes

Encode = Callable[[Sequence[Row]], Inputs]


class PreparedRows:
    """Rows in the order they are run, with the inputs of their batches kept while there is room.

    Longest rows first, so that little is padded and a batch that does not fit into memory fails at
    once, but those of one sample together: they begin alike. All rows have images, or none has.
    """

    def __init__(self, rows: Sequence[Row], encode: Encode, room: int) -> None:
        """Take the rows; keep at most `room` bytes of inputs."""
        longest: dict[int, int] = {}
        for row in rows:
            longest[row.index] = max(longest.get(row.index, 0), len(row.tokens))
        order = sorted(rows, key=lambda row: (-longest[row.index], row.index, -len(row.tokens)))
        self.rows = tuple(order)
        self._encode = encode
        self._room = room
        self._kept: dict[tuple[int, int], Inputs] = {}

    @property
    def num_bytes(self) -> int:
        """How much memory the kept inputs take."""
        return sum(num_bytes(inputs) for inputs in self._kept.values())

    def prepare(self, size: int) -> None:
        """Encode every row once, in batches of `size`, so that bad samples show before any run."""
        for start in range(0, len(self.rows), size):
            self.inputs(start, min(start + size, len(self.rows)))

    def inputs(self, start: int, stop: int) -> Inputs:
        """Return the inputs of `rows[start:stop]`: kept ones, or encoded now."""
        kept = self._kept.get((start, stop))
        if kept is not None:
            return kept
        # Batches of another size that hold these rows will not be asked for again.
        for first, last in [place for place in self._kept if place[0] < stop and start < place[1]]:
            del self._kept[first, last]
        inputs = self._encode(self.rows[start:stop])
        if self.num_bytes + num_bytes(inputs) <= self._room:
            self._kept[start, stop] = inputs
        return inputs

    def forget(self, start: int, stop: int) -> None:
        """Let go of the inputs of a batch: they are encoded anew when they are asked for again."""
        self._kept.pop((start, stop), None)


def prepare_rows(
    rows: Sequence[Row], encode: Encode, size: int, room: int
) -> tuple[PreparedRows, ...]:
    """Prepare rows in at most two groups: those with images and those without.

    Processors of several architectures refuse batches in which only some samples have images.

    Raises:
        TaskError: an image cannot be read, or a sample cannot be encoded.
    """
    groups = []
    for group in _split_by_images(rows):
        prepared = PreparedRows(group, encode, room)
        prepared.prepare(size)
        room -= prepared.num_bytes
        groups.append(prepared)
    return tuple(groups)


def _split_by_images(rows: Sequence[Row]) -> Iterator[list[Row]]:
    for has_images in (True, False):
        group = [row for row in rows if bool(row.sample.images) is has_images]
        if group:
            yield group
