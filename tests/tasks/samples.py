"""Small samples and pictures for the tests of the tasks floor."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from depthprune.tasks.task import Sample, Task


def sample(*references: str, choices: Sequence[str] = (), name: str = "validation/0") -> Sample:
    """Return a sample with these reference answers."""
    return Sample(id=name, question="what ?", references=references, choices=tuple(choices))


def png(color: str = "red", mode: str = "RGB", size: int = 4) -> bytes:
    """Return an encoded picture."""
    stream = io.BytesIO()
    Image.new(mode, (size, size), color).save(stream, format="PNG")
    return stream.getvalue()


@dataclass(frozen=True)
class ListedSource:
    """A source whose samples are given: the smallest thing that a user can write."""

    parts: dict[str, list[Sample]]

    def splits(self) -> tuple[str, ...]:
        return tuple(self.parts)

    def samples(self, split: str) -> list[Sample]:
        return self.parts[split]

    def describe(self) -> str:
        return "the test"


def numbered(split: str, count: int) -> list[Sample]:
    """Return samples `split/0`, `split/1`, ... whose answer is their number."""
    return [Sample(f"{split}/{i}", f"{split} {i} ?", references=(str(i),)) for i in range(count)]


def make_task(**settings: object) -> Task:
    """Return a text task with three training and two validation samples."""
    values: dict[str, object] = {
        "name": "my_task",
        "task_type": "Exact Match",
        "source": ListedSource({"train": numbered("train", 3), "validation": numbered("v", 2)}),
    }
    return Task(**(values | settings))  # type: ignore[arg-type]


def write_picture(path: Path, color: str = "red") -> Path:
    """Write a small PNG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(color))
    return path
