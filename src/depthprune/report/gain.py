"""What a search gained over the one-shot ranking: a table, a note, and a plain value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from depthprune.analysis.gain import Gain
from depthprune.base.language import t
from depthprune.base.removal import Removal
from depthprune.report.table import Column, Table, table_of
from depthprune.report.tables import blocks, percent


def gain_table(gains: Sequence[Gain]) -> Table:
    """Return the best removal found beside the one-shot removal, per number of removed blocks."""
    return table_of(
        gains,
        [
            (Column(t("removed"), "count"), lambda one: one.number),
            (
                Column(t("best found (points)")),
                lambda one: _with_drop(one.best, one.best_drop),
            ),
            (
                Column(t("one-shot (points)")),
                lambda one: _with_drop(one.one_shot, one.one_shot_drop),
            ),
            (Column(t("gain (points)"), "points"), lambda one: one.gain),
            (Column(t("held out (points)"), "points"), lambda one: one.held_out),
            (Column(t("among"), "count"), lambda one: one.candidates),
            (Column("n", "count"), lambda one: one.num_samples),
        ],
    )


def gain_note() -> str:
    """Return the lines that say how to read the table, and how far to trust it."""
    return t(
        "One-shot: the blocks that cost least alone, removed together. Gain = its drop minus the "
        "drop of the best removal found, in percentage points; n: samples. The best of many looks "
        "better than it is on the samples that chose it, so no interval is given. "
        "Held out: the gain when chosen on one half of the samples and judged on the other, both "
        "ways; it may be negative. Among: how many removals the best was chosen among. "
        "- = not measured, or no scores per sample."
    )


def gain_value(gains: Sequence[Gain]) -> list[dict[str, Any]]:
    """Return gains as plain JSON data; drops and gains are fractions."""
    return [
        {
            "num_removed": gain.number,
            "num_active": gain.active,
            "best": list(gain.best),
            "best_drop": gain.best_drop,
            "chosen_among": gain.candidates,
            "one_shot": None if gain.one_shot is None else list(gain.one_shot),
            "one_shot_drop": gain.one_shot_drop,
            "gain": gain.gain,
            "held_out_gain": gain.held_out,
            "num_samples": gain.num_samples,
            "num_datasets": gain.num_datasets,
        }
        for gain in gains
    ]


def _with_drop(removal: Removal | None, drop: float | None) -> str | None:
    if removal is None:
        return None
    return f"{blocks(removal)} ({'-' if drop is None else percent(drop)})"
