"""`depthprune run`: everything that a study file asks for, in one go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import RenderableType

from depthprune.base.files import read_json, write_text
from depthprune.cli.measure import AsJson
from depthprune.cli.outcome import SUMMARY, closing, findings, print_findings
from depthprune.cli.study_file import StudyFile, read_study_file
from depthprune.importance.compare import compare_splits
from depthprune.importance.merge import write_merged
from depthprune.importance.sources import DatasetScores, SplitScores
from depthprune.report.importance import comparison_parts, comparison_value, merge_parts
from depthprune.report.language import Lang
from depthprune.report.tables import as_text
from depthprune.search.pipeline import SearchOutcome, get_ready, run_search
from depthprune.study import Study

MERGED = "merged_importance.json"
"""The importance over all datasets, inside a study."""


def run(
    study_file: Path,
    *,
    output: Annotated[
        Path | None, Parameter(name=("--output", "--output-dir"), help="Another folder.")
    ] = None,
    num_samples: int | None = None,
    json: AsJson = False,
    lang: Annotated[Lang | None, Parameter(name="--lang", help="Another language.")] = None,
) -> None:
    """Do what a study file says: profile the blocks, compare and merge, search, summarise.

    `depthprune init` writes a file with every field explained. Run it again to go on after an
    interruption: nothing is measured twice.

    For example:

        depthprune init study.yaml
        depthprune run study.yaml
        depthprune run study.yaml --num-samples 16 --output a-quick-try

    Parameters
    ----------
    num_samples
        Other than the file says; 0 means all.

    """
    study = read_study_file(study_file)
    run_study(study, output=output, num_samples=num_samples, as_json=json, lang=lang)


def run_study(
    study: StudyFile,
    *,
    output: Path | None = None,
    num_samples: int | None = None,
    as_json: bool = False,
    lang: Lang | None = None,
) -> None:
    """Run the stages that a study file asks for; each is printed as soon as it is done.

    Args:
        study: the file.
        output: a folder instead of the one in the file.
        num_samples: instead of the number in the file; 0 means all.
        as_json: print one JSON object in the end, with a value for each stage.
        lang: instead of the language in the file.
    """
    lang = lang or study.content.lang
    summary: list[RenderableType] = []
    value: dict[str, Any] = {}
    requests = study.requests(output, num_samples)
    # All stages: a search that cannot be is refused before hours of profiling, not after them.
    ready = study.blame(lambda: get_ready(list(requests.values())))
    limits = study.search
    for stage, one in zip(requests, ready, strict=True):
        outcome = run_search(one)
        parts, value[stage] = findings(
            outcome,
            min_coverage=limits.min_coverage,
            min_drop=limits.min_drop,
            show_agreement=False,
            lang=lang,
        )
        if stage == "profile":
            more, values = _across(study, outcome, lang)
            parts += more
            value |= values
        between = ["", ""] if summary else []
        summary += parts
        write_text(outcome.folder / SUMMARY, as_text(summary))
        if not as_json:
            print_findings([*between, *parts, *closing(outcome, lang)], {}, as_json=False)
    if as_json:
        print_findings([], value, as_json=True)


def _across(
    study: StudyFile, outcome: SearchOutcome, lang: Lang
) -> tuple[list[RenderableType], dict[str, Any]]:
    """Compare the splits of each dataset and merge the datasets, as far as the file asks for it."""
    datasets = _measured_importance(outcome)
    parts: list[RenderableType] = []
    value: dict[str, Any] = {}
    asked = study.content.profile
    if asked is not None and any(len(one.splits) == 2 for one in datasets):
        comparisons = compare_splits(datasets, threshold=asked.threshold, top_k=asked.top_k)
        one_split = [one for one in datasets if len(one.splits) == 1]
        parts += [*comparison_parts(comparisons, one_split, asked.threshold, lang=lang), ""]
        value["compare"] = comparison_value(comparisons, one_split, asked.threshold)
    if study.content.merge is not None:
        merged = study.merge(datasets)
        file, _ = write_merged(merged, outcome.folder / MERGED)
        parts += [*merge_parts(merged, lang=lang), ""]
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
