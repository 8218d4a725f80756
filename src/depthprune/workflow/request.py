"""What is asked for when a model is measured: by the command line, and by a study file."""

from __future__ import annotations

from pathlib import Path

from depthprune.engine.options import ModelOptions
from depthprune.strategies.model import model_source
from depthprune.strategies.options import SearchOptions
from depthprune.strategies.pipeline import SearchRequest
from depthprune.tasks.options import DataOptions


def study_folder(output: Path | None, model: str) -> Path:
    """Return where results go: as asked, or a folder named after the model."""
    if output is not None:
        return output
    place = Path(model).expanduser()
    return Path(f"depthprune-{(place.resolve() if place.exists() else place).name}")


def search_request(
    model: str,
    output: Path | None,
    run: ModelOptions,
    data: DataOptions,
    search: SearchOptions | None = None,
) -> SearchRequest:
    """Return what a search measures by these options.

    Raises:
        DepthpruneError: no task is named, or there is no such task.
    """
    return SearchRequest(
        model=model_source(model, run, download=data.download),
        tasks=data.find_tasks(model),
        splits=data.splits,
        folder=study_folder(output, model),
        search=SearchOptions() if search is None else search,
        num_samples=data.samples,
        seed=data.seed,
        data=data,
    )
