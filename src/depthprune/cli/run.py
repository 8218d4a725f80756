"""`depthprune run`: everything that a study file asks for, in one go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from depthprune.base.language import Lang, set_language
from depthprune.cli.analyze import FOLDER
from depthprune.cli.cut import NOT_VERIFIED
from depthprune.cli.measure import AsJson
from depthprune.cli.stages.analyze import Decision, analyze, parameters
from depthprune.cli.stages.cut import check_cut, cut
from depthprune.cli.stages.evaluate import cut_card, evaluate
from depthprune.cli.stages.measure import measure
from depthprune.cli.stages.sweep import check_sweep, sweep
from depthprune.cli.stages.transcript import Transcript
from depthprune.cli.study_file import StudyFile, read_study_file
from depthprune.cli.sweep import unfinished
from depthprune.engine.card.measure import CardOptions
from depthprune.report.documents.pictures import PAGE
from depthprune.report.run import Ending, ending_parts, ending_value, is_exact
from depthprune.strategies.pipeline import ReadySearch, get_ready
from depthprune.strategies.sweep import Failure


def run(
    study_file: Path,
    *,
    output: Annotated[
        Path | None, Parameter(name=("--output", "--output-dir"), help="Another folder.")
    ] = None,
    num_samples: int | None = None,
    allow_weak_baseline: bool = False,
    json: AsJson = False,
    lang: Annotated[Lang | None, Parameter(name="--lang", help="Another language.")] = None,
) -> None:
    """Do what a study file says, from measuring the blocks to the smaller model.

    Profile, compare and merge, search, analyze, sweep, cut, and evaluate the cut model: the stages
    that the file has a section for. `depthprune init` writes a file with every field explained. Run
    it again to go on after an interruption: nothing is measured twice.

    For example:

        depthprune init study.yaml
        depthprune run study.yaml
        depthprune run study.yaml --num-samples 16 --output a-quick-try

    Parameters
    ----------
    num_samples
        Other than the file says; 0 means all.
    allow_weak_baseline
        Go on where the whole model's answers are no basis for drops.

    """
    study = read_study_file(study_file)
    run_study(
        study,
        output=output,
        num_samples=num_samples,
        allow_weak_baseline=allow_weak_baseline,
        as_json=json,
        lang=lang,
    )


def run_study(
    study: StudyFile,
    *,
    output: Path | None = None,
    num_samples: int | None = None,
    allow_weak_baseline: bool = False,
    as_json: bool = False,
    lang: Lang | None = None,
) -> None:
    """Run the stages that a study file asks for; each is printed as soon as it is done.

    Args:
        study: the file.
        output: a folder instead of the one in the file.
        num_samples: instead of the number in the file; 0 means all.
        allow_weak_baseline: allow it, whatever the file says.
        as_json: print one JSON object in the end, with a value for each stage.
        lang: instead of the language in the file.
    """
    set_language(lang or study.content.lang)
    content = study.content
    requests = study.requests(output, num_samples)
    if allow_weak_baseline:
        requests = {n: replace(one, allow_weak_baseline=True) for n, one in requests.items()}
    card = None if content.evaluate is None else cut_card(study, content.evaluate)
    # All stages: what cannot be is refused before hours of measuring, not after them.
    with study.about():
        ready = get_ready(list(requests.values()))
    last = ready[-1]
    folder = last.request.folder
    if content.sweep is not None:
        check_sweep(study, content.sweep, last)
    if content.cut is not None:
        check_cut(study, content.cut, last)
    transcript = Transcript(folder, as_json=as_json)
    outcomes = [
        # The first stage checks the baselines of all, so that nothing is measured in vain.
        measure(study, name, one, () if number else ready, transcript)
        for number, (name, one) in enumerate(zip(requests, ready, strict=True))
    ]
    if content.analyze is not None:
        decision = analyze(study, content.analyze, outcomes, transcript)
        _carry_out(study, ready, decision, card, transcript)
    transcript.close()


def _carry_out(
    study: StudyFile,
    ready: list[ReadySearch],
    decision: Decision,
    card: CardOptions | None,
    transcript: Transcript,
) -> None:
    """Do what follows from an analysis: sweep, cut, evaluate, and tell how it ends.

    Raises:
        DepthpruneError: something could not be measured or written; all else was.
        SystemExit: the cut model does not answer as was measured, or lacks a metric.
    """
    content, last, choice = study.content, ready[-1], decision.choice
    request = last.request
    analysed = decision.analysis.results.splits.items()
    splits = [
        split
        for split in {one.fingerprint: one for each in ready for one in each.splits}.values()
        if (split.task.name, split.split) in analysed
    ]
    ending = Ending(
        recommendations=decision.analysis.recommendations,
        choice=choice,
        page=request.folder / FOLDER / PAGE if decision.has_page else None,
        parameters=parameters(decision),
    )
    failures: tuple[Failure, ...] = ()
    if content.sweep is not None:
        swept = sweep(content.sweep, last, splits, decision, transcript)
        ending, failures = replace(ending, speedup=swept.speedup), swept.failures
    falls_short = False
    if content.cut is not None and choice is not None:
        removal = choice.combination.removal
        made = cut(study, content.cut, last, removal, transcript)
        ending = replace(ending, cut=made.output, loader=made.loader)
        falls_short = made.verified is not None and not made.verified.agrees
        if content.evaluate is not None:
            # The whole model makes room for the smaller one.
            del last
            ready.clear()
            found = evaluate(card, request, splits, removal, made.output, transcript)
            ending = replace(ending, checks=found.checks)
            falls_short |= is_exact(found.checks) and any(one.differing for one in found.checks)
            falls_short |= not found.is_whole
    transcript.tell(ending_parts(ending), {"end": ending_value(ending)})
    if failures:
        raise unfinished(failures)
    if falls_short:
        transcript.close()
        raise SystemExit(NOT_VERIFIED)
