"""`depthprune sweep`: what models of fewer blocks score, and how long they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import RenderableType

from depthprune.base.errors import (
    DepthpruneError,
)
from depthprune.base.language import set_language, t
from depthprune.base.log import logger
from depthprune.base.options import Options
from depthprune.base.removal import Removal
from depthprune.benchmark.sweep import (
    SweepOptions,
    SweepRequest,
    load_sweep_splits,
)
from depthprune.cli.flags import AsJson, Language, Model, Output, protected_blocks, with_flags
from depthprune.cli.output import show_json, show_wrapped
from depthprune.engine.options import ModelOptions, Workers
from depthprune.importance.score_files import ScoreFile, find_scores
from depthprune.report.render.text import sections_parts
from depthprune.report.sections.sweep import failure_lines, report_lines, sweep_sections
from depthprune.strategies.block_files import read_block_file
from depthprune.strategies.configurations import (
    Configuration,
    check_counts,
    choose_configurations,
    configurations_from_scores,
    read_configurations,
)
from depthprune.strategies.model import model_source, open_model
from depthprune.study import ModelRecord
from depthprune.study.store import DATABASE_NAME
from depthprune.tasks.options import DataOptions
from depthprune.workflow.decisions import EXTRA
from depthprune.workflow.measuring import study_folder
from depthprune.workflow.sweeping import (
    FIGURE,
    SUMMARY,
    SWEEP,
    SweepFindings,
    recommended_so_far,
    report_value,
    study_recommendation,
    sweep_and_write,
    unfinished,
)


@dataclass(frozen=True)
class BlockFlags(Options):
    """Blocks to keep.

    Without any file, by the stepwise path that the study recommends.
    """

    num_active_blocks: tuple[int, ...] = ()
    """Numbers of blocks to keep, e.g. 12 14 16; the full number is the unpruned model."""

    importance_scores_file: tuple[Path, ...] = ()
    """File of importance scores; blocks with the lowest are removed. Of several, the first that
    exists, else the scores beside it."""

    recommendation: Path | None = None
    """Recommendations written by `recommend --output_file` or `analyze`."""

    block_configs: Path | None = None
    """Blocks for each number of active blocks, in the layout of `select --output_file`."""

    protect: tuple[str, ...] = ()
    """Blocks to keep regardless of their scores (default: the first and the last)."""

    min_drop: float | None = None
    """Minimum mean drop of a ranked combination, as in `recommend` (default: no limit)."""

    @property
    def file(self) -> Path | None:
        """The file that names the blocks themselves."""
        return self.recommendation or self.block_configs


@dataclass(frozen=True)
class BlockSource:
    """What says which blocks go, with the files read as far as no model is needed.

    Attributes:
        flags: what was asked for.
        folder: of the study.
        scores: importance scores, where they decide.
        protected: with them; None: the first and the last.
    """

    flags: BlockFlags
    folder: Path
    scores: ScoreFile | None = None
    protected: Removal | None = None

    @property
    def name(self) -> str:
        """What the blocks are from, for people and files."""
        if self.scores is not None:
            return str(self.scores.path)
        return str(self.flags.file or self.folder / DATABASE_NAME)

    def configurations(self, model: ModelRecord) -> list[Configuration]:
        """Return the blocks that go for each number that is asked for.

        Raises:
            DepthpruneError: what was given does not fit the model, or holds no answer.
        """
        counts = self.flags.num_active_blocks
        if counts:
            # What no source can answer is told before what this one lacks.
            check_counts(counts, model.num_blocks)
        if self.scores is not None:
            return configurations_from_scores(self.scores, counts, self.protected, model)
        if self.flags.file is not None:
            known = read_configurations(self.flags.file, model.num_blocks)
            return choose_configurations(known, counts, model.num_blocks, self.name)
        if counts and set(counts) == {model.num_blocks}:
            return [Configuration(model.num_blocks, ())]
        known = study_recommendation(self.folder, model, self.flags.min_drop)
        return choose_configurations(known, counts, model.num_blocks, self.name)

    def recommended(self, model: ModelRecord) -> Mapping[int, Removal]:
        """Return the removals that are recommended, by number of active blocks; all that is known.

        By the file given as recommendation, else by what the study has measured so far.
        """
        if self.flags.recommendation is not None:
            return read_configurations(self.flags.recommendation, model.num_blocks)
        return recommended_so_far(self.folder, model, self.flags.min_drop)


def read_source(flags: BlockFlags, folder: Path) -> BlockSource:
    """Return what says which blocks go, before any model is loaded.

    Raises:
        DepthpruneError: several things say it, or a file cannot be read.
    """
    files = ("importance_scores_file", "recommendation", "block_configs")
    named = tuple(name for name in files if getattr(flags, name))
    if len(named) > 1:
        raise DepthpruneError(
            "several files say which blocks stay", option=named, mend="give one of them"
        )
    if flags.protect and not flags.importance_scores_file:
        raise DepthpruneError(
            "blocks are protected from a choice by scores, and there are no scores",
            option="protect",
            mend="leave it out, or give --importance_scores_file",
        )
    if flags.file is not None:
        read_block_file(flags.file)
    if not flags.importance_scores_file:
        return BlockSource(flags, folder)
    found = find_scores(flags.importance_scores_file)
    if found.instead_of is not None:
        logger.warning(
            "there is no %s; taking the scores of a single dataset, %s",
            found.instead_of,
            found.path,
        )
    return BlockSource(flags, folder, found, protected_blocks(flags.protect))


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
    workers: Workers = Workers(),
) -> None:
    """Measure accuracy, with intervals, and latency by stage for several numbers of blocks.

    Accuracies are stored in the study and never measured twice. Writes sweep/TASK_blocksN.json into
    the study folder for each task and number of active blocks, with a table and a figure of
    accuracy against latency. After an interruption, run the same command again to resume. Exit code
    2: something could not be measured; all other results are kept.

    For example:

        depthprune sweep ./model --task okvqa text_vqa --num_active_blocks 12 14 16
        depthprune sweep ./model --task okvqa --num_active_blocks 12 16 \\
            --importance_scores_file merged.json
        depthprune sweep ./model --task okvqa --block_configs block_configs_for_core_exp.json
        depthprune sweep ./model --task okvqa --num_active_blocks 14 16 --profile h100

    """
    set_language(lang)
    folder = study_folder(output, model)
    request = _request(model, folder, run, data, times, workers)
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
        show_json(found.value(report.failures) | report_value(report))
    else:
        parts: list[RenderableType] = [
            t("Blocks from: {source}").format(source=source.name),
            "",
            *sections_parts(sweep_sections(found.points)),
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
    model: str,
    folder: Path,
    run: ModelOptions,
    data: DataOptions,
    times: SweepOptions,
    workers: Workers,
) -> SweepRequest:
    if len(data.splits) != 1:
        raise DepthpruneError(
            f"a sweep is on one split, not on {len(data.splits)}",
            option="splits",
            mend="name one; train+validation is one of both together",
        )
    return SweepRequest(
        model=model_source(model, times.run(run), download=data.download, workers=workers),
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
