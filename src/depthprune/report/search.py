"""What a search says beside the measurements: joint or not, gains, complete combinations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from depthprune.analysis.dataset_gains import MeanGain
from depthprune.analysis.gain import Gain
from depthprune.base.language import t
from depthprune.report.gain import gain_note, gain_table, gain_value
from depthprune.report.table import Column, Table
from depthprune.report.tables import percent
from depthprune.strategies.complete import Completion

NUMBERS_WIDE = 4
"""Numbers of removed blocks side by side in one table."""


def joint_note(weights: Mapping[str, float]) -> str:
    """Return the line that says what a joint search was about.

    Args:
        weights: of the datasets, with a sum of 1.
    """
    if len(set(weights.values())) < 2:
        return t("Joint search on the mean drop over {n} {n:dataset|datasets}.", n=len(weights))
    shares = ", ".join(f"{dataset} {weight:.2f}" for dataset, weight in weights.items())
    return t(
        "Joint search on the weighted mean drop over {n} datasets: {weights}. "
        "The rankings above weigh all datasets alike, the gains below do not."
    ).format(n=len(weights), weights=shares)


def gain_parts(gains: Sequence[Gain]) -> list[RenderableType]:
    """Return what one search gained: of one dataset, or joint; nothing where there is no gain."""
    if not gains:
        return []
    heading = t("What the search gained over removing the blocks that cost least alone")
    return [heading, gain_table(gains), gain_note()]


def dataset_gain_parts(
    gains: Mapping[str, Sequence[Gain]], means: Sequence[MeanGain]
) -> list[RenderableType]:
    """Return what the searches of several datasets gained, each over its own one-shot ranking."""
    if not means:
        return []
    parts: list[RenderableType] = [
        t(
            "What each dataset's own search gained over removing the blocks that cost least alone: "
            "gain in points (held-out gain)"
        )
    ]
    parts += (
        _dataset_gain_table(gains, means[start : start + NUMBERS_WIDE])
        for start in range(0, len(means), NUMBERS_WIDE)
    )
    return [*parts, gain_note()]


def completion_note(completion: Completion) -> str:
    """Return the line that says which combinations compare on equal ground."""
    return t(
        "The best {best} {best:combination|combinations} of each number removed "
        "{best:is|are} measured on every dataset.",
        best=completion.best,
    )


def dataset_gain_value(
    gains: Mapping[str, Sequence[Gain]], means: Sequence[MeanGain]
) -> dict[str, Any]:
    """Return the gains of datasets and their means as plain JSON data, as fractions."""
    return {
        "datasets": {dataset: gain_value(found) for dataset, found in gains.items()},
        "mean": [
            {
                "num_removed": mean.number,
                "gain": mean.gain,
                "held_out_gain": mean.held_out,
                "num_datasets": mean.num_datasets,
            }
            for mean in means
        ],
    }


def completion_value(completion: Completion) -> dict[str, Any]:
    """Return a completion as plain JSON data."""
    return {"best": completion.best, "measured": completion.report.measured}


def _dataset_gain_table(gains: Mapping[str, Sequence[Gain]], means: Sequence[MeanGain]) -> Table:
    name = t("{number} removed")
    columns = [Column(t("dataset")), *(Column(name.format(number=one.number)) for one in means)]
    rows = []
    for dataset, found in gains.items():
        by_number = {gain.number: gain for gain in found}
        rows.append([dataset, *(_cell(by_number.get(mean.number)) for mean in means)])
    told = [_with_held_out(percent(one.gain, 1), one.held_out) for one in means]
    return Table(columns, [*rows, [t("mean"), *told]], ends=[len(rows) - 1], is_spaced=True)


def _cell(gain: Gain | None) -> str:
    if gain is None or gain.gain is None:
        return "-"
    return _with_held_out(percent(gain.gain, 1), gain.held_out)


def _with_held_out(text: str, held_out: float | None) -> str:
    return text if held_out is None else f"{text} ({percent(held_out, 1)})"
