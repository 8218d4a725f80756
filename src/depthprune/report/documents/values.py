"""Findings as plain JSON data: drops are fractions, what is unknown is null."""

from __future__ import annotations

from math import isfinite
from typing import Any

from depthprune.analysis.bootstrap import Interval
from depthprune.analysis.choice import refused
from depthprune.analysis.combinations import Combination
from depthprune.analysis.findings import Distribution
from depthprune.analysis.marks import mark
from depthprune.analysis.recommendations import Recommendations, VerifiedRemoval
from depthprune.analysis.selection import Selection


def number(value: float | None) -> float | None:
    """Return a number that JSON has: NaN and infinity become null."""
    return float(value) if value is not None and isfinite(value) else None


def interval_value(interval: Interval | None) -> list[float] | None:
    """Return low and high end of an interval."""
    return None if interval is None else [interval.low, interval.high]


def combination_value(one: Combination, found: Recommendations) -> dict[str, Any]:
    """Return a combination with everything that is known of it but its drops by dataset."""
    return {
        "removed_blocks": list(one.removal),
        "num_removed": len(one.removal),
        "num_active_blocks": found.num_blocks - len(one.removal),
        "avg_accuracy_drop": number(one.mean),
        "std_accuracy_drop": number(one.std),
        "confidence_interval": interval_value(one.interval),
        "mark": mark(one, found.selections.get(one.removal)),
        "avg_accuracy": number(one.accuracy),
        "adjusted_accuracy_drop": number(found.adjusted.get(one.removal)),
        "num_datasets_tested": one.coverage,
        "num_datasets": found.num_datasets,
        "datasets": list(one.drops),
        "num_samples": one.num_samples or None,
        "selection": selection_value(found.selections.get(one.removal)),
    }


def selection_value(one: Selection | None) -> dict[str, Any] | None:
    """Return how a removal was chosen; null where it is none of the chosen ones."""
    if one is None:
        return None
    return {
        "chosen_among": one.among,
        "corrected_accuracy_drop": number(one.drop),
        "confidence_interval": interval_value(one.interval),
    }


def distribution_value(drops: Distribution | None) -> dict[str, Any] | None:
    """Return a distribution in numbers; null where nothing was measured."""
    if drops is None:
        return None
    lower, upper = drops.quartiles
    return {
        "count": drops.count,
        "mean": number(drops.mean),
        "std": number(drops.std),
        "min": number(drops.minimum),
        "quartile_1": number(lower),
        "median": number(drops.median),
        "quartile_3": number(upper),
        "max": number(drops.maximum),
    }


def verified_value(found: Recommendations) -> dict[str, Any] | None:
    """Return what was measured again on fresh samples; null where nothing ever was."""
    known = found.verified
    if known is None:
        return None
    return {
        "datasets": list(known.datasets),
        "not_verified": [
            {
                "dataset": one.dataset,
                "num_fresh_samples": one.num_samples,
                "reason": one.reason or None,
            }
            for one in known.missing
        ],
        "not_confirmed": [list(removal) for removal in refused(found)],
        "removals": [fresh_value(one) for one in known.removals],
    }


def fresh_value(one: VerifiedRemoval | None) -> dict[str, Any] | None:
    """Return a removal on fresh samples, drops as fractions; null where it was not verified."""
    if one is None:
        return None
    gain = one.gain
    return {
        "removed_blocks": list(one.removal),
        "roles": list(one.roles),
        "avg_accuracy_drop": number(one.drop),
        "confidence_interval": interval_value(one.interval),
        "num_samples": one.num_samples,
        "num_datasets_tested": len(one.datasets),
        "max_drop": number(one.limit),
        "confirmed": one.confirmed,
        "when_chosen": {
            "avg_accuracy_drop": number(one.searched),
            "confidence_interval": interval_value(one.searched_interval),
            "num_datasets_tested": one.num_searched,
        },
        "gain_over_one_shot": None
        if gain is None
        else {
            "one_shot": list(gain.one_shot),
            "one_shot_accuracy_drop": number(gain.drop),
            "gain": number(gain.gain),
            "confidence_interval": interval_value(gain.interval),
        },
        "datasets": [
            {
                "dataset": each.dataset,
                "split": each.split,
                "num_samples": each.num_samples,
                "accuracy_drop": number(each.drop),
                "accuracy_drop_when_chosen": number(each.searched),
            }
            for each in one.datasets
        ],
    }
