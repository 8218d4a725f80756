"""The embedded demo's datasets as a source."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from depthprune.tasks.task import Sample

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class MemoryImage:
    """A picture that is in memory already."""

    picture: Image

    def open(self) -> Image:
        """Return the picture in RGB."""
        return self.picture.convert("RGB")

    def digest(self) -> str:
        """Return what identifies the picture: a hash of its size and pixels."""
        picture = self.open()
        return hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).hexdigest()


@dataclass(frozen=True)
class DemoSource:
    """One of the eight drawn datasets; every picture is drawn when its split is asked for."""

    name: str

    def splits(self) -> tuple[str, ...]:
        """Return `train` and `validation`."""
        from depthprune.tasks.demo.datasets import SPLITS

        return tuple(SPLITS)

    def samples(self, split: str) -> tuple[Sample, ...]:
        """Return all samples of a split; raises TaskError where there is no such dataset."""
        from depthprune.tasks.demo.datasets import rows

        drawn = rows(self.name, split)
        return tuple(_to_sample(row, f"{split}/{index}") for index, row in enumerate(drawn))

    def describe(self) -> str:
        """Return where the data come from."""
        return f"drawn by depthprune ({self.name})"


def _to_sample(row: Mapping[str, Any], name: str) -> Sample:
    choices = tuple(row.get("choices", ()))
    return Sample(
        id=name,
        question=row["question"],
        images=(MemoryImage(row["image"]),),
        references=(row["answer"],) if choices else tuple(row["answers"]),
        choices=choices,
    )
