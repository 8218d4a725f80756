"""The embedded demo: a trained 16-block vision-language model and eight datasets, all offline."""

from pathlib import Path

from depthprune.tasks.demo.datasets import NAMES, SAMPLES, SPLITS, rows

__all__ = ["MODEL_PATH", "NAMES", "SAMPLES", "SPLITS", "rows"]

#: Folder of the shipped checkpoint in Hugging Face format.
MODEL_PATH = Path(__file__).parent / "model"
