"""Reports in English and Chinese: every text is written in English and looked up in a catalogue.

The catalogues are the YAML files in `zh/`, one for each module that prints: `English: 中文`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Literal

import yaml

Lang = Literal["en", "zh"]
"""English, or simplified Chinese."""

Translate = Callable[[str], str]


def translator(lang: Lang) -> Translate:
    """Return the function that puts an English text into `lang`.

    Texts with numbers in them are templates: `t("{n} samples").format(n=64)`. Names of options,
    files, datasets and metrics are never translated. A text that the catalogues lack stays English;
    `tests/report/test_language.py` finds such texts.
    """
    return _unchanged if lang == "en" else _chinese


def _unchanged(text: str) -> str:
    return text


def _chinese(text: str) -> str:
    return catalogue().get(text, text)


@cache
def catalogue() -> dict[str, str]:
    """Return all Chinese texts by their English ones."""
    texts: dict[str, str] = {}
    for entry in sorted(files("depthprune.report").joinpath("zh").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".yaml"):
            texts |= yaml.safe_load(entry.read_text(encoding="utf-8")) or {}
    return texts
