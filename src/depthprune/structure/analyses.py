"""Analyze one checkpoint, alone or beside its original, and keep what was found as files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from depthprune.base.errors import AnalysisError, ModelError, option
from depthprune.base.files import make_folder, together, write_json, write_text
from depthprune.structure.align import Alignment, align
from depthprune.structure.anatomy import Anatomy
from depthprune.structure.compare import compare
from depthprune.structure.comparison import ModelComparison
from depthprune.structure.layouts import (
    ANATOMY_FILES,
    COMPARISON_FILES,
    FOLDER,
    ORIGINAL_FILE,
    anatomy_document,
    comparison_document,
    read_anatomy,
)
from depthprune.structure.samples import ReadModel
from depthprune.tasks.demo import model_place


@dataclass(frozen=True)
class ModelAnalysis:
    """What was found out about one model.

    Attributes:
        anatomy: of the model.
        original, alignment, comparison: of the model it was pruned from; None when none is known.
        files: that were written.
    """

    anatomy: Anatomy
    original: Anatomy | None = None
    alignment: Alignment | None = None
    comparison: ModelComparison | None = None
    files: tuple[Path, ...] = ()


_COMMON_NAMES = frozenset({"pruned_model", "pytorch_model", "model", "checkpoint", "consolidated"})
"""Of files and folders of weights, that say nothing of the model."""

Texts = Callable[[ModelAnalysis], Mapping[str, str]]
"""Returns texts for people by their file names, see `depthprune.report.structure.text_files`."""


def read_model(
    source: str | Path,
    *,
    name: str | None = None,
    count_zeros: bool = False,
    on_bytes: Callable[[int], None] | None = None,
    revision: str | None = None,
) -> ReadModel:
    """Return a model's parts by the headers of its files.

    Args:
        source: a checkpoint, see `read_checkpoint`; `demo`, the embedded model; or a JSON file of
            an anatomy, which is faster, but has no weights to know layers by.
        name: instead of the one that the files tell.
        count_zeros: read all weights and count the zeros among them.
        on_bytes: called with the bytes of weights that were read.
        revision: of a model on the hub.

    Raises:
        DepthpruneError: there is no such model, or its files are damaged.
    """
    if str(source).lower().endswith(".json"):
        anatomy = read_anatomy(Path(source).expanduser())
        found = ReadModel(anatomy if name is None else replace(anatomy, name=name))
    else:
        from depthprune.structure.count import anatomy_of
        from depthprune.structure.reading import read_checkpoint

        checkpoint = read_checkpoint(model_place(source), revision=revision)
        found = ReadModel(anatomy_of(checkpoint, name or model_name(source)), checkpoint)
    return with_zeros(found, on_bytes) if count_zeros else found


def with_zeros(model: ReadModel, on_bytes: Callable[[int], None] | None = None) -> ReadModel:
    """Return the model with the zeros among its weights, all of which are read.

    Raises:
        ModelError: only an analysis file is known.
        FileError: a weight file ends early or cannot be read.
    """
    if model.checkpoint is None:
        raise ModelError(
            "an analysis file has no weights among which zeros could be counted",
            where=model.anatomy.path or model.anatomy.name,
            mend="name the checkpoint itself",
        )
    from depthprune.structure.zeros import add_zeros, count_zeros

    zeros = count_zeros(model.checkpoint, on_bytes)
    return replace(model, anatomy=add_zeros(model.anatomy, zeros))


def model_name(source: str | Path) -> str:
    """Return what a model is called: its folder, unless its file has a name of its own."""
    path = Path(source).expanduser()
    if not path.exists():
        return str(source)
    whole = path.resolve()
    own = whole.stem if whole.is_file() else whole.name
    return whole.parent.name if own in _COMMON_NAMES else own


def analyze(
    model: str | Path | ReadModel,
    original: str | Path | ReadModel | None = None,
    output_dir: str | Path | None = None,
    *,
    count_zeros: bool = False,
    name: str | None = None,
    texts: Texts | None = None,
    on_bytes: Callable[[int], None] | None = None,
) -> ModelAnalysis:
    """Return what a model consists of, and what it lost against its original.

    Only headers are read, and a few kilobytes of every tensor to know layers again; with
    `count_zeros` all weights of the model.

    Args:
        model: the pruned one, or any.
        original: what it was pruned from: a checkpoint, or a JSON file of its anatomy.
        output_dir: where the files go, see `write_analysis`; nothing is written without it.
        count_zeros: see `read_model`; of the model alone, not of its original.
        name: of the model.
        texts: what else to write.
        on_bytes: called with the bytes of weights that were read.

    Raises:
        DepthpruneError: a model cannot be read, the two do not belong together, or the folder
            cannot be written.
    """
    folder = None if output_dir is None else make_folder(Path(output_dir))
    pruned = (
        model
        if isinstance(model, ReadModel)
        else read_model(model, name=name, count_zeros=count_zeros, on_bytes=on_bytes)
    )
    analysis = ModelAnalysis(pruned.anatomy)
    if original is not None:
        whole = original if isinstance(original, ReadModel) else read_model(original)
        alignment = align(whole, pruned)
        comparison = compare(whole.anatomy, pruned.anatomy, alignment)
        analysis = ModelAnalysis(pruned.anatomy, whole.anatomy, alignment, comparison)
    return analysis if folder is None else write_analysis(analysis, folder, texts)


def unknown_of(analysis: ModelAnalysis) -> tuple[str, ...]:
    """Return why counts of a model, or of it beside its original, are not known."""
    return (analysis.comparison or analysis.anatomy).unknown


def refuse_unknown(strict: bool, unknown: Mapping[str, Sequence[str]]) -> None:
    """Raise AnalysisError where `strict` is asked for and a count of a model is not known.

    Args:
        strict: whether it is asked for.
        unknown: reasons by the names of the models.
    """
    messages = [f"{name}: {'; '.join(reasons)}" for name, reasons in unknown.items() if reasons]
    if strict and messages:
        raise AnalysisError(
            "counts are not known",
            where="\n".join(messages),
            mend="give the whole checkpoint in a format that is read; without "
            f"{option('strict')} the rest is told",
        )


def analysis_folder(source: str | Path) -> Path | None:
    """Return the folder `analysis` beside a model's weights, where `summarize` finds it.

    None for what does not lie there as a file or folder of its own, e.g. a name on the hub.
    """
    from depthprune.structure.finding import recognise

    path = Path(source).expanduser()
    if not path.exists() or path.suffix.lower() == ".json":
        return None
    found = recognise(path)
    return (found.folder if found else path if path.is_dir() else path.parent) / FOLDER


def write_analysis(
    analysis: ModelAnalysis, output_dir: Path, texts: Texts | None = None
) -> ModelAnalysis:
    """Write the documented files, all or none, and return the analysis with them.

    `model_structure.json` and `pruned_model_analysis.json` hold the same; so do, with an original,
    `pruning_comparison.json` and `model_comparison.json`; `original_model_analysis.json` beside.
    Other files in the folder are left alone.

    Raises:
        FileError: the folder cannot be written.
    """
    documents = dict.fromkeys(ANATOMY_FILES, anatomy_document(analysis.anatomy))
    if analysis.original is not None and analysis.comparison is not None:
        documents[ORIGINAL_FILE] = anatomy_document(analysis.original)
        documents |= dict.fromkeys(COMPARISON_FILES, comparison_document(analysis.comparison))
    written = dict(texts(analysis)) if texts is not None else {}
    with together():
        for file, document in documents.items():
            write_json(output_dir / file, document, indent=2)
        for file, text in written.items():
            write_text(output_dir / file, text)
    return replace(analysis, files=tuple(output_dir / file for file in (*documents, *written)))
