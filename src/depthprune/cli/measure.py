"""`depthprune profile` and `depthprune search`: measure removals, print what was found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from depthprune.base.language import set_language
from depthprune.benchmark.forecast import forecast
from depthprune.cli.flags import with_flags
from depthprune.cli.options import Language, block_set, check_ranking
from depthprune.cli.outcome import show, show_forecast
from depthprune.cli.search_flags import SearchFlags
from depthprune.engine.options import ModelOptions
from depthprune.strategies.kinds.exhaustive import Ablation
from depthprune.strategies.options import SearchOptions, cannot
from depthprune.strategies.pipeline import get_ready, search_model
from depthprune.tasks.options import DataOptions
from depthprune.workflow.measuring import search_request

Model = Annotated[
    str, Parameter(name=("--model", "--model-path"), help="Folder, hub name, or demo.")
]
Output = Annotated[
    Path | None,
    Parameter(
        name=("--output", "--output-dir"),
        help="Folder of the study; depthprune-MODEL when not given.",
    ),
]
Protect = Annotated[
    tuple[str, ...], Parameter(help="Blocks that always stay, as 0 15 or 0,15; none by default.")
]
MinCoverage = Annotated[
    int, Parameter(help="The fewest datasets a ranked combination must be measured on.")
]
MinDrop = Annotated[
    float | None,
    Parameter(help="The smallest mean drop that is ranked; no limit when not given."),
]
AllowWeakBaseline = Annotated[
    bool,
    Parameter(help="Go on where the whole model's answers are no basis for drops."),
]
DryRun = Annotated[bool, Parameter(help="Measure nothing: check everything, say what it takes.")]
Estimate = Annotated[
    bool,
    Parameter(help="As --dry-run, and answer 8 samples of each task, to tell the hours."),
]
AsJson = Annotated[
    bool, Parameter(name="--json", help="Print one JSON object on stdout, for scripts.")
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
) -> None:
    """Measure what every single block is worth: remove each in turn, on every task.

    Writes layer_importance_scores.json and one sensitivity_block_N.json per block for each task
    and split; with both splits measured, also how well train and validation agree. Run it again
    to go on after an interruption: nothing is measured twice.

    For example:

        depthprune profile demo
        depthprune profile demo --estimate
        depthprune profile Qwen/Qwen2.5-VL-3B-Instruct --task okvqa text_vqa
        depthprune profile ./model --task okvqa --split train validation
    """
    set_language(lang)
    if race:
        raise cannot(Ablation().name, "race")
    kept = frozenset(block_set(protect, "protect"))
    request = search_request(model, output, run, data, SearchOptions(Ablation(), protect=kept))
    request = replace(request, allow_weak_baseline=allow_weak_baseline)
    if dry_run or estimate:
        show_forecast(forecast(get_ready([request]), estimate=estimate), as_json=json)
        return
    show(search_model(request), as_json=json)


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
) -> None:
    """Search for the blocks that can go together: by beam search, on each task by itself.

    Step 1 removes every block alone, each later step extends the best removals by one block. What
    `profile` measured in the same folder on the same samples is used, not measured again. At the
    end it says what the search gained over removing the blocks that cost least alone.

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
    check_ranking(min_coverage, min_drop)
    request = search_request(model, output, run, data)
    kept = frozenset(block_set(protect, "protect"))
    request = replace(
        request,
        search=how.options([task.name for task in request.tasks], kept),
        allow_weak_baseline=allow_weak_baseline,
    )
    if dry_run or estimate:
        show_forecast(forecast(get_ready([request]), estimate=estimate), as_json=json)
        return
    outcome = search_model(request)
    show(outcome, as_json=json, min_coverage=min_coverage, min_drop=min_drop)
