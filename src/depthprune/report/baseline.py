"""On which tasks the whole model's answers are no basis for drops, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from depthprune.report.language import Lang, translator
from depthprune.tasks.weak import SENTENCES, WeakBaseline, Weakness


def weakness_text(weakness: Weakness, lang: Lang = "en") -> str:
    """Return why a baseline is no basis for drops, a clause with its numbers."""
    translate = translator(lang)
    return translate(SENTENCES[weakness.reason]).format(**weakness.values)


def weak_lines(weak: Sequence[WeakBaseline], lang: Lang = "en") -> list[str]:
    """Return one line for each task: what is wrong with its baseline, or may be."""
    t = translator(lang)
    certain = t("Weak baseline: {task}, {split}: {why}. Its drops say nothing.")
    few = t("Weak baseline, maybe: {task}, {split}: {why}. The samples are few.")
    return [
        (certain if one.weakness.is_certain else few).format(
            task=one.task, split=one.split, why=weakness_text(one.weakness, lang)
        )
        for one in weak
    ]


def weak_value(weak: Sequence[WeakBaseline]) -> list[dict[str, Any]]:
    """Return the same as plain JSON data."""
    return [
        {
            "dataset": one.task,
            "split": one.split,
            "reason": str(one.weakness),
            "certain": one.weakness.is_certain,
        }
        for one in weak
    ]
