"""The stages `profile` and `search`: measure, compare the splits, merge the datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType

from depthprune.base.files import read_json
from depthprune.importance.compare import compare_splits
from depthprune.importance.merge import write_merged
from depthprune.importance.sources import DatasetScores, SplitScores
from depthprune.report.render.text import section_parts
from depthprune.report.sections import importance as sections
from depthprune.strategies.pipeline import ReadySearch, SearchOutcome, run_search
from depthprune.study import Study
from depthprune.workflow.outcome import closing, findings
from depthprune.workflow.stages.transcript import Transcript, stage
from depthprune.workflow.study_file import StudyFile

MERGED = "merged_importance.json"
"""The importance over all datasets, inside a study."""


def measure(
    study: StudyFile,
    name: str,
    ready: ReadySearch,
    to_check: Sequence[ReadySearch],
    transcript: Transcript,
) -> SearchOutcome:
    """Measure what the stage `name` (`profile` or `search`) asks for, and tell it.

    The baselines of `to_check` are measured and checked before the first removal.
    """
    limits = study.search
    with stage(name):
        outcome = run_search(ready, to_check)
        parts, value = findings(
            outcome,
            min_coverage=limits.min_coverage,
            min_drop=limits.min_drop,
            show_agreement=False,
        )
        values = {name: value}
        if name == "profile":
            more, others = _across(study, outcome)
            parts += more
            values |= others
        transcript.tell(parts, values, closing=closing(outcome))
    return outcome


def _across(
    study: StudyFile, outcome: SearchOutcome
) -> tuple[list[RenderableType], dict[str, Any]]:
    """Compare the splits of each dataset and merge the datasets, as far as the file asks for it."""
    datasets = _measured_importance(outcome)
    parts: list[RenderableType] = []
    value: dict[str, Any] = {}
    asked = study.content.profile
    if asked is not None and any(len(one.splits) == 2 for one in datasets):
        comparisons = compare_splits(datasets, threshold=asked.threshold, top_k=asked.top_k)
        one_split = [one for one in datasets if len(one.splits) == 1]
        parts += [*section_parts(sections.comparison(comparisons, one_split, asked.threshold)), ""]
        value["compare"] = sections.comparison_value(comparisons, one_split, asked.threshold)
    if study.content.merge is not None:
        merged = study.merge(datasets)
        file, _ = write_merged(merged, outcome.folder / MERGED)
        parts += [*section_parts(sections.merged(merged)), ""]
        value["merge"] = read_json(file)
    return parts, value


def _measured_importance(outcome: SearchOutcome) -> list[DatasetScores]:
    """Return what exactly this run measured: a study may hold runs with other samples."""
    splits: dict[str, list[SplitScores]] = {}
    with Study.open(outcome.folder, read_only=True) as study:
        for key in outcome.splits:
            record = study.split(key)
            drops = study.drops(key, outcome.settings)
            scores = {removal[0]: drop for removal, drop in drops.items() if len(removal) == 1}
            one = SplitScores(record.split, dict(sorted(scores.items())), len(record.sample_ids))
            splits.setdefault(record.task, []).append(one)
        num_blocks = study.model.num_blocks
    return [
        DatasetScores(task, _one_or_two(found), outcome.folder, num_blocks)
        for task, found in splits.items()
    ]


def _one_or_two(
    found: Sequence[SplitScores],
) -> tuple[SplitScores] | tuple[SplitScores, SplitScores]:
    return (found[0], found[1]) if len(found) > 1 else (found[0],)
