"""What a search found beyond its measurements: the gain over one-shot, and what is complete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType

from depthprune.analysis.dataset_gains import gains_by_dataset, mean_gains
from depthprune.analysis.gain import search_gains
from depthprune.analysis.summary import Summary
from depthprune.report.render.text import section_parts
from depthprune.report.sections import search as report
from depthprune.strategies.options import options_value
from depthprune.strategies.pipeline import SearchOutcome


def search_value(outcome: SearchOutcome, splits: Mapping[str, Any]) -> dict[str, Any]:
    """Return how it was searched as plain JSON data, with what each split's name gained."""
    return {
        **options_value(outcome.search.strategy),
        "joint": outcome.search.joint,
        "splits": dict(splits),
    }


def search_findings(
    outcome: SearchOutcome, split: str, keys: Mapping[str, int], summary: Summary
) -> tuple[list[RenderableType], dict[str, Any]]:
    """Return what a search of one split's name gained, completed and stopped.

    For people and for scripts.

    Args:
        outcome: of the search.
        split: its name.
        keys: of the splits of this name in the study, by dataset.
        summary: of the measurements of these splits.
    """
    parts: list[RenderableType] = []
    value: dict[str, Any] = {}
    if found := outcome.completions.get(split):
        parts += [report.completion_note(found), ""]
        value["completion"] = {"best": found.best, "measured": found.report.measured}
    races = [race for race in outcome.races if race.split == split]
    if races:
        parts += [*section_parts(report.races(races)), ""]
        value["races"] = report.races_value(races)
    limit = getattr(outcome.search.strategy, "max_drop", None)
    one_shot = {dataset: outcome.one_shot.get(key, {}) for dataset, key in keys.items()}
    if not any(one_shot.values()):
        return parts, value
    if not outcome.search.joint and len(keys) > 1:
        gains = gains_by_dataset(summary.datasets, summary.num_blocks, one_shot, limit)
        means = mean_gains(gains)
        value["gains"] = report.dataset_gains_value(gains, means)
        return [*parts, *section_parts(report.dataset_gains(gains, means))], value
    weights = {dataset: outcome.weights.get(key, 1.0) for dataset, key in keys.items()}
    if outcome.search.joint:
        parts += [report.joint_note(weights), ""]
        value["weights"] = weights
    together = search_gains(
        summary.datasets,
        summary.num_blocks,
        next(iter(one_shot.values())),
        weights,
        limit,
    )
    value["gains"] = report.gains_value(together)
    return [*parts, *section_parts(report.gains(together))], value
