"""The first stages of a run: profile, search, verify, analyze; each tells what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from depthprune.analysis.collect import read_result_set
from depthprune.analysis.findings import Analysis, analyze_results
from depthprune.analysis.options import Ranking
from depthprune.analysis.verified import Choice, choose, choose_number
from depthprune.base.errors import AnalysisError, DepthpruneError, WeakBaselineError
from depthprune.base.files import read_json, write_text
from depthprune.base.language import counted, t
from depthprune.base.removal import single_blocks
from depthprune.importance.compare import compare_splits
from depthprune.importance.merge import write_merged
from depthprune.importance.sources import DatasetScores, SplitImportance
from depthprune.report.formatting import as_text
from depthprune.report.render.text import section_parts
from depthprune.report.sections import importance as sections
from depthprune.report.sections.run import choice_line, done_lines, verification_value
from depthprune.strategies.pipeline import ReadySearch, SearchOutcome, run_search
from depthprune.study import StudyStore
from depthprune.workflow.decisions import FOLDER, write_analysis
from depthprune.workflow.outcome import SUMMARY, closing, findings
from depthprune.workflow.study_file import AnalyzeSection, StudyFile, taken
from depthprune.workflow.verifying import (
    Announce,
    VerificationOptions,
    searched_splits,
    verify_study,
)

Show = Callable[[Sequence[RenderableType]], None]
"""Shows tables and sentences to people."""


class ProgressReport:
    """Shows what each stage found as soon as it is done, and keeps it.

    Args:
        folder: of the study, which gets the summary.
        show: shows what a stage found; nobody does when not given.

    Attributes:
        value: all that was found, for scripts, by the name of the stage.
    """

    def __init__(self, folder: Path, show: Show | None = None) -> None:
        self.value: dict[str, Any] = {}
        self._folder = folder
        self._show = show
        self._summary: list[RenderableType] = []

    def tell(
        self,
        parts: Sequence[RenderableType],
        value: Mapping[str, Any],
        *,
        closing: Sequence[RenderableType] = (),
    ) -> None:
        """Show what a stage found, and keep it.

        Args:
            parts: for people; kept in the summary too.
            value: for scripts, by the name of the stage.
            closing: for people, on the screen alone: what was done just now, and places.
        """
        between = ["", ""] if self._summary else []
        self._summary += [*between, *parts]
        self.value |= value
        write_text(self._folder / SUMMARY, as_text(self._summary))
        if self._show is not None:
            self._show([*between, *parts, *closing])


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Name the stage in errors of the body, and say that nothing is lost.

    Raises:
        DepthpruneError: what the body raised, of the same class.
    """
    try:
        yield
    except WeakBaselineError:
        # Nothing was removed yet, and to run the same command again would not help.
        raise
    except DepthpruneError as error:
        kept = "what was measured is kept: run the same command again to go on"
        raise error.but(
            what=f"{name}: {error.what}", mend=f"{error.mend}; {kept}" if error.mend else kept
        ) from error


MERGED = "merged_importance.json"
"""The importance over all datasets, inside a study."""


def measure(
    study: StudyFile,
    name: str,
    ready: ReadySearch,
    to_check: Sequence[ReadySearch],
    progress_report: ProgressReport,
) -> SearchOutcome:
    """Measure what the stage `name` (`profile` or `search`) asks for, and tell it.

    The baselines of `to_check` are measured and checked before the first removal.
    """
    with stage(name):
        outcome = run_search(ready, to_check)
        parts, value = findings(outcome, taken(study.search, Ranking), show_agreement=False)
        values = {name: value}
        if name == "profile":
            more, others = _across(study, outcome)
            parts += more
            values |= others
        progress_report.tell(parts, values, closing=closing(outcome))
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
    splits: dict[str, list[SplitImportance]] = {}
    with StudyStore.open(outcome.folder, read_only=True) as study:
        for key in outcome.splits:
            record = study.split(key)
            drops = study.drops(key, outcome.settings)
            scores = single_blocks(drops)
            one = SplitImportance(
                record.split, dict(sorted(scores.items())), len(record.sample_ids)
            )
            splits.setdefault(record.task, []).append(one)
        num_blocks = study.model.num_blocks
    return [
        DatasetScores(task, _one_or_two(found), outcome.folder, num_blocks)
        for task, found in splits.items()
    ]


