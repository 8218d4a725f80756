"""`depthprune profile` and `search`: measure removals, print what was found."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from depthprune.analysis.options import Ranking
from depthprune.base.files import write_text
from depthprune.base.language import set_language
from depthprune.benchmark.forecast import Forecast, forecast
from depthprune.cli.flags import (
    AsJson,
    DryRun,
    Estimate,
    Language,
    Model,
    Output,
    protected_blocks,
    with_flags,
)
from depthprune.cli.output import show, show_json
from depthprune.cli.search_flags import SearchFlags
from depthprune.engine.options import ModelOptions, Workers
from depthprune.report.formatting import as_text
from depthprune.report.render.text import section_parts
from depthprune.report.sections.status import forecast_section, forecast_value
from depthprune.strategies.kinds.exhaustive import Ablation
from depthprune.strategies.options import SearchOptions, cannot
from depthprune.strategies.pipeline import SearchRequest, get_ready, search_model
from depthprune.tasks.options import DataOptions
from depthprune.workflow.measuring import search_request
from depthprune.workflow.outcome import SUMMARY, closing, findings

Protect = Annotated[
    tuple[str, ...],
    Parameter(help="Blocks that are never removed, e.g. 0 15 or 0,15 (default: none)."),
]
MinCoverage = Annotated[
    int, Parameter(help="Minimum number of datasets on which a ranked combination was measured.")
]
MinDrop = Annotated[
    float | None,
    Parameter(help="Minimum mean drop of a ranked combination (default: no limit)."),
]
AllowWeakBaseline = Annotated[
    bool,
    Parameter(help="Continue even if the unpruned model's answers are too poor to measure drops."),
]


@with_flags
def profile(
    model: Model,
    *,
    output: Output = None,
    protect: Protect = (),
    race: Annotated[bool, Parameter(show=False)] = False,  # known, to be refused with the reason
    allow_weak_baseline: AllowWeakBaseline = False,
    dry_run: DryRun = False,
    estimate: Estimate = False,
    json: AsJson = False,
    lang: Language = "en",
    run: ModelOptions = ModelOptions(),
    data: DataOptions = DataOptions(),
    workers: Workers = Workers(),
) -> None:
    """Measure the importance of every block: remove each block alone and evaluate every task.

    Writes layer_importance_scores.json and one sensitivity_block_N.json per block for each task and
    split. If both splits are measured, it also reports how well train and validation agree. After
    an interruption, run the same command again to resume: nothing is measured twice.

    For example:

        depthprune profile demo
        depthprune profile demo --estimate
        depthprune profile Qwen/Qwen2.5-VL-3B-Instruct --task okvqa text_vqa
        depthprune profile ./model --task okvqa --split train validation
    """
    set_language(lang)
    if race:
        raise cannot(Ablation().name, "race")
    kept = frozenset(protected_blocks(protect) or ())
    how = SearchOptions(Ablation(), protect=kept)
    request = search_request(model, output, run, data, how, workers)
    request = replace(request, allow_weak_baseline=allow_weak_baseline)
    _measure(request, Ranking(), dry_run, estimate, json)


@with_flags
def search(
    model: Model,
    *,
    output: Output = None,
    protect: Protect = (),
    min_coverage: MinCoverage = 2,
    min_drop: MinDrop = None,
    allow_weak_baseline: AllowWeakBaseline = False,
    dry_run: DryRun = False,
    estimate: Estimate = False,
    json: AsJson = False,
    lang: Language = "en",
    how: SearchFlags = SearchFlags(),  # noqa: B008 - frozen
    run: ModelOptions = ModelOptions(),
    data: DataOptions = DataOptions(),
    workers: Workers = Workers(),
) -> None:
    """Search for blocks that can be removed together: by default a beam search on each task.

    The first step removes every block alone; each later step extends the best removals by one
    block. Results of `profile` in the same folder and on the same samples are reused. At the end,
    the gain of the search over removing the individually least important blocks is reported.

    For example:

        depthprune search demo
        depthprune search demo --dry-run
        depthprune search ./model --task okvqa text_vqa --beam-width 5
        depthprune search ./model --task okvqa --protect 0 15
        depthprune search ./model --task okvqa doc_qa --joint --task-weights okvqa=2 doc_qa=1
        depthprune search ./model --task okvqa doc_qa --complete 5
        depthprune search ./model --task okvqa --strategy greedy --max-drop 0.05
        depthprune search ./model --task okvqa --strategy evolutionary --warm-start block_influence
        depthprune search ./model --task okvqa --race --race-confidence 0.99
    """
    set_language(lang)
    ranking = Ranking(min_coverage=min_coverage, min_drop=min_drop)
    request = search_request(model, output, run, data, workers=workers)
    kept = frozenset(protected_blocks(protect) or ())
    request = replace(
        request,
        search=how.options([task.name for task in request.tasks], kept),
        allow_weak_baseline=allow_weak_baseline,
    )
    _measure(request, ranking, dry_run, estimate, json)


def _measure(
    request: SearchRequest, ranking: Ranking, dry_run: bool, estimate: bool, as_json: bool
) -> None:
    """Measure what is asked for and print what was found; or print what it will take."""
    if dry_run or estimate:
        show_forecast(forecast(get_ready([request]), estimate=estimate), as_json=as_json)
        return
    outcome = search_model(request)
    parts, value = findings(outcome, ranking)
    write_text(outcome.folder / SUMMARY, as_text(parts))
    if as_json:
        show_json(value)
        return
    show([*parts, *closing(outcome)])


def show_forecast(found: Forecast, *, as_json: bool) -> None:
    """Print what would be measured, and how long it takes."""
    if as_json:
        show_json(forecast_value(found))
        return
    show(section_parts(forecast_section(found))[1:])
