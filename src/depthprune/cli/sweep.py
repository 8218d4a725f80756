"""`depthprune sweep`: what models of fewer blocks score, and how long they take."""

from __future__ import annotations

import json as json_module
from pathlib import Path

from rich.console import RenderableType

from depthprune.base.errors import DepthpruneError
from depthprune.base.language import set_language, t
from depthprune.base.log import logger
from depthprune.benchmark.sweep import (
    SweepOptions,
    SweepRequest,
    load_sweep_splits,
)
from depthprune.cli.flags import with_flags
from depthprune.cli.measure import AsJson, Model, Output
from depthprune.cli.options import Language
from depthprune.cli.output import show_wrapped
from depthprune.cli.sweep_blocks import BlockFlags, read_source
from depthprune.engine.options import ModelOptions
from depthprune.report.sections.sweep import failure_lines, report_lines, sweep_parts
from depthprune.strategies.model import model_source, open_model
from depthprune.tasks.options import DataOptions
from depthprune.workflow.decisions import EXTRA
from depthprune.workflow.measuring import study_folder
from depthprune.workflow.sweeping import (
    FIGURE,
    SUMMARY,
    SWEEP,
    SweepFindings,
    report_value,
    sweep_and_write,
    unfinished,
)


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
    report, lacking = sweep_and_write(request, opened, splits, configurations, found, missing)
    if lacking is not None:
        logger.warning(
            "no figure was drawn: it needs %s (pip install 'depthprune[%s]')", lacking, EXTRA
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
