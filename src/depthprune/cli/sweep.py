"""`depthprune sweep`: what models of fewer blocks score, and how long they take."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from depthprune.analysis.sweep import SweepPoint, compare_points, sweep_point
from depthprune.base.errors import DepthpruneError
from depthprune.base.files import write_bytes, write_json, write_text
from depthprune.base.language import language, set_language, t
from depthprune.base.log import logger
from depthprune.base.removal import Removal
from depthprune.cli.flags import with_flags
from depthprune.cli.measure import AsJson, Model, Output
from depthprune.cli.options import Language, study_folder
from depthprune.cli.recommend import show_wrapped
from depthprune.cli.sweep_blocks import BlockFlags, read_source
from depthprune.engine.options import ModelOptions
from depthprune.report.documents.sweep import (
    known_latency,
    sweep_file_name,
    sweep_file_value,
    sweep_summary_value,
)
from depthprune.report.sweep import failure_lines, report_lines, sweep_parts
from depthprune.report.tables import as_text
from depthprune.strategies.model import model_source, open_model
from depthprune.strategies.sweep import (
    Failure,
    Measured,
    SweepReport,
    SweepRequest,
    load_sweep_splits,
    run_sweep,
)
from depthprune.strategies.sweep_options import SweepOptions
from depthprune.study import ModelRecord
from depthprune.tasks.options import DataOptions

SWEEP = "sweep"
"""The folder inside a study for the files of its sweep."""

SUMMARY = "sweep_summary"
FIGURE = "pareto_accuracy_latency.png"
DPI = 200


@with_flags
def sweep(
    model: Model,
    *,
    output: Output = None,
    json: AsJson = False,
    lang: Language = "en",
    run: ModelOptions = ModelOptions(),
    data: DataOptions = DataOptions(),
    blocks: BlockFlags = BlockFlags(),
    times: SweepOptions = SweepOptions(),
) -> None:
    """Measure models of fewer blocks: accuracy with intervals, and the time of every stage.

    Accuracies go into the study and are never measured twice. For each task and number of active
    blocks it writes sweep/TASK_blocksN.json into the study's folder, beside them a table and a
    figure of accuracy against latency. Run it again to go on after an interruption. Exit code 2:
    something could not be measured; the rest is kept.

    For example:

        depthprune sweep ./model --task okvqa text_vqa --num_active_blocks 12 14 16
        depthprune sweep ./model --task okvqa --num_active_blocks 12 16 \\
            --importance_scores_file merged.json
        depthprune sweep ./model --task okvqa --block_configs block_configs_for_core_exp.json
        depthprune sweep ./model --task okvqa --num_active_blocks 14 16 --profile h100

    """
    set_language(lang)
    folder = study_folder(output, model)
    request = _request(model, folder, run, data, times)
    source = read_source(blocks, folder)
    splits, missing = load_sweep_splits(request)
    opened = open_model(request.model, request.tasks)
    record = opened.record
    configurations = source.configurations(record)
    found = SweepFindings(folder / SWEEP, record, source.recommended(record), source.name)
    report = SweepReport(failures=tuple(missing))
    try:
        report += run_sweep(
            request,
            opened,
            splits,
            configurations,
            known=partial(known_latency, folder / SWEEP),
            on_task=found.add,
        )
    except BaseException:
        # What stopped it is what the user must hear of, not that a file failed too.
        with suppress(DepthpruneError, ModuleNotFoundError):
            found.write(report.failures)
        raise
    try:
        found.write(report.failures)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "matplotlib":
            raise
        logger.warning(
            "no figure was drawn: it needs matplotlib (pip install 'depthprune[report]')"
        )
    if json:
        print(json_module.dumps(found.value(report.failures) | report_value(report), indent=1))
    else:
        parts: list[RenderableType] = [
            t("Blocks from: {source}").format(source=source.name),
            "",
            *sweep_parts(found.points),
            "",
            *failure_lines(report.failures),
            *report_lines(report),
            t("Files:   {place}").format(place=folder / SWEEP),
            t("Table:   {place}").format(place=folder / SWEEP / f"{SUMMARY}.txt"),
            t("Figure:  {place}").format(place=folder / SWEEP / FIGURE),
        ]
        show_wrapped(parts)
    if report.failures:
        raise unfinished(report.failures)


@dataclass
class SweepFindings:
    """What was found so far, and the folder that it is written into task by task."""

    folder: Path
    model: ModelRecord
    recommended: Mapping[int, Removal]
    source: str
    points: list[SweepPoint] = field(default_factory=list)

    def add(self, measured: Sequence[Measured]) -> None:
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
        for point, one in zip(points, measured, strict=True):
            write_json(
                self.folder / sweep_file_name(point.split.task, point.num_active),
                sweep_file_value(point, one, self.model, self.source),
            )
        self.points += points

    def write(self, failures: Sequence[Failure]) -> None:
        """Write the table of all tasks, and then the figure, which needs matplotlib."""
        if not self.points:
            return
        from depthprune.report.figures import figure_bytes
        from depthprune.report.figures.pareto import pareto_accuracy_latency

        write_json(self.folder / f"{SUMMARY}.json", self.value(failures))
        with language("en"):
            parts = [*sweep_parts(self.points), *failure_lines(failures)]
        write_text(self.folder / f"{SUMMARY}.txt", as_text(parts))
        figure = pareto_accuracy_latency(self.points)
        write_bytes(self.folder / FIGURE, figure_bytes(figure, dpi=DPI))

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


def _request(
    model: str, folder: Path, run: ModelOptions, data: DataOptions, times: SweepOptions
) -> SweepRequest:
    if len(data.splits) != 1:
        raise DepthpruneError(
            f"a sweep is on one split, not on {len(data.splits)}",
            option="splits",
            mend="name one; train+validation is one of both together",
        )
    return SweepRequest(
        model=model_source(model, times.run(run), download=data.download),
        tasks=data.find_tasks(model),
        split=data.splits[0],
        folder=folder,
        num_samples=data.samples,
        seed=data.seed,
        latency=times,
        remeasure_latency=times.remeasure_latency,
        max_memory=times.memory(run),
        data=data,
    )


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
