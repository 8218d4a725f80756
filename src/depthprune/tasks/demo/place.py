"""Where the embedded model lies."""

from __future__ import annotations

from pathlib import Path

MODEL_PATH = Path(__file__).parent / "model"
"""Folder of the shipped checkpoint in Hugging Face format."""

DEMO = "demo"
"""The name of the embedded model, and of its eight tasks."""


def model_place(source: str | Path) -> str:
    """Return the place of a model: `demo` is the embedded one."""
    return str(MODEL_PATH) if str(source) == DEMO else str(source)
