"""`depthprune run`: everything that a study file asks for, in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from depthprune.base.language import Lang, set_language
from depthprune.base.terminal import terminal
from depthprune.cli.cut import NOT_VERIFIED
from depthprune.cli.measure import AsJson, DryRun, Estimate
from depthprune.cli.outcome import print_findings, show_forecast
from depthprune.strategies.verification import VerificationWork
from depthprune.workflow import run as workflow
from depthprune.workflow.study_file import StudyFile, read_study_file
from depthprune.workflow.sweeping import unfinished

Verify = Annotated[
    bool | int | None,
    Parameter(
        help="Measure what is recommended again, on samples that were not searched: as many of "
        "each dataset, or so many; by default, where the study file does not say false.",
        negative="--no-verify",
    ),
]


def tell_work(work: VerificationWork) -> None:
    """Tell people what verifying will take; scripts read standard output alone."""
    from depthprune.report.sections.run import work_line

    terminal(stderr=True).print(work_line(work), highlight=False)


def run(
    study_file: Path,
    *,
    output: Annotated[
        Path | None, Parameter(name=("--output", "--output-dir"), help="Another folder.")
    ] = None,
    num_samples: int | None = None,
    allow_weak_baseline: bool = False,
    verify: Verify = None,
    dry_run: DryRun = False,
    estimate: Estimate = False,
    json: AsJson = False,
    lang: Annotated[Lang | None, Parameter(name="--lang", help="Another language.")] = None,
) -> None:
    """Do what a study file says, from measuring the blocks to the smaller model.

    Profile, compare and merge, search, verify, analyze, sweep, cut, and evaluate the cut model: the
    stages that the file has a section for. `depthprune init` writes a file with every field
    explained. Run it again to go on after an interruption: nothing is measured twice.

    For example:

        depthprune init study.yaml
        depthprune run study.yaml --dry-run
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
    if dry_run or estimate:
        set_language(lang or study.content.lang)
        found = workflow.foresee(study, output=output, num_samples=num_samples, estimate=estimate)
        show_forecast(found, as_json=json)
        return
    run_study(
        study,
        output=output,
        num_samples=num_samples,
        allow_weak_baseline=allow_weak_baseline,
        verify=verify,
        as_json=json,
        lang=lang,
    )


def run_study(
    study: StudyFile,
    *,
    output: Path | None = None,
    num_samples: int | None = None,
    allow_weak_baseline: bool = False,
    verify: bool | int | None = None,
    as_json: bool = False,
    lang: Lang | None = None,
) -> None:
    """Run the stages that a study file asks for; each is printed as soon as it is done.

    Args:
        study: the file.
        output: a folder instead of the one in the file.
        num_samples: instead of the number in the file; 0 means all.
        allow_weak_baseline: allow it, whatever the file says.
        verify: instead of what the file says, see `depthprune.run`.
        as_json: print one JSON object in the end, with a value for each stage.
        lang: instead of the language in the file.

    Raises:
        DepthpruneError: something could not be measured or written; all else was.
        SystemExit: the cut model does not answer as was measured, or lacks a metric.
    """
    set_language(lang or study.content.lang)
    outcome = workflow.run_study(
        study,
        output=output,
        num_samples=num_samples,
        allow_weak_baseline=allow_weak_baseline,
        verify=verify,
        announce=tell_work,
        show=None if as_json else lambda parts: print_findings(parts, {}, as_json=False),
    )
    if outcome.failures:
        raise unfinished(outcome.failures)
    if as_json:
        print_findings([], outcome.value, as_json=True)
    if outcome.falls_short:
        raise SystemExit(NOT_VERIFIED)
