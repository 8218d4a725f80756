"""The embedded demo: a trained 16-block vision-language model and eight datasets, all offline."""

from typing import TYPE_CHECKING

from depthprune.base.lazy import lazily
from depthprune.tasks.demo.place import MODEL_PATH

if TYPE_CHECKING:
    from depthprune.tasks.demo.datasets import NAMES, SAMPLES, SPLITS, rows

__all__ = ["MODEL_PATH", "NAMES", "SAMPLES", "SPLITS", "rows"]

__getattr__ = lazily(
    __name__,
    dict.fromkeys(("NAMES", "SAMPLES", "SPLITS", "rows"), "depthprune.tasks.demo.datasets"),
)
