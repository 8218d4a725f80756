"""What the searches of single datasets gained, each over its own one-shot ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from depthprune.analysis.combinations import DatasetMeasurements
from depthprune.analysis.gain import Gain, search_gains
from depthprune.base.removal import Removal


@dataclass(frozen=True)
class MeanGain:
    """The mean of the gains of several datasets' own searches, as fractions.

    Attributes:
        number: blocks removed.
        gain: its mean over the datasets that know it.
        held_out: likewise; None where no dataset knows it.
        num_datasets: that know the gain.
    """

    number: int
    gain: float
    held_out: float | None
    num_datasets: int


def gains_by_dataset(
    datasets: Sequence[DatasetMeasurements],
    num_blocks: int,
    one_shot: Mapping[str, Mapping[int, Removal]],
    max_drop: float | None = None,
) -> dict[str, list[Gain]]:
    """Return the gains of each dataset by itself, see `search_gains`.

    Args:
        datasets: measured on one split each.
        num_blocks: of the unpruned stack.
        one_shot: by dataset, by number of removed blocks.
        max_drop: as for `search_gains`.
    """
    return {
        one.dataset: search_gains(
            [one], num_blocks, one_shot.get(one.dataset, {}), max_drop=max_drop
        )
        for one in datasets
    }


def mean_gains(gains: Mapping[str, Sequence[Gain]]) -> list[MeanGain]:
    """Return the mean gain for each number of removed blocks, ascending."""
    by_number: dict[int, list[Gain]] = {}
    for found in gains.values():
        for gain in found:
            if gain.gain is not None:
                by_number.setdefault(gain.number, []).append(gain)
    return [_mean(number, found) for number, found in sorted(by_number.items())]


def _mean(number: int, found: Sequence[Gain]) -> MeanGain:
    held_out = [gain.held_out for gain in found if gain.held_out is not None]
    return MeanGain(
        number=number,
        gain=fmean(gain.gain for gain in found if gain.gain is not None),
        held_out=fmean(held_out) if held_out else None,
        num_datasets=len(found),
    )