def _one_or_two(
    found: Sequence[SplitImportance],
) -> tuple[SplitImportance] | tuple[SplitImportance, SplitImportance]:
    return (found[0], found[1]) if len(found) > 1 else (found[0],)


def verify(
    study: StudyFile,
    num_samples: int | None,
    ready: Sequence[ReadySearch],
    outcomes: Sequence[SearchOutcome],
    progress_report: ProgressReport,
    announce: Announce | None,
) -> None:
    """Verify what is recommended, and while that is not confirmed the next smaller removal.

    Args:
        study: says what is ranked, and how many blocks are cut out.
        num_samples: fresh samples of each dataset; None takes as many as were searched.
        ready: what was measured.
        outcomes: of it.
        progress_report: is told how much was measured.
        announce: is told what it will take, before it begins.
    """
    request, content = ready[-1].request, study.content
    with stage("verify"):
        selection = {(key, one.settings) for one in outcomes for key in one.splits}
        names = read_result_set(request.folder, selection=selection).splits
        splits = {one.fingerprint: one for each in ready for one in each.splits}.values()
        used = [one for one in splits if names.get(one.task.name) == one.split]
        cut = None if content.cut is None else content.cut.removed
        report = verify_study(
            request.folder,
            ready[-1].model,
            searched_splits(used, request.seed, request.data.holdout),
            VerificationOptions(
                ranking=content.ranking,
                targets=content.targets,
                number=cut if isinstance(cut, int) else None,
                num_samples=num_samples,
                selection=selection,
                announce=announce,
            ),
        )
        parts = [t("Verification on fresh samples"), "", *done_lines(report)]
        progress_report.tell([], {"verify": verification_value(report)}, closing=[*parts, ""])


def analyze(
    study: StudyFile,
    section: AnalyzeSection,
    outcomes: Sequence[SearchOutcome],
    progress_report: ProgressReport,
) -> tuple[Analysis, Choice | None]:
    """Analyze what the stages before measured, write the documents, and choose a removal.

    Returns:
        The analysis of exactly what this run measured, and the removal that is carried out; None
        where nothing is ranked.

    Raises:
        AnalysisError: as many blocks are to be cut as no ranked combination has.
    """
    folder = outcomes[-1].folder
    with stage("analyze"):
        selection = {(key, one.settings) for one in outcomes for key in one.splits}
        results = read_result_set(folder, selection=selection)
        analysis = analyze_results(results, study.content.ranking, study.content.targets)
        choice = _choose(analysis, study)
        written = write_analysis(
            analysis, folder / FOLDER, formats=section.formats, skip=section.skip
        )
        parts: list[RenderableType] = [t("What is recommended"), "", *_wrapped(written.answer)]
        parts += _wrapped([choice_line(choice, analysis.recommendations), ""])
        progress_report.tell(parts, {"analyze": written.value}, closing=written.places)
    return analysis, choice


def _choose(analysis: Analysis, study: StudyFile) -> Choice | None:
    found, cut = analysis.recommendations, study.content.cut
    if cut is None or cut.removed == "recommended":
        return choose(found)
    choice = choose_number(found, cut.removed)
    if choice is None:
        known = [n for n in sorted(found.independent) if choose_number(found, n) is not None]
        raise AnalysisError(
            f"no combination of {counted(cut.removed, 'block')} is ranked, so none can be cut out",
            where=study.place(("cut", "removed")),
            mend=f"there are some of {', '.join(map(str, known))} blocks"
            if known
            else "measure more, or widen the limits min_coverage and min_drop",
        )
    return choice


def _wrapped(parts: Sequence[RenderableType]) -> list[RenderableType]:
    """Return sentences as texts that are wrapped between words."""
    return [Text(part) if isinstance(part, str) else part for part in parts]
