"""A sweep: what models of fewer blocks score and how long they take, as values and as files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthprune.analysis import options
from depthprune.analysis.collect import read_result_set
from depthprune.analysis.combinations import RankedCombinations
from depthprune.analysis.findings import analyze_results
from depthprune.analysis.sweep import SweepPoint, compare_points, sweep_point
from depthprune.base.errors import (
    AnalysisError,
    DepthpruneError,
    FileError,
    LayoutError,
    MissingDependencyError,
    StudyError,
    option,
)
from depthprune.base.files import together, write_bytes, write_json, write_text
from depthprune.base.language import counted, language
from depthprune.base.progress import shown
from depthprune.base.removal import Removal, check_removal, make_removal
from depthprune.benchmark.latency import LatencyOptions
from depthprune.benchmark.sweep import (
    Failure,
    SweepMeasurement,
    SweepReport,
    SweepRequest,
    run_sweep,
)
from depthprune.engine.options import Workers
from depthprune.report.documents.sweep import (
    known_latency,
    sweep_file_name,
    sweep_file_value,
    sweep_summary_value,
)
from depthprune.report.formatting import as_text
from depthprune.report.render.text import sections_parts
from depthprune.report.sections.sweep import failure_lines, sweep_sections
from depthprune.strategies.configurations import (
    Configuration,
    check_counts,
    choose_configurations,
)
from depthprune.strategies.model import OpenModel
from depthprune.study import ModelRecord
from depthprune.tasks.task import TaskSplit
from depthprune.workflow.measuring import check_measurable
from depthprune.workflow.models import Model, as_model
from depthprune.workflow.scores import Scores, select
from depthprune.workflow.studies import Table

if TYPE_CHECKING:
    from torch import nn

SWEEP = "sweep"
"""The folder inside a study for the files of its sweep."""


SUMMARY = "sweep_summary"


FIGURE = "pareto_accuracy_latency.png"


DPI = 200


@dataclass
class SweepFindings:
    """What was found so far, and the folder that it is written into task by task."""

    folder: Path
    model: ModelRecord
    recommended: Mapping[int, Removal]
    source: str
    points: list[SweepPoint] = field(default_factory=list)

    def add(self, measured: Sequence[SweepMeasurement]) -> None:
        """Take the configurations of one task, and write their files."""
        points = compare_points(
            [
                sweep_point(
                    one.split,
                    self.model,
                    one.baseline,
                    one.measurement,
                    one.latency,
                    self._recommended(one.configuration.num_active),
                )
                for one in measured
            ]
        )
        with together():
            for point, one in zip(points, measured, strict=True):
                write_json(
                    self.folder / sweep_file_name(point.split.task, point.num_active),
                    sweep_file_value(point, one, self.model, self.source),
                )
        self.points += points

    def write(self, failures: Sequence[Failure]) -> None:
        """Write the table of all tasks and the figure; where matplotlib is missing, the table."""
        if not self.points:
            return
        figure, missing = b"", None
        try:
            from depthprune.report.figures import figure_bytes
            from depthprune.report.figures.tradeoffs import pareto_accuracy_latency

            figure = figure_bytes(pareto_accuracy_latency(self.points), dpi=DPI)
        except (ModuleNotFoundError, MissingDependencyError) as error:
            missing = error
        with language("en"):
            parts = [*sections_parts(sweep_sections(self.points)), *failure_lines(failures)]
            # Tables put their cells into words when they are rendered.
            text = as_text(parts)
        with together():
            write_json(self.folder / f"{SUMMARY}.json", self.value(failures))
            write_text(self.folder / f"{SUMMARY}.txt", text)
            if missing is None:
                write_bytes(self.folder / FIGURE, figure)
        if missing is not None:
            raise missing

    def value(self, failures: Sequence[Failure]) -> dict[str, Any]:
        """Return the table as plain JSON data."""
        told = {
            one.task + ("" if one.num_active is None else f" blocks{one.num_active}"): str(
                one.error
            )
            for one in failures
        }
        return sweep_summary_value(self.points, told, self.source)

    def _recommended(self, num_active: int) -> Removal | None:
        return () if num_active == self.model.num_blocks else self.recommended.get(num_active)


def sweep_and_write(
    request: SweepRequest,
    model: OpenModel,
    splits: Sequence[TaskSplit],
    configurations: Sequence[Configuration],
    found: SweepFindings,
    missing: Sequence[Failure] = (),
) -> tuple[SweepReport, str | None]:
    """Measure what is missing of a sweep, and write its files, also when it is interrupted.

    Returns:
        What was done, and the package whose absence kept the figure from being drawn, if any.
    """
    report = SweepReport(failures=tuple(missing))
    try:
        report += run_sweep(
            request,
            model,
            splits,
            configurations,
            known=partial(known_latency, found.folder),
            on_task=found.add,
        )
    except BaseException:
        # What stopped it is what the user must hear of, not that a file failed too.
        with suppress(DepthpruneError, ModuleNotFoundError):
            found.write(report.failures)
        raise
    try:
        found.write(report.failures)
    except (ModuleNotFoundError, MissingDependencyError) as error:
        if "matplotlib" not in str(error):
            raise
        return report, "matplotlib"
    return report, None


POINT_COLUMNS = (
    *("active", "removal", "dataset", "split", "n", "accuracy", "drop", "low", "high"),
    *("milliseconds", "speedup", "tokens_per_second", "peak_bytes", "dominated"),
)


def points_table(points: Iterable[SweepPoint]) -> Table:
    """Return a row for each number of active blocks on each task, see `sweep`."""
    rows = [
        (
            one.num_active,
            one.removal,
            one.split.task,
            one.split.split,
            one.num_samples,
            one.accuracy,
            one.drop,
            None if one.drop_interval is None else one.drop_interval.low,
            None if one.drop_interval is None else one.drop_interval.high,
            one.times.total.mean,
            one.speedup,
            one.tokens_per_second,
            one.peak_memory,
            one.dominated,
        )
        for one in points
    ]
    return Table(POINT_COLUMNS, tuple(rows))


def sweep(
    model: Model | str | Path | nn.Module,
    tasks: Sequence[TaskSplit],
    *,
    folder: str | Path,
    num_active_blocks: Sequence[int] = (),
    scores: Scores | Mapping[int, float] | str | Path | None = None,
    removals: Sequence[Iterable[int]] | None = None,
    protect: Collection[int] | None = None,
    times: LatencyOptions = LatencyOptions(),  # noqa: B008 - frozen
    seed: int = 0,
    workers: Workers | int | str | None = None,
    progress: bool = True,
) -> Table:
    """Measure accuracy, with intervals, and latency by stage for several numbers of blocks.

    Accuracies go into the study, times and a figure into its folder `sweep`; the same call goes on
    after an interruption, and nothing is measured twice.

    Args:
        model: from `load_model`, or what that takes.
        tasks: samples, of one split, from `load_tasks`.
        folder: of the study; made if missing.
        num_active_blocks: how many blocks stay, e.g. `[12, 14, 16]`; all is the unpruned model.
        scores: by which blocks go, the lowest first, see `select`.
        removals: the blocks that go, instead of numbers of blocks and scores. Without either, the
            path that the study in the folder recommends.
        protect: with scores: blocks that stay; None keeps the first and the last.
        times: how times are measured.
        seed: with which the samples were chosen; only kept.
        workers: that share the samples, see `search`.
        progress: show a bar.

    Returns:
        The columns: `active`, `removal`, `dataset`, `split`, `n`, `accuracy`, `drop`, `low`, `high`
        (fractions), `milliseconds` (mean total time of a sample), `speedup` (over the whole model,
        where that is among them), `tokens_per_second`, `peak_bytes`, `dominated` (another one is as
        accurate and as fast).

    Raises:
        DepthpruneError: what was given does not fit the model, or something could not be measured;
            the rest is kept.
        MissingDependencyError: the figure needs matplotlib; all else is written.
    """
    loaded = as_model(model, workers)
    check_measurable(loaded, tasks)
    splits = {one.split for one in tasks}
    if len(splits) != 1:
        raise DepthpruneError(
            f"a sweep is on one split, not on {', '.join(sorted(splits))}",
            option="tasks",
            mend="load the tasks with one split; train+validation is one of both together",
        )
    place, record = Path(folder), loaded.record
    if removals is not None:
        gone = [check_removal(make_removal(one), record.num_blocks) for one in removals]
        chosen = [Configuration(record.num_blocks - len(one), one) for one in dict.fromkeys(gone)]
    elif scores is not None:
        numbers = check_counts(num_active_blocks, record.num_blocks)
        chosen = [Configuration(n, select(scores, n, protect=protect)) for n in numbers]
    else:
        known = study_recommendation(place, record, None)
        chosen = choose_configurations(known, num_active_blocks, record.num_blocks, str(place))
    source = "the removals given" if removals is not None else str(scores or place)
    found = SweepFindings(place / SWEEP, record, recommended_so_far(place, record), source)
    request = SweepRequest(
        model=loaded.options,
        tasks=tuple(one.task for one in tasks),
        split=splits.pop(),
        folder=place,
        num_samples=max(len(one.samples) for one in tasks),
        seed=seed,
        latency=times,
    )
    with shown(progress):
        report, lacking = sweep_and_write(request, loaded, tasks, chosen, found)
    if report.failures:
        raise unfinished(report.failures)
    if lacking is not None:
        raise MissingDependencyError(
            f"{FIGURE} was not drawn: it needs {lacking}", mend="pip install 'depthprune[report]'"
        )
    return points_table(found.points)


def recommended_so_far(
    folder: Path, model: ModelRecord, min_drop: float | None = None
) -> dict[int, Removal]:
    """Return what `study_recommendation` does; nothing where there is nothing yet."""
    try:
        return study_recommendation(folder, model, min_drop)
    except DepthpruneError:
        # A sweep may be the first thing that is done in a folder.
        return {}


def report_value(report: SweepReport) -> dict[str, Any]:
    """Return how much was measured now, as plain JSON data."""
    return {
        "measured": report.measured,
        "reused": report.reused,
        "timed": report.timed,
        "kept": report.kept,
    }


def unfinished(failures: Sequence[Failure]) -> DepthpruneError:
    """Return the error that ends a run in which something could not be measured."""
    first = failures[0]
    others = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
    return DepthpruneError(
        f"not everything could be measured: {first.task}: {first.error.what}{others}; what was "
        "measured is kept",
        where=first.error.where,
        mend=first.error.mend,
        option=first.error.option,
    )


def study_recommendation(
    folder: Path, model: ModelRecord, min_drop: float | None
) -> dict[int, Removal]:
    """Return the stepwise path that a study recommends, by number of active blocks.

    As far as every step was chosen from several removals of its size: what a sweep itself has
    measured is no recommendation because nothing else was.

    Raises:
        DepthpruneError: there is no study, it is of another model, or nothing can be recommended.
    """
    try:
        results = read_result_set(folder)
        found = analyze_results(results, options.Ranking(min_drop=min_drop)).recommendations
    except (FileError, StudyError, AnalysisError, LayoutError) as error:
        raise DepthpruneError(
            f"nothing says which blocks stay, and the study recommends nothing: {error.what}",
            where=str(folder),
            mend=_way_out(),
        ) from error
    if results.num_blocks != model.num_blocks:
        raise DepthpruneError(
            f"the study is of a model of {counted(results.num_blocks, 'block')}, this one has "
            f"{model.num_blocks}",
            where=str(folder),
            mend=f"name the study of this model ({option('output')})",
        )
    removals = [step.combination.removal for step in found.stepwise.steps]
    chosen = takewhile(lambda removal: _num_compared(found.independent[len(removal)]) > 1, removals)
    removals = list(chosen)
    if not removals:
        raise DepthpruneError(
            "nothing says which blocks stay, and what the study has measured gives no path",
            where=str(folder),
            mend=_way_out(),
        )
    return {model.num_blocks - len(removal): removal for removal in removals}


def _num_compared(ranking: RankedCombinations) -> int:
    return len(ranking.combinations) + ranking.low_coverage + ranking.improving


def _way_out() -> str:
    """Return how a user says which blocks stay."""
    files = ("importance_scores_file", "recommendation", "block_configs")
    first, second, third = map(option, files)
    return f"measure with `depthprune search` first, or give {first}, {second} or {third}"
