"""The stage `evaluate`: the cut model answers the tasks of the study itself, and has a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from depthprune.base.language import t
from depthprune.base.removal import Removal
from depthprune.benchmark.measure import CardOptions, measure_card
from depthprune.benchmark.options import BenchmarkOptions, card_options
from depthprune.report.render.text import section_parts
from depthprune.report.run import check_lines, check_table, check_value, done_line
from depthprune.report.sections.evaluation import error_lines, evaluation_sections
from depthprune.strategies.cut_check import CutCheck, check_cut_model
from depthprune.strategies.model import open_model
from depthprune.strategies.pipeline import SearchRequest
from depthprune.study.filenames import removal_name
from depthprune.tasks.task import TaskSplit
from depthprune.workflow.evaluating import RESULTS
from depthprune.workflow.stages.transcript import Transcript, stage
from depthprune.workflow.study_file import StudyFile
from depthprune.workflow.study_sections import EvaluateSection, taken

EVALUATION = "evaluation"
"""The folder inside a study for what cut models answer."""


@dataclass(frozen=True)
class Evaluated:
    """What a cut model answered.

    Attributes:
        checks: task by task, against skipping.
        is_whole: whether every metric that was asked for could be measured.
    """

    checks: tuple[CutCheck, ...]
    is_whole: bool


def cut_card(study: StudyFile, section: EvaluateSection) -> CardOptions | None:
    """Return what is measured of the cut model beyond the tasks; None: nothing.

    Raises:
        DepthpruneError: there is no such text or task.
    """
    if not section.metrics:
        return None
    asked = replace(
        taken(section, BenchmarkOptions),
        ppl_texts=tuple(map(study.file_or_name, section.ppl_texts)),
        lm_eval_paths=study.data_options().lm_eval_paths,
        download=study.content.download,
    )
    with study.about("evaluate", "zeroshot_tasks"):
        return card_options(asked, study.model_options())


def evaluate(
    card: CardOptions | None,
    request: SearchRequest,
    splits: Sequence[TaskSplit],
    removal: Removal,
    cut: Path,
    transcript: Transcript,
) -> Evaluated:
    """Let the cut model answer what the whole one was measured on, and tell how they compare."""
    source = replace(request.model, source=str(cut), name=None, revision=None, download=False)
    with stage("evaluate"):
        opened = open_model(source)
        # A cut that was made anew in another way has answers of its own.
        name = f"removed{removal_name(removal)}-{opened.loaded.fingerprint[:8]}"
        folder = request.folder / EVALUATION / name
        found = check_cut_model(opened, splits, removal, whole=request.folder, folder=folder)
        parts: list[RenderableType] = [
            t("What the smaller model answers, against skipping its blocks"),
            check_table(found.checks),
            *check_lines(found.checks),
        ]
        value: dict[str, Any] = check_value(found)
        closing = [done_line(found)]
        is_whole = True
        if card is not None:
            outcome = measure_card(opened.loaded, opened.stack, card, folder / RESULTS)
            parts += [p for one in evaluation_sections(outcome.card) for p in section_parts(one)]
            parts += error_lines(outcome.failed)
            value["card"] = outcome.card
            closing.append(t("Card: {path}").format(path=outcome.path))
            is_whole = not outcome.failed
        transcript.tell(parts, {"evaluate": value}, closing=closing)
    return Evaluated(found.checks, is_whole)
