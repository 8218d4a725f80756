"""What a search found: for people, for scripts, and as files beside the study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from depthprune.analysis.from_study import dataset_measurements
from depthprune.analysis.options import Ranking
from depthprune.analysis.study_summary import (
    StudySummary,
    gains_by_dataset,
    mean_gains,
    search_gains,
    summarize_study,
)
from depthprune.base.language import filled, t
from depthprune.importance.compare import RankAgreement, rank_agreement
from depthprune.report.render.text import section_parts, table_parts
from depthprune.report.sections import search as report
from depthprune.report.sections.inputs import weak_lines, weak_value
from depthprune.report.sections.search import agreements as agreement_table
from depthprune.report.sections.search import summary_section, summary_value
from depthprune.strategies.options import options_value
from depthprune.strategies.pipeline import RESULTS, SearchOutcome
from depthprune.study import StudyStore
from depthprune.study.result_files import write_importance_comparison
from depthprune.study.store import DATABASE_NAME


def search_value(outcome: SearchOutcome, splits: Mapping[str, Any]) -> dict[str, Any]:
    """Return how it was searched as plain JSON data, with what each split's name gained."""
    return {
        **options_value(outcome.search.strategy),
        "joint": outcome.search.joint,
        "splits": dict(splits),
    }


def search_findings(
    outcome: SearchOutcome, split: str, keys: Mapping[str, int], summary: StudySummary
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


SUMMARY = "summary.txt"
"""The tables that a run printed, inside its study."""


COMPARISONS = "importance_comparison"
"""The folder inside a study for comparisons of train against validation."""


def findings(
    outcome: SearchOutcome, ranking: Ranking, *, show_agreement: bool = True
) -> tuple[list[RenderableType], dict[str, Any]]:
    """Return what a search found, for people and for scripts; write the comparisons of splits."""
    with StudyStore.open(outcome.folder, read_only=True) as study:
        keys: dict[str, dict[str, int]] = {}
        for key in outcome.splits:
            record = study.split(key)
            keys.setdefault(record.split, {})[record.task] = key
        summaries = {
            split: summarize_study(
                dataset_measurements(
                    study,
                    list(same_split.values()),
                    outcome.settings,
                    outcome.search.ranked_by,
                ),
                study.model.num_blocks,
                min_coverage=ranking.min_coverage,
                min_drop=ranking.min_drop,
            )
            for split, same_split in keys.items()
        }
    agreements = _compare(summaries, outcome.folder / COMPARISONS)
    searches = {
        split: search_findings(outcome, split, keys[split], summary)
        for split, summary in summaries.items()
    }
    gained = {split: parts for split, (parts, _) in searches.items()}
    values = {split: value for split, (_, value) in searches.items()}
    return (
        _parts(outcome, summaries, gained, agreements if show_agreement else {}),
        _value(outcome, summaries, agreements) | {"search": search_value(outcome, values)},
    )


def _parts(
    outcome: SearchOutcome,
    summaries: dict[str, StudySummary],
    searches: dict[str, list[RenderableType]],
    agreements: dict[str, RankAgreement],
) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for split, summary in summaries.items():
        heading = t("Split: {split}").format(split=split)
        parts += [heading, "", *section_parts(summary_section(summary)), ""]
        if searches[split]:
            parts += [*searches[split], ""]
    if agreements:
        parts += [*table_parts(agreement_table(agreements)), ""]
    parts += weak_lines(outcome.weak)
    for block, reason in outcome.inadmissible.items():
        parts.append(t("Block {block} was not tried: {reason}.").format(block=block, reason=reason))
    return parts


def places(folder: Path) -> list[str]:
    """Return where the rest of a run lies: all that was printed, the study, the result files."""
    return [
        t("All that was printed: {place}", place=folder / SUMMARY),
        t("Study:   {place}", place=folder / DATABASE_NAME),
        t("Result files: {place}", place=folder / RESULTS),
    ]


def closing(outcome: SearchOutcome) -> list[str]:
    """Return the last lines: how much was measured, and where it lies."""
    report = outcome.report
    if report.measured:
        done = t(
            "Measured {measured} {measured:removal|removals} in {seconds:.0f} s; {reused} "
            "{reused:was|were} there already."
        )
    else:
        done = t(
            "Nothing was measured anew: all {reused} {reused:measurement|measurements} "
            "{reused:was|were} there already."
        )
    return [
        filled(done, measured=report.measured, seconds=report.seconds, reused=report.reused),
        t("Study:   {place}", place=outcome.folder / DATABASE_NAME),
        t("Summary: {place}", place=outcome.folder / SUMMARY),
        t(
            "Results: {place} ({number} {number:file|files})",
            place=outcome.folder / RESULTS,
            number=len(outcome.files),
        ),
    ]


def _compare(summaries: dict[str, StudySummary], folder: Path) -> dict[str, RankAgreement]:
    """Compare train with validation for each dataset that has every block measured on both."""
    if not {"train", "validation"} <= summaries.keys():
        return {}
    train, validation = (_importance(summaries[split]) for split in ("train", "validation"))
    agreements = {}
    for dataset in train.keys() & validation.keys():
        sides = train[dataset], validation[dataset]
        if sides[0].keys() != sides[1].keys() or len(sides[0]) < 3:
            continue
        agreements[dataset] = rank_agreement(*sides)
        write_importance_comparison(
            folder,
            dataset,
            *sides,
            spearman_correlation=agreements[dataset].rho,
            p_value=agreements[dataset].p_value,
        )
    return dict(sorted(agreements.items()))


def _importance(summary: StudySummary) -> dict[str, dict[int, float]]:
    return {
        dataset.dataset: {
            removal[0]: dataset.drop(removal)
            for removal in sorted(dataset.measurements)
            if len(removal) == 1
        }
        for dataset in summary.datasets
    }


def _value(
    outcome: SearchOutcome,
    summaries: dict[str, StudySummary],
    agreements: dict[str, RankAgreement],
) -> dict[str, Any]:
    return {
        "study": str(outcome.folder / DATABASE_NAME),
        "results": str(outcome.folder / RESULTS),
        "settings": outcome.settings,
        "measured": outcome.report.measured,
        "reused": outcome.report.reused,
        "seconds": outcome.report.seconds,
        "splits": {split: summary_value(summary) for split, summary in summaries.items()},
        "agreement": {
            dataset: {"spearman_correlation": one.rho, "p_value": one.p_value}
            for dataset, one in agreements.items()
        },
        "weak_baselines": weak_value(outcome.weak),
        "inadmissible": {str(block): reason for block, reason in outcome.inadmissible.items()},
    }
