"""The embedded demo: a trained 16-block vision-language model and eight datasets, all offline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from depthprune.base.lazy import lazily
from depthprune.tasks.task import Sample

if TYPE_CHECKING:
    from PIL.Image import Image

    from depthprune.tasks.demo.datasets import NAMES, SAMPLES, SPLITS, rows


MODEL_PATH = Path(__file__).parent / "model"
"""Folder of the shipped checkpoint in Hugging Face format."""

DEMO = "demo"
"""The name of the embedded model, and of its eight tasks."""


def model_place(source: str | Path) -> str:
    """Return the place of a model: `demo` is the embedded one."""
    return str(MODEL_PATH) if str(source) == DEMO else str(source)


@dataclass(frozen=True)
class MemoryImage:
    """A picture that is in memory already."""

    picture: Image

    def open(self) -> Image:
        """Return the picture in RGB."""
        return self.picture.convert("RGB")


@dataclass(frozen=True)
class DemoSource:
    """One of the eight drawn datasets."""

    name: str

    def splits(self) -> tuple[str, ...]:
        """Return `train` and `validation`."""
        from depthprune.tasks.demo.datasets import SPLITS

        return tuple(SPLITS)

    def samples(self, split: str) -> DemoSamples:
        """Return all samples of a split; raises TaskError where there is no such dataset."""
        from depthprune.tasks.demo.datasets import check_names

        check_names(self.name, split)
        return DemoSamples(self.name, split)

    def describe(self) -> str:
        """Return where the data come from."""
        return f"drawn by depthprune ({self.name})"


@dataclass(frozen=True)
class DemoSamples:
    """The samples of one split; each is drawn when it is asked for (all take a third of a second).

    Attributes:
        name: of the dataset.
        split: `train` or `validation`.
    """

    name: str
    split: str

    def __len__(self) -> int:
        from depthprune.tasks.demo.datasets import SAMPLES

        return SAMPLES

    def __getitem__(self, index: int) -> Sample:
        """Return a sample; raises IndexError where there is none."""
        from depthprune.tasks.demo.datasets import row

        place = range(len(self))[index]
        drawn = row(self.name, self.split, place)
        choices = tuple(drawn.get("choices", ()))
        return Sample(
            id=f"{self.split}/{place}",
            question=drawn["question"],
            images=(MemoryImage(drawn["image"]),),
            references=(drawn["answer"],) if choices else tuple(drawn["answers"]),
            choices=choices,
        )


__all__ = ["MODEL_PATH", "NAMES", "SAMPLES", "SPLITS", "rows"]

__getattr__ = lazily(
    __name__,
    dict.fromkeys(("NAMES", "SAMPLES", "SPLITS", "rows"), "depthprune.tasks.demo.datasets"),
)
