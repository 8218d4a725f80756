"""What a search gained over the one-shot ranking: a table, a note, and a plain value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from depthprune.analysis.gain import Gain
from depthprune.base.language import t
from depthprune.base.removal import Removal
from depthprune.report.tables import blocks, interval_text, percent


def gain_table(gains: Sequence[Gain]) -> Table:
    """Return the best removal found beside the one-shot removal, per number of removed blocks."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column(t("removed"), justify="right")
    table.add_column(t("best found (drop %)"))
    table.add_column(t("one-shot (drop %)"))
    table.add_column(t("gain %"), justify="right")
    table.add_column(t("95% interval"), justify="right", no_wrap=True)
    table.add_column(t("held out %"), justify="right")
    table.add_column(t("among"), justify="right")
    table.add_column("n", justify="right")
    for gain in gains:
        table.add_row(
            str(gain.number),
            _with_drop(gain.best, gain.best_drop),
            _with_drop(gain.one_shot, gain.one_shot_drop),
            _points(gain.gain),
            interval_text(gain.interval),
            _points(gain.held_out),
            str(gain.candidates),
            str(gain.num_samples),
        )
    return table


def gain_note() -> str:
    """Return the lines that say how to read the table, and how far to trust it."""
    return t(
        "One-shot: the blocks that cost least alone, removed together. Gain = its drop minus the "
        "drop of the best removal found, in percentage points; n: samples. The best of many looks "
        "better than it is on the samples that chose it, and the interval cannot show that. "
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
            "interval": None if gain.interval is None else [gain.interval.low, gain.interval.high],
            "held_out_gain": gain.held_out,
            "num_samples": gain.num_samples,
            "num_datasets": gain.num_datasets,
        }
        for gain in gains
    ]


def _with_drop(removal: Removal | None, drop: float | None) -> str:
    if removal is None:
        return "-"
    return f"{blocks(removal)} ({_points(drop)})"


def _points(fraction: float | None) -> str:
    return "-" if fraction is None else percent(fraction)
