"""Everything that a study file asks for: measure, verify, analyze, sweep, cut, evaluate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from depthprune.analysis.findings import Analysis
from depthprune.analysis.sweep import mean_speedup
from depthprune.analysis.verified import Choice
from depthprune.base.language import Lang, language
from depthprune.base.progress import shown
from depthprune.base.removal import Removal
from depthprune.benchmark.forecast import Forecast, forecast
from depthprune.benchmark.options import BenchmarkPlan
from depthprune.benchmark.sweep import Failure
from depthprune.checkpoint.folder import source_folder, weight_files
from depthprune.cutting.verify import LogitComparison
from depthprune.engine.options import Workers
from depthprune.report.documents import PAGE
from depthprune.report.render.text import section_parts
from depthprune.report.sections.run import Ending, ending_section, ending_value, is_exact
from depthprune.strategies.pipeline import ReadySearch, SearchOutcome, SearchRequest, get_ready
from depthprune.strategies.verification import CutCheck
from depthprune.workflow.decisions import FOLDER, Findings, Recommendation, as_findings
from depthprune.workflow.models import as_workers
from depthprune.workflow.outcome import places
from depthprune.workflow.run_make import check_cut, check_sweep, cut, cut_card, evaluate, sweep
from depthprune.workflow.run_measure import ProgressReport, Show, analyze, measure
from depthprune.workflow.run_measure import verify as verify_stage
from depthprune.workflow.studies import Study, Table
from depthprune.workflow.study_file import StudyFile, read_study_file
from depthprune.workflow.sweeping import points_table
from depthprune.workflow.verifying import Announce, fresh_number


@dataclass(frozen=True)
class Outcome:
    """What a study file led to; None for what it did not ask for.

    Attributes:
        study: what was measured.
        value: all of it as plain data, by the name of the stage.
        findings: of the stage `analyze`.
        chosen: the removal that was carried out; None also where nothing is recommended.
        sweep: accuracy and times of the recommended removals, see `sweep`.
        cut: the folder of the smaller model.
        verification: how its logits compare with skipping.
        checks: how it answered the tasks, against skipping: a row for each.
        failures: what a sweep could not measure; the rest was.
        falls_short: whether the smaller model does not answer as was measured, or lacks a metric.
    """

    study: Study
    value: Mapping[str, Any] = field(repr=False)
    findings: Findings | None = field(default=None, repr=False)
    chosen: Recommendation | None = None
    sweep: Table | None = field(default=None, repr=False)
    cut: Path | None = None
    verification: LogitComparison | None = None
    checks: Table | None = field(default=None, repr=False)
    failures: tuple[Failure, ...] = ()
    falls_short: bool = False

    @property
    def folder(self) -> Path:
        """The folder of the study, with all files."""
        return self.study.folder


def run(
    study_file: str | Path,
    *,
    output: str | Path | None = None,
    num_samples: int | None = None,
    allow_weak_baseline: bool = False,
    verify: bool | int | None = None,
    workers: Workers | int | str | None = None,
    lang: Lang | None = None,
    progress: bool = True,
) -> Outcome:
    """Run a study file: all stages, from measuring the blocks to writing the smaller model.

    The same files are written as by `depthprune run`. Run it again to go on after an interruption:
    nothing is measured twice.

    Args:
        study_file: a YAML file, see docs/study-file.md.
        output: a folder of the study instead of the one in the file.
        num_samples: instead of the number in the file; 0 means all.
        allow_weak_baseline: go on where the whole model's answers are no basis for drops.
        verify: whether what is recommended is measured again on fresh samples, or on how many of
            each dataset, whatever the file says.
        workers: that share the samples, see `search`; what is not given is as in the file.
        lang: of the reports, en or zh, instead of the one in the file.
        progress: show bars.

    Raises:
        StudyFileError: the file cannot be read, or a field is wrong; names its line.
        DepthpruneError: with what is wrong; what was measured is kept.
    """
    study = read_study_file(Path(study_file))
    with language(lang or study.content.lang), shown(progress):
        return run_study(
            study,
            output=None if output is None else Path(output),
            num_samples=num_samples,
            allow_weak_baseline=allow_weak_baseline,
            verify=verify,
            workers=as_workers(workers),
        )


def run_study(
    study: StudyFile,
    *,
    output: Path | None = None,
    num_samples: int | None = None,
    allow_weak_baseline: bool = False,
    verify: bool | int | None = None,
    workers: Workers = Workers(),
    show: Show | None = None,
    announce: Announce | None = None,
) -> Outcome:
    """Run the stages that a study file asks for; each is shown as soon as it is done.

    Args:
        study: the file.
        output: a folder instead of the one in the file.
        num_samples: instead of the number in the file; 0 means all.
        allow_weak_baseline: allow it, whatever the file says.
        verify: instead of what the file says, see `run`.
        workers: what is not as usual in these is instead of what the file says.
        show: shows what a stage found.
        announce: is told what verifying will take, before it begins.

    Raises:
        DepthpruneError: with what is wrong; what was measured is kept.
    """
    content = study.content
    verifies = content.verify if verify is None else verify
    num_fresh = fresh_number(verifies)
    requests, ready, card = _checked(study, output, num_samples, allow_weak_baseline, workers)
    last = ready[-1]
    progress_report = ProgressReport(last.request.folder, show)
    outcomes = [
        # The first stage checks the baselines of all, so that nothing is measured in vain.
        measure(study, name, one, () if number else ready, progress_report)
        for number, (name, one) in enumerate(zip(requests, ready, strict=True))
    ]
    outcome = Outcome(_measured(outcomes, ready), progress_report.value)
    if content.analyze is None:
        return outcome
    if verifies is not False:
        verify_stage(study, num_fresh, ready, outcomes, progress_report, announce)
    analysis, choice = analyze(study, content.analyze, outcomes, progress_report)
    outcome = replace(
        outcome, findings=as_findings(analysis), chosen=_recommendation(analysis, choice)
    )
    return _carry_out(study, ready, analysis, choice, card, progress_report, outcome)


def predict_work(
    study: StudyFile,
    *,
    output: Path | None = None,
    num_samples: int | None = None,
    estimate: bool = False,
) -> Forecast:
    """Return what a study file would measure, after the checks with which `run_study` begins.

    Args:
        study: the file.
        output: a folder instead of the one in the file.
        num_samples: instead of the number in the file; 0 means all.
        estimate: answer a few samples, to know a pace.

    Raises:
        DepthpruneError: with all that is wrong.
    """
    _, ready, _ = _checked(study, output, num_samples, False)
    cut_bytes = None
    if study.content.cut is not None:
        options = ready[-1].request.model
        source = source_folder(options.source, revision=options.revision, download=options.download)
        cut_bytes = sum(path.stat().st_size for path in weight_files(source))
    uncounted = ("verify",) if study.content.verify else ()
    return forecast(ready, estimate=estimate, cut_bytes=cut_bytes, uncounted=uncounted)


def _checked(
    study: StudyFile,
    output: Path | None,
    num_samples: int | None,
    allow_weak_baseline: bool,
    workers: Workers = Workers(),
) -> tuple[dict[str, SearchRequest], list[ReadySearch], BenchmarkPlan | None]:
    """Return what a study file asks for, ready: what cannot be is refused before the hours."""
    content = study.content
    requests = study.requests(output, num_samples, workers)
    if allow_weak_baseline:
        requests = {n: replace(one, allow_weak_baseline=True) for n, one in requests.items()}
    card = None if content.evaluate is None else cut_card(study, content.evaluate)
    with study.about():
        ready = get_ready(list(requests.values()))
    if content.sweep is not None:
        check_sweep(study, content.sweep, ready[-1])
    if content.cut is not None:
        check_cut(study, content.cut, ready[-1])
    return requests, ready, card


def _carry_out(
    study: StudyFile,
    ready: list[ReadySearch],
    analysis: Analysis,
    choice: Choice | None,
    card: BenchmarkPlan | None,
    progress_report: ProgressReport,
    outcome: Outcome,
) -> Outcome:
    """Do what follows from an analysis: sweep, cut, evaluate, and tell how it ends.

    Raises:
        DepthpruneError: something could not be measured or written; all else was.
    """
    content, last, found = study.content, ready[-1], analysis.recommendations
    request = last.request
    removal = None if choice is None else choice.combination.removal
    analyzed = analysis.results.splits.items()
    splits = [
        split
        for split in {one.fingerprint: one for each in ready for one in each.splits}.values()
        if (split.task.name, split.split) in analyzed
    ]
    page = request.folder / FOLDER / PAGE
    ending = Ending(
        recommendations=found,
        choice=choice,
        page=page if page.is_file() else None,
        parameters=_parameters(analysis, removal),
    )
    if content.sweep is not None:
        points, failures = sweep(content.sweep, last, splits, found, choice, progress_report)
        speedup = None if removal is None else mean_speedup(points, removal)
        ending = replace(ending, speedup=speedup)
        outcome = replace(outcome, sweep=points_table(points), failures=failures)
    if content.cut is not None and removal is not None:
        output, plan, verified = cut(study, content.cut, last, removal, progress_report)
        ending = replace(ending, cut=output, loader=plan.loader.name)
        falls_short = verified is not None and not verified.agrees
        if content.evaluate is not None:
            # The whole model makes room for the smaller one.
            if last.model.pool is not None:
                last.model.pool.close()
            del last
            ready.clear()
            checks, is_whole = evaluate(card, request, splits, removal, output, progress_report)
            ending = replace(ending, checks=checks)
            falls_short |= is_exact(checks) and any(one.differing for one in checks)
            falls_short |= not is_whole
            outcome = replace(outcome, checks=_checks_table(checks))
        outcome = replace(outcome, cut=output, verification=verified, falls_short=falls_short)
    closing = ["", *places(request.folder)]
    parts = section_parts(ending_section(ending))
    progress_report.tell(parts, {"end": ending_value(ending)}, closing=closing)
    return outcome


def _parameters(analysis: Analysis, removal: Removal | None) -> tuple[int, int] | None:
    """Return the parameters that a removal leaves, and all; None where unknown."""
    results = analysis.results
    if removal is None or results.parameters is None or results.block_parameters is None:
        return None
    gone = sum(results.block_parameters[block] for block in removal)
    return results.parameters - gone, results.parameters


def _measured(outcomes: Sequence[SearchOutcome], ready: Sequence[ReadySearch]) -> Study:
    """Return the study of exactly what was measured now."""
    selection = frozenset((key, one.settings) for one in outcomes for key in one.splits)
    splits = {split.fingerprint: split for one in ready for split in one.splits}
    return Study(outcomes[-1].folder, selection, tuple(splits.values()))


def _recommendation(analysis: Analysis, choice: Choice | None) -> Recommendation | None:
    if choice is None:
        return None
    fresh = analysis.recommendations.on_fresh_samples(choice.combination.removal)
    return Recommendation(choice.rule, choice.combination, fresh)


def _checks_table(checks: Sequence[CutCheck]) -> Table:
    rows = [
        (one.split.task, one.split.split, len(one.split.sample_ids), *accuracies)
        for one in checks
        for accuracies in [(one.cut, one.skipped, one.differing)]
    ]
    return Table(("dataset", "split", "n", "cut", "skipped", "differing"), tuple(rows))
