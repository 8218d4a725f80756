"""`depthprune evaluate`: perplexity, zero-shot accuracy, speed and memory of one model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from depthprune.base.errors import DepthpruneError
from depthprune.base.files import write_text
from depthprune.base.language import set_language, t
from depthprune.base.terminal import terminal
from depthprune.benchmark.compare import compare_evaluations, read_evaluation
from depthprune.benchmark.forecast import forecast_scores
from depthprune.benchmark.measure import BenchmarkOutcome, run_benchmark
from depthprune.benchmark.options import BenchmarkOptions, ScoredTasks, benchmark_plan, listed
from depthprune.benchmark.results_file import check_results_path
from depthprune.cli.flags import AsJson, DryRun, Estimate, Language, with_flags
from depthprune.cli.measure import show_forecast
from depthprune.cli.output import show, show_json, show_wrapped
from depthprune.engine.options import ModelOptions, Workers
from depthprune.report.render.markdown import section_lines
from depthprune.report.render.text import section_parts, sections_parts
from depthprune.report.sections.evaluation import (
    comparison_section,
    comparison_value,
    error_lines,
    evaluation_sections,
)
from depthprune.strategies.model import model_source, open_model
from depthprune.tasks.demo import DEMO
from depthprune.workflow.evaluating import RESULTS

SOME_FAILED = 1
"""The exit code when a part could not be measured; the others are in the file."""


@with_flags
def evaluate(
    model: Annotated[
        str | None,
        Parameter(name=("--model", "--model-path"), help="Model: a folder, a hub name, or demo."),
    ] = None,
    *,
    output: Annotated[
        Path | None,
        Parameter(
            help="File for the results (default: evaluation_results.json), or for the table of "
            "--compare."
        ),
    ] = None,
    overwrite: Annotated[
        bool, Parameter(help="Start over, replacing the results in the file.")
    ] = False,
    compare: Annotated[
        tuple[str, ...],
        Parameter(help="Result files to compare, e.g. base.json,cut.json; nothing is measured."),
    ] = (),
    dry_run: DryRun = False,
    estimate: Estimate = False,
    json: AsJson = False,
    lang: Language = "en",
    run: ModelOptions = ModelOptions(),
    scored: ScoredTasks = ScoredTasks(),
    card: BenchmarkOptions = BenchmarkOptions(),
    workers: Workers = Workers(),
) -> None:
    """Evaluate a model: tasks, perplexity, zero-shot accuracy, speed, memory and parameters.

    Works on unpruned models, on models that `cut` wrote, and with skipped blocks (--remove). All
    inputs are read and checked before anything is measured. Each part is written as soon as it is
    finished; run the same command again to resume. Parts that fail are named, also in the file, and
    the exit code is 1; the other parts are kept.

    For example:

        depthprune evaluate ./model --download
        depthprune evaluate ./model --remove 4,13 --output without_4_13.json
        depthprune evaluate ./cut --task okvqa text_vqa lm_eval:arc_easy
        depthprune evaluate ./model --task okvqa --remove 4,13 --estimate
        depthprune evaluate ./model --metrics ppl,speed --ppl-texts my.txt
        depthprune evaluate ./model --metrics zeroshot --zeroshot-tasks arc_easy mmlu
        depthprune evaluate --compare evaluation_results.json,without_4_13.json
    """
    set_language(lang)
    if compare:
        if model is not None:
            raise DepthpruneError(
                "--compare reads files, and measures no model",
                option="compare",
                mend="leave out the model, or --compare",
            )
        _compare(listed(compare, "compare"), output, as_json=json)
        return
    if model is None:
        raise DepthpruneError(
            "no model was named", mend="name one, or files to --compare: base.json,cut.json"
        )
    path = output or RESULTS
    options = benchmark_plan(card, run, scored)
    if (dry_run or estimate) and not options.scored:
        raise DepthpruneError(
            "only the time of tasks can be estimated, and none is named",
            option="dry_run" if dry_run else "estimate",
            mend="name tasks with --task, or leave it out",
        )
    check_results_path(path, overwrite=overwrite)
    asked = [one.task for one in options.tasks] + [task for task, _ in options.scored]
    source = model_source(model, run, download=card.download, workers=workers)
    opened = open_model(source, asked).with_weights()
    if dry_run or estimate:
        found = forecast_scores(opened, options, path, estimate=estimate)
        show_forecast(found, as_json=json)
        return
    outcome = run_benchmark(
        opened.loaded,
        opened.stack,
        options,
        path,
        name=DEMO if model == DEMO else None,
        overwrite=overwrite,
        evaluator=None if opened.pool is None else opened.answering,
    )
    if json:
        show_json(outcome.content)
    else:
        _show(outcome)
    if outcome.failed:
        raise SystemExit(SOME_FAILED)


def _compare(paths: Sequence[str], output: Path | None, *, as_json: bool) -> None:
    comparison = compare_evaluations([read_evaluation(Path(path)) for path in paths])
    section = comparison_section(comparison)
    if as_json:
        show_json(comparison_value(comparison))
    else:
        show_wrapped(section_parts(section)[1:])
    if output is not None:
        write_text(output, "\n".join(section_lines(section)).lstrip() + "\n")
        terminal(stderr=True, markup=False).print(t("Table: {path}").format(path=output))


def _show(outcome: BenchmarkOutcome) -> None:
    show_wrapped(sections_parts(evaluation_sections(outcome.content), terminal().width)[1:])
    where = t(
        "Results: {path} ({measured} {measured:part|parts} measured now, {reused} there already)",
        path=outcome.path,
        measured=len(outcome.measured),
        reused=len(outcome.reused),
    )
    show([*error_lines(outcome.failed), where])
