"""The stage `analyze`: documents, figures and page, and the removal that is carried out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.text import Text

from depthprune.analysis.analyse import analyse
from depthprune.analysis.choice import Choice, choose, choose_number
from depthprune.analysis.collect import read_result_set
from depthprune.analysis.whole import Analysis
from depthprune.base.errors import AnalysisError
from depthprune.base.language import counted, t
from depthprune.report.documents.pictures import PAGE
from depthprune.report.run import choice_line
from depthprune.strategies.pipeline import SearchOutcome
from depthprune.workflow.stages.transcript import Transcript, stage
from depthprune.workflow.study_file import StudyFile
from depthprune.workflow.study_sections import AnalyzeSection
from depthprune.workflow.written import FOLDER, write_analysis


@dataclass(frozen=True)
class Decision:
    """What the analysis says, and what is done about it.

    Attributes:
        analysis: of exactly what this run measured.
        choice: the removal that is carried out; None where nothing is ranked.
        has_page: whether the page could be written.
    """

    analysis: Analysis
    choice: Choice | None
    has_page: bool


def analyze(
    study: StudyFile,
    section: AnalyzeSection,
    outcomes: Sequence[SearchOutcome],
    transcript: Transcript,
) -> Decision:
    """Analyse what the stages before measured, write the documents, and choose a removal.

    Raises:
        AnalysisError: as many blocks are to be cut as no ranked combination has.
    """
    folder = outcomes[-1].folder
    with stage("analyze"):
        selection = {(key, one.settings) for one in outcomes for key in one.splits}
        results = read_result_set(folder, selection=selection)
        analysis = analyse(results, study.content.ranking, study.content.targets)
        choice = _choose(analysis, study)
        written = write_analysis(
            analysis, folder / FOLDER, formats=section.formats, skip=section.skip
        )
        parts: list[RenderableType] = [t("What is recommended"), "", *_wrapped(written.answer)]
        parts += _wrapped([choice_line(choice, analysis.recommendations), ""])
        transcript.tell(parts, {"analyze": written.value}, closing=written.places)
    return Decision(analysis, choice, (folder / FOLDER / PAGE).is_file())


def parameters(decision: Decision) -> tuple[int, int] | None:
    """Return the parameters that the chosen removal leaves, and all; None where unknown."""
    results, choice = decision.analysis.results, decision.choice
    if choice is None or results.parameters is None or results.block_parameters is None:
        return None
    gone = sum(results.block_parameters[block] for block in choice.combination.removal)
    return results.parameters - gone, results.parameters


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
