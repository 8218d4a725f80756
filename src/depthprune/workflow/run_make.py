"""What follows from an analysis in a run: sweep, cut, and evaluate the smaller model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from depthprune.analysis.recommend import Recommended
from depthprune.analysis.sweep import SweepPoint
from depthprune.analysis.verified import Choice, choose_number
from depthprune.base.errors import DepthpruneError, FileError, ModelError, spelled, spelling
from depthprune.base.files import check_can_make, read_json, write_json
from depthprune.base.language import counted, t
from depthprune.base.progress import progress
from depthprune.base.removal import Removal
from depthprune.benchmark.latency import LatencyOptions
from depthprune.benchmark.measure import run_benchmark
from depthprune.benchmark.options import (
    BenchmarkOptions,
    BenchmarkPlan,
    ScoredTasks,
    benchmark_plan,
)
from depthprune.benchmark.sweep import Failure, SweepRequest
from depthprune.checkpoint.fingerprint import model_fingerprint
from depthprune.checkpoint.folder import source_folder, weight_files
from depthprune.cutting.execute import check_disk, check_output, execute_cut
from depthprune.cutting.model_card import PROVENANCE_NAME
from depthprune.cutting.plan import CutPlan, plan_cut
from depthprune.cutting.shards import parse_size
from depthprune.cutting.verify import LogitComparison, verify_cut
from depthprune.report.render.text import section_parts, sections_parts
from depthprune.report.sections.cut import (
    closing_parts,
    closing_value,
    plan_section,
    plan_value,
    verified_line,
)
from depthprune.report.sections.evaluation import error_lines, evaluation_sections
from depthprune.report.sections.run import check_lines, check_table, check_value, done_line
from depthprune.report.sections.sweep import failure_lines, report_lines, sweep_sections
from depthprune.strategies.configurations import Configuration, choose_configurations
from depthprune.strategies.model import open_model
from depthprune.strategies.pipeline import ReadySearch, SearchRequest
from depthprune.strategies.verification import CutCheck, check_cut_model
from depthprune.study.filenames import removal_name
from depthprune.study.store import DATABASE_NAME
from depthprune.tasks.task import TaskSplit
from depthprune.workflow.cutting import cut_command, measured_drops
from depthprune.workflow.decisions import EXTRA
from depthprune.workflow.evaluating import RESULTS
from depthprune.workflow.run_measure import ProgressReport, stage
from depthprune.workflow.study_file import (
    CutSection,
    EvaluateSection,
    StudyFile,
    SweepSection,
    taken,
)
from depthprune.workflow.sweeping import (
    FIGURE,
    SUMMARY,
    SWEEP,
    SweepFindings,
    report_value,
    sweep_and_write,
)


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
    found: Recommended,
    choice: Choice | None,
    progress_report: ProgressReport,
) -> tuple[list[SweepPoint], tuple[Failure, ...]]:
    """Measure the recommended removals on every task, and tell accuracies and times.

    Without numbers in the study file, all that are recommended; the whole model and the removal
    that is carried out are always among them.

    Returns:
        Each configuration on each task, and what could not be measured.
    """
    request = ready.request
    folder = request.folder / SWEEP
    with stage("sweep"):
        recommended = _recommended(found, choice)
        configurations = _configurations(section, recommended, found.num_blocks, choice)
        source = str(request.folder / DATABASE_NAME)
        swept = SweepFindings(folder, ready.model.record, recommended, source)
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
            swept,
        )
        parts: list[RenderableType] = [
            t("Accuracy against time"),
            "",
            *sections_parts(sweep_sections(swept.points, each_task=False)),
            *failure_lines(report.failures),
        ]
        closing = report_lines(report)
        closing.append(t("Table:   {place}").format(place=folder / f"{SUMMARY}.txt"))
        if lacking is None:
            closing.append(t("Figure:  {place}").format(place=folder / FIGURE))
        else:
            note = t("Not written: {kind}. It needs {package}: pip install 'depthprune[{extra}]'")
            closing.append(note.format(kind=FIGURE, package=lacking, extra=EXTRA))
        value = swept.value(report.failures) | report_value(report)
        progress_report.tell(parts, {"sweep": value}, closing=closing)
    return swept.points, report.failures


def _recommended(found: Recommended, choice: Choice | None) -> dict[int, Removal]:
    """Return the recommended removal for each number of active blocks."""
    choices: list[Choice | None] = [choose_number(found, number) for number in found.independent]
    # Comes last: what is carried out is what is measured for its number of blocks.
    choices.append(choice)
    return {
        found.num_blocks - len(one.combination.removal): one.combination.removal
        for one in choices
        if one is not None
    }


def _configurations(
    section: SweepSection,
    recommended: dict[int, Removal],
    num_blocks: int,
    choice: Choice | None,
) -> list[Configuration]:
    counts = section.num_active_blocks
    if counts and choice is not None:
        counts = [*counts, num_blocks - len(choice.combination.removal)]
    if counts:
        counts = [*counts, num_blocks]
    known = {num_blocks: (), **recommended}
    return choose_configurations(
        known, sorted(counts, reverse=True), num_blocks, "sweep.num_active_blocks"
    )


CUT = "cut"
"""The folder inside a study for checkpoints whose place the study file does not say."""


def check_cut(study: StudyFile, section: CutSection, ready: ReadySearch) -> None:
    """Find what would keep a cut from being written, as far as it is known before measuring.

    Raises:
        DepthpruneError: no size of files; more blocks than a search removes; the output holds
            something else; the disk is too small for the smallest model that may come out.
    """
    with study.about("cut", "max_shard_size"):
        parse_size(section.max_shard_size)
    request = ready.request
    options = request.model
    most = request.search.strategy.most_removed(ready.space)
    if section.removed != "recommended" and section.removed > most:
        raise DepthpruneError(
            f"{counted(section.removed, 'block is', 'blocks are')} to be cut out, but no more "
            f"than {most} are "
            "removed "
            "together when measuring",
            where=study.place(("cut", "removed")),
            mend="cut out fewer, or let the search go further by max_blocks_to_remove",
        )
    source = source_folder(options.source, revision=options.revision, download=options.download)
    output = study.cut_output()
    if output is None:
        output = request.folder / CUT
        check_can_make(output)
    else:
        count = None if section.removed == "recommended" else section.removed
        known = _known_cut(output, ready.model.loaded.fingerprint, options.stack)
        if request.folder.resolve().is_relative_to(output.resolve()):
            raise FileError(
                "the smaller model would take the place of the study",
                where=study.place(("cut", "output")),
                mend="choose another folder",
            )
        if known is None or (count is not None and len(known) != count):
            with _in_the_file():
                check_output(source, output, overwrite=section.overwrite)
        check_can_make(output)
    weights = sum(path.stat().st_size for path in weight_files(source))
    # The least that may be left: whole blocks only, and everything else stays.
    check_disk(output, int(weights * (1 - most / ready.model.stack.num_blocks)))


def cut(
    study: StudyFile,
    section: CutSection,
    ready: ReadySearch,
    removal: Removal,
    progress_report: ProgressReport,
) -> tuple[Path, CutPlan, LogitComparison | None]:
    """Write the checkpoint without these blocks, unless it is there already; tell it.

    Returns:
        Its folder, what was planned, and how its logits compare with those of skipping; None where
        that was not asked for.

    Raises:
        FileError: the output holds something else, or there is no room.
    """
    request, options = ready.request, ready.request.model
    name = removal_name(removal)
    given = study.cut_output()
    model = ready.model.record.name.rpartition("/")[2]
    output = request.folder / CUT / f"{model}-removed{name}" if given is None else given
    with stage("cut"):
        plan = plan_cut(
            options.source,
            removal,
            name=options.name,
            part=options.stack,
            max_shard_size=section.max_shard_size,
            trust_remote_code=options.trust_remote_code,
            revision=options.revision,
            download=options.download,
        )
        known = _known_cut(output, ready.model.loaded.fingerprint, options.stack)
        result = None
        parts: list[RenderableType] = [
            t("The smaller model"),
            "",
            *section_parts(plan_section(plan)),
        ]
        if known != removal:
            with progress(f"writing {output.name}", plan.bytes_after) as bar, _in_the_file():
                result = execute_cut(
                    plan,
                    output,
                    # In the study, a checkpoint of this name that is not whole is our own.
                    overwrite=section.overwrite or given is None,
                    on_bytes=bar.advance,
                    drops=measured_drops(request.folder, plan),
                    command=cut_command(study.model, plan, output, section.max_shard_size),
                )
        verified = None
        if section.verify:
            verified = _verified(
                request.folder / f"verification_removed{name}.json",
                output,
                lambda: verify_cut(plan, output, trust_remote_code=options.trust_remote_code),
            )
        if result is None:
            closing = [t("Kept: {path} holds this cut already.").format(path=output)]
        else:
            closing = closing_parts(result, None)
        if verified is not None:
            closing.append(verified_line(verified))
        value = plan_value(plan) | closing_value(output, result, verified)
        progress_report.tell(parts, {"cut": value}, closing=closing)
    return output, plan, verified


@contextmanager
def _in_the_file() -> Iterator[None]:
    """Name the one option of a cut that the study file has as well by its field there."""
    others = spelling()
    with spelled(lambda n, value: "`overwrite: true`" if n == "overwrite" else others(n, value)):
        yield


def _known_cut(output: Path, fingerprint: str, part: str) -> Removal | None:
    """Return the blocks that a whole checkpoint there lacks; None if it is none of this model."""
    try:
        record = read_json(output / PROVENANCE_NAME)
        weight_files(output)
    except (FileError, ModelError):
        return None
    source = record.get("source") if isinstance(record, dict) else None
    if not isinstance(source, dict) or source.get("fingerprint") != fingerprint:
        return None
    removed = record.get("removed")
    return tuple(removed) if isinstance(removed, list) and record.get("part") == part else None


def _verified(record: Path, output: Path, verify: Callable[[], LogitComparison]) -> LogitComparison:
    """Return how a cut was verified, by a record of it where these very files were."""
    fingerprint = model_fingerprint(output)
    try:
        known = read_json(record)
        if known["fingerprint"] == fingerprint:
            return LogitComparison(**known["verification"])
    except (FileError, KeyError, TypeError):
        pass
    verified = verify()
    write_json(record, {"fingerprint": fingerprint, "verification": asdict(verified)})
    return verified


EVALUATION = "evaluation"
"""The folder inside a study for what cut models answer."""


def cut_card(study: StudyFile, section: EvaluateSection) -> BenchmarkPlan | None:
    """Return what is measured of the cut model beyond the tasks; None: nothing.

    Raises:
        DepthpruneError: there is no such text or task.
    """
    if not (section.metrics or section.tasks):
        return None
    data = study.data_options()
    asked = replace(
        taken(section, BenchmarkOptions),
        ppl_texts=tuple(map(study.file_or_name, section.ppl_texts)),
        lm_eval_paths=data.lm_eval_paths,
        download=study.content.download,
    )
    scored = replace(
        taken(section, ScoredTasks),
        data_dir=data.data_dir,
        follow_links=data.follow_links,
        task_files=data.task_files,
    )
    try:
        scored.find(asked)
    except DepthpruneError as error:
        # Not the tasks of the study, whose option has the same name.
        raise error.but(where=study.place(("evaluate", "tasks"))) from error
    with study.about("evaluate", "zeroshot_tasks"):
        return benchmark_plan(asked, study.model_options(), scored)


def evaluate(
    card: BenchmarkPlan | None,
    request: SearchRequest,
    splits: Sequence[TaskSplit],
    removal: Removal,
    cut: Path,
    progress_report: ProgressReport,
) -> tuple[tuple[CutCheck, ...], bool]:
    """Let the cut model answer what the whole one was measured on, and tell how they compare.

    Returns:
        The answers task by task, against skipping, and whether every metric that was asked for
        could be measured.
    """
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
            whole = opened.with_weights()
            outcome = run_benchmark(whole.loaded, whole.stack, card, folder / RESULTS)
            parts += [p for one in evaluation_sections(outcome.content) for p in section_parts(one)]
            parts += error_lines(outcome.failed)
            value["card"] = outcome.content
            closing.append(t("Card: {path}").format(path=outcome.path))
            is_whole = not outcome.failed
        progress_report.tell(parts, {"evaluate": value}, closing=closing)
    return found.checks, is_whole
