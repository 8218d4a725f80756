"""Analyses every model below a folder, and goes on after a broken one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from time import monotonic
from typing import Any, Literal, get_args

from depthprune import __version__
from depthprune.base.documents import (
    COUNT,
    TEXT,
    Field,
    Json,
    Kind,
    Layout,
    each,
    one_of,
    read_document,
)
from depthprune.base.errors import DepthpruneError, LayoutError, option
from depthprune.base.files import make_folder, write_json
from depthprune.base.language import current_language
from depthprune.base.log import logger
from depthprune.base.progress import progress
from depthprune.structure.analyses import Texts, analyze, read_model
from depthprune.structure.finding import FoundModel, analysis_files, find_model_folders, find_models
from depthprune.structure.layouts import FOLDER
from depthprune.structure.samples import ReadModel
from depthprune.structure.summaries import ModelSummaries, ModelSummary, summarize, summarize_model
from depthprune.structure.weights import SUBFOLDER

RESULTS_FILE = "batch_analysis_results.json"

KEEP_SECONDS = 5.0
"""So much of its work a run loses at most when it is killed; one that is interrupted loses none."""

Status = Literal["success", "failed", "no model"]
"""no model: a folder with an evaluation or an analysis, but without weights."""


@dataclass(frozen=True)
class BatchResult:
    """What became of one model.

    Attributes:
        name: its folder below the one that was searched.
        kind: of its format, see `finding.FoundKind`; None where there is no model.
        source: what was read.
        folder: with its `analysis/`, below the output folder.
        status: whether it was analyzed.
        error: what is wrong, where, and how to mend it.
        state: of its files and of what was asked; the same state need not be analyzed again.
        reused: analyzed by an earlier run, and unchanged since.
    """

    name: str
    kind: str | None
    source: Path
    folder: Path
    status: Status
    error: str | None = None
    state: str | None = None
    reused: bool = False


@dataclass(frozen=True)
class BatchOutcome:
    """What became of all models below a folder, in order of name.

    Attributes:
        models_dir, base, output_dir: as they were named; base is None without an original.
        results: one for each model.
    """

    models_dir: Path
    base: str | None
    output_dir: Path
    results: tuple[BatchResult, ...]

    def with_status(self, status: Status) -> list[BatchResult]:
        """Return the results of this status."""
        return [one for one in self.results if one.status == status]

    def summary(self) -> ModelSummaries:
        """Return what the analysis files say of the models; of those that failed, why."""
        return ModelSummaries(
            (str(self.models_dir),),
            tuple(
                summarize_model(one.name, one.folder)
                if one.status == "success"
                else ModelSummary(one.name, one.folder, problems=(f"{one.source}: {one.error}",))
                for one in self.results
                if one.status != "no model"
            ),
        )


def batch(
    models_dir: str | Path,
    base_model: str | Path | None,
    output_dir: str | Path,
    *,
    count_zeros: bool = False,
    resume: bool = True,
    texts: Texts | None = None,
) -> BatchOutcome:
    """Analyse every model in and below a folder beside one original, which is read once.

    The analysis of `models_dir/a/b` goes to `output_dir/a/b/analysis`; what became of each model
    is kept in `output_dir/batch_analysis_results.json`, also when the run is interrupted or killed.
    A model is not analyzed again when that file says it was, and since then neither it nor the
    original changed (the sizes and times of their files), the same was asked, and its analysis is
    there.

    Args:
        models_dir: is searched, see `finding.find_models`.
        base_model: the original, see `read_model`; None to count parameters only.
        output_dir: is made; it may be `models_dir`.
        count_zeros: read all weights of every model and count the zeros.
        resume: False analyses every model again.
        texts: what else to write for each model; in another language they are written again.

    Raises:
        DepthpruneError: there is no such folder, no model in it, the original cannot be read, or
            the output folder cannot be written.
    """
    models_dir, output_dir = Path(models_dir), Path(output_dir)
    models = _distinct(find_models(models_dir))
    if not models:
        raise LayoutError(
            "no model in this folder or below it",
            where=str(models_dir),
            mend="name the folder that holds the folders of the models",
        )
    original = None if base_model is None else read_model(base_model)
    make_folder(output_dir)
    files: Sequence[Path] = ()
    if original is not None and base_model is not None:
        files = original.checkpoint.files if original.checkpoint else [Path(base_model)]
    wanted = [__version__, count_zeros, current_language(), str(base_model)]
    asked = _digest([*wanted, _times(files)])
    before = _earlier(output_dir) if resume else {}
    lacking = _without_model(models_dir, models, output_dir)
    results: list[BatchResult] = []

    def keep() -> BatchOutcome:
        """Write what is known: of models that were not reached, what an earlier run found out."""
        unreached = [
            replace(_result(model, output_dir, before[model.name]), reused=True)
            for model in models[len(results) :]
            if model.name in before
        ]
        named = None if base_model is None else str(base_model)
        outcome = BatchOutcome(models_dir, named, output_dir, (*results, *unreached, *lacking))
        write_json(output_dir / RESULTS_FILE, results_document(outcome))
        return outcome

    kept = monotonic()
    try:
        with progress("analysing", len(models)) as bar:
            for model in models:
                bar.describe(model.name)
                one = _result(model, output_dir, _state(model, asked))
                if before.get(one.name) == one.state is not None and analysis_files(one.folder):
                    results.append(replace(one, reused=True))
                else:
                    results.append(_attempt(one, original, count_zeros, texts))
                bar.advance()
                if monotonic() - kept >= KEEP_SECONDS:  # a run may be killed at any time
                    keep()
                    kept = monotonic()
    finally:
        outcome = keep()
    return outcome


def merged_analyses(*dirs: Path) -> ModelSummaries:
    """Return what the analyses below the first of these folders that holds any say of their models.

    Raises:
        LayoutError: none of them holds an analysis.
        FileError: a folder is missing.
    """
    for folder in reversed(dirs):
        summary = summarize([folder])
        if any(one.anatomy or one.comparison for one in summary.models):
            return summary
    raise LayoutError(
        "no analysis of a model in this folder or below it",
        where=", ".join(map(str, dict.fromkeys(dirs))),
        mend=f"analyse the models first: name their original with {option('base_model')}",
    )


PATH = Kind(TEXT.noun, lambda value: Path(TEXT.read(value)), str)
ANALYSIS_PATH = Kind(
    TEXT.noun, lambda value: Path(TEXT.read(value)).parent, lambda one: str(one / FOLDER)
)

RESULT = Layout(
    BatchResult,
    Field("model_name", TEXT, "name", required=True),
    Field("model_path", PATH, "source", required=True),
    Field("kind", TEXT, null=True, required=True),
    Field("status", one_of(get_args(Status)), required=True),
    Field("error", TEXT),
    Field("output_dir", ANALYSIS_PATH, "folder", required=True),
    Field("state", TEXT),
)
BATCH = Layout(
    BatchOutcome,
    Field("models_dir", PATH, required=True),
    Field("base_model", TEXT, "base", null=True, required=True),
    Field("output_dir", PATH, required=True),
    Field("total_models", COUNT, lambda outcome: len(outcome.results), derived=True),
    Field("successful", COUNT, lambda outcome: len(outcome.with_status("success")), derived=True),
    Field("failed", COUNT, lambda outcome: len(outcome.with_status("failed")), derived=True),
    Field("results", each(RESULT), required=True),
)
"""Of `batch_analysis_results.json`."""


def results_document(outcome: BatchOutcome) -> Json:
    """Return the content of `batch_analysis_results.json`."""
    return dict(BATCH.write(outcome))


def _result(model: FoundModel, output_dir: Path, state: str | None) -> BatchResult:
    """Return the result of a model that is analyzed."""
    folder = output_dir / model.name
    return BatchResult(model.name, model.kind, model.source, folder, "success", state=state)


def _attempt(
    one: BatchResult, original: ReadModel | None, count_zeros: bool, texts: Texts | None
) -> BatchResult:
    try:
        analyze(
            one.source,
            original,
            one.folder / FOLDER,
            count_zeros=count_zeros,
            name=PurePath(one.name).name,
            texts=texts,
        )
    except DepthpruneError as error:
        message = str(error)
    except Exception as error:  # whatever one of a hundred models holds, the others are analyzed
        logger.warning("unexpected while %s was analyzed", one.source, exc_info=True)
        message = f"unexpected: {type(error).__name__}: {error}"
    else:
        return one
    for folder in (one.folder / FOLDER, one.folder):
        with suppress(OSError):  # it holds something
            folder.rmdir()
    return replace(one, status="failed", error=message, state=None)


def _distinct(models: Sequence[FoundModel]) -> list[FoundModel]:
    """Return the models by name, each with one of its own: it becomes a folder."""
    names: set[str] = set()
    found = []
    for model in sorted(models, key=lambda model: model.name):
        number, name = 1, model.name
        while name in names:
            number += 1
            name = f"{model.name}~{number}"
        names.add(name)
        found.append(replace(model, name=name))
    return found


def _without_model(
    models_dir: Path, models: Sequence[FoundModel], output_dir: Path
) -> list[BatchResult]:
    """Return folders that were evaluated or analyzed, but hold no weights."""
    known = {model.folder.resolve() for model in models}
    is_own = models_dir.resolve() == output_dir.resolve()
    found = []
    for folder in find_model_folders([models_dir]):
        place = folder.path.resolve()
        is_output = not is_own and place.is_relative_to(output_dir.resolve())
        if place not in known and not is_output:
            # The name of the folder that was searched stands in front.
            name = folder.name.partition("/")[2] or folder.name
            output = output_dir / name
            found.append(BatchResult(name, None, folder.path, output, status="no model"))
    return found


def _state(model: FoundModel, asked: str) -> str | None:
    """Return what changes when a model's files, or what is asked of it, change.

    None when its folder cannot be read.
    """
    source = model.source
    folders = (source, source / SUBFOLDER) if source.is_dir() else (source.parent,)
    try:
        files = [
            path
            for folder in folders
            if folder.is_dir()
            for path in folder.iterdir()
            if path.is_file() and (source.is_dir() or path == source or path.suffix == ".json")
        ]
        return _digest([asked, _times(files)])
    except OSError:
        return None


def _times(files: Iterable[Path]) -> list[list[Any]]:
    found = [(str(path), path.stat()) for path in sorted(files)]
    return [[name, status.st_size, status.st_mtime_ns] for name, status in found]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _earlier(output_dir: Path) -> dict[str, str | None]:
    """Return the states of the models that an earlier run analyzed."""
    try:
        outcome: BatchOutcome = read_document(output_dir / RESULTS_FILE, BATCH.read)
    except DepthpruneError:  # none, or not of this program: all are analyzed
        return {}
    return {one.name: one.state for one in outcome.with_status("success")}
