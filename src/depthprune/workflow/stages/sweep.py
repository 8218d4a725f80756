"""The stage `sweep`: accuracy against latency, of the recommended removals on every task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import RenderableType

from depthprune.analysis.choice import Choice, choose_number
from depthprune.analysis.speedup import Speedup, mean_speedup
from depthprune.analysis.sweep import SweepPoint
from depthprune.base.errors import DepthpruneError
from depthprune.base.language import counted, t
from depthprune.base.removal import Removal
from depthprune.benchmark.latency import LatencyOptions
from depthprune.benchmark.sweep import Failure, SweepRequest
from depthprune.report.sweep import failure_lines, report_lines, sweep_parts
from depthprune.strategies.configurations import Configuration, choose_configurations
from depthprune.strategies.pipeline import ReadySearch
from depthprune.study.store import DATABASE_NAME
from depthprune.tasks.task import TaskSplit
from depthprune.workflow.stages.analyze import Decision
from depthprune.workflow.stages.transcript import Transcript, stage
from depthprune.workflow.study_file import StudyFile
from depthprune.workflow.study_sections import SweepSection, taken
from depthprune.workflow.sweeping import (
    FIGURE,
    SUMMARY,
    SWEEP,
    SweepFindings,
    report_value,
    sweep_and_write,
)
from depthprune.workflow.written import EXTRA


@dataclass(frozen=True)
class Swept:
    """What a sweep found about the removal that is carried out.

    Attributes:
        speedup: None where nothing was chosen, or nothing could be timed.
        failures: what could not be measured; the rest was.
        points: each configuration on each task.
    """

    speedup: Speedup | None
    failures: tuple[Failure, ...]
    points: tuple[SweepPoint, ...]


def check_sweep(study: StudyFile, section: SweepSection, ready: ReadySearch) -> None:
    """Find what would keep a sweep from being done, as far as it is known before measuring.

    Raises:
        DepthpruneError: the model has not so many blocks, or as many never go together.
    """
    num_blocks = ready.model.stack.num_blocks
    least = num_blocks - ready.request.search.strategy.most_removed(ready.space)
    for count in section.num_active_blocks:
        if not least <= count <= num_blocks:
            raise DepthpruneError(
                f"{counted(count, 'active block')} will not be measured: the model has "
                f"{num_blocks}, and at "
                f"least {least} of them stay",
                where=study.place(("sweep", "num_active_blocks")),
                mend=f"give numbers from {least} to {num_blocks}, or let the search go further by "
                "max_blocks_to_remove",
            )


def sweep(
    section: SweepSection,
    ready: ReadySearch,
    splits: Sequence[TaskSplit],
    decision: Decision,
    transcript: Transcript,
) -> Swept:
    """Measure the recommended removals on every task, and tell accuracies and times.

    Without numbers in the study file, all that are recommended; the whole model and the removal
    that is carried out are always among them.
    """
    request = ready.request
    folder = request.folder / SWEEP
    with stage("sweep"):
        recommended = _recommended(decision)
        configurations = _configurations(section, recommended, decision)
        source = str(request.folder / DATABASE_NAME)
        found = SweepFindings(folder, ready.model.record, recommended, source)
        report, lacking = sweep_and_write(
            SweepRequest(
                model=request.model,
                tasks=request.tasks,
                split=splits[0].split,
                folder=request.folder,
                num_samples=request.num_samples,
                seed=request.seed,
                data=request.data,
                latency=taken(section, LatencyOptions),
            ),
            ready.model,
            splits,
            configurations,
            found,
        )
        parts: list[RenderableType] = [
            t("Accuracy against time"),
            "",
            *sweep_parts(found.points, each_task=False),
            *failure_lines(report.failures),
        ]
        closing = report_lines(report)
        closing.append(t("Table:   {place}").format(place=folder / f"{SUMMARY}.txt"))
        if lacking is None:
            closing.append(t("Figure:  {place}").format(place=folder / FIGURE))
        else:
            note = t("Not written: {kind}. It needs {package}: pip install 'depthprune[{extra}]'")
            closing.append(note.format(kind=FIGURE, package=lacking, extra=EXTRA))
        value = found.value(report.failures) | report_value(report)
        transcript.tell(parts, {"sweep": value}, closing=closing)
    removal = None if decision.choice is None else decision.choice.combination.removal
    speedup = None if removal is None else mean_speedup(found.points, removal)
    return Swept(speedup, report.failures, tuple(found.points))


def _recommended(decision: Decision) -> dict[int, Removal]:
    """Return the recommended removal for each number of active blocks."""
    found = decision.analysis.recommendations
    choices: list[Choice | None] = [choose_number(found, number) for number in found.independent]
    # Comes last: what is carried out is what is measured for its number of blocks.
    choices.append(decision.choice)
    return {
        found.num_blocks - len(one.combination.removal): one.combination.removal
        for one in choices
        if one is not None
    }


def _configurations(
    section: SweepSection, recommended: dict[int, Removal], decision: Decision
) -> list[Configuration]:
    num_blocks, choice = decision.analysis.recommendations.num_blocks, decision.choice
    counts = section.num_active_blocks
    if counts and choice is not None:
        counts = [*counts, num_blocks - len(choice.combination.removal)]
    if counts:
        counts = [*counts, num_blocks]
    known = {num_blocks: (), **recommended}
    return choose_configurations(
        known, sorted(counts, reverse=True), num_blocks, "sweep.num_active_blocks"
    )
