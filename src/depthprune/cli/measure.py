"""`depthprune profile` and `depthprune search`: measure removals, print what was found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from depthprune.cli.options import DataFlags, ModelFlags, study_folder
from depthprune.cli.outcome import show
from depthprune.search import Ablation, BeamSearch, SearchSpace, Strategy
from depthprune.search.pipeline import SearchRequest, search_model

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
Protect = Annotated[tuple[int, ...], Parameter(help="Blocks that always stay; none by default.")]
AsJson = Annotated[
    bool, Parameter(name="--json", help="Print one JSON object on stdout, for scripts.")
]


def profile(
    model: Model,
    *,
    output: Output = None,
    protect: Protect = (),
    json: AsJson = False,
    run: ModelFlags = ModelFlags(),  # noqa: B008 - frozen
    data: DataFlags = DataFlags(),  # noqa: B008 - frozen
) -> None:
    """Measure what every single block is worth: remove each in turn, on every task.

    Writes layer_importance_scores.json and one sensitivity_block_N.json per block for each task
    and split; with both splits measured, also how well train and validation agree. Run it again
    to go on after an interruption: nothing is measured twice.

    For example:

        depthprune profile demo
        depthprune profile Qwen/Qwen2.5-VL-3B-Instruct --task okvqa text_vqa
        depthprune profile ./model --task okvqa --split train validation
    """
    request = _request(model, output, protect, run, data, Ablation)
    show(search_model(request), as_json=json)


def search(
    model: Model,
    *,
    output: Output = None,
    beam_width: int = 3,
    max_blocks_to_remove: int = 4,
    protect: Protect = (),
    json: AsJson = False,
    run: ModelFlags = ModelFlags(),  # noqa: B008 - frozen
    data: DataFlags = DataFlags(),  # noqa: B008 - frozen
) -> None:
    """Search for the blocks that can go together, by beam search on each task.

    Step 1 removes every block alone, each later step extends the best removals by one block. What
    `profile` measured in the same folder is used, not measured again.

    For example:

        depthprune search demo
        depthprune search ./model --task okvqa text_vqa --beam-width 5
        depthprune search ./model --task okvqa --protect 0 15

    Parameters
    ----------
    beam_width
        Removals that are kept in each step.
    max_blocks_to_remove
        The largest number of blocks that are removed together.

    """

    def strategy(space: SearchSpace) -> Strategy:
        return BeamSearch(space, beam_width, max_blocks_to_remove)

    show(search_model(_request(model, output, protect, run, data, strategy)), as_json=json)


def _request(
    model: str,
    output: Path | None,
    protect: tuple[int, ...],
    run: ModelFlags,
    data: DataFlags,
    strategy: Callable[[SearchSpace], Strategy],
) -> SearchRequest:
    return SearchRequest(
        model=run.options(model),
        tasks=data.tasks(model),
        splits=data.split,
        folder=study_folder(output, model),
        strategy=strategy,
        num_samples=data.samples,
        seed=data.seed,
        protect=frozenset(protect),
    )
