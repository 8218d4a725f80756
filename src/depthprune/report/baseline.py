"""On which tasks the whole model's answers are no basis for drops, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from depthprune.base.language import t
from depthprune.tasks.weak import WeakBaseline


def weak_lines(weak: Sequence[WeakBaseline]) -> list[str]:
    """Return one line for each task: what is wrong with its baseline, or may be."""
    certain = t("Weak baseline: {task}, {split}: {why}. Its drops say nothing.")
    few = t("Weak baseline, maybe: {task}, {split}: {why}. The samples are few.")
    return [
        (certain if one.weakness.is_certain else few).format(
            task=one.task, split=one.split, why=one.weakness.note.translated()
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
