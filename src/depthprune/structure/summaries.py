"""What is known of many models, from the analysis files in their folders; no model is opened."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from depthprune.base.documents import read_value
from depthprune.base.errors import DepthpruneError
from depthprune.base.language import Note
from depthprune.checkpoint.folder import read_json_value
from depthprune.structure.anatomy import Anatomy
from depthprune.structure.compare import is_emptied
from depthprune.structure.comparison import CountChange, ModelComparison
from depthprune.structure.finding import (
    EVALUATION,
    EVALUATION_FILE,
    ModelFolder,
    analysis_files,
    find_model_folders,
    is_near_ratio,
    is_of_method,
)
from depthprune.structure.layouts import (
    ANATOMY_FILES,
    COMPARISON_FILES,
    GENERIC_NAMES,
    ORIGINAL_FILE,
    read_anatomy,
    read_comparison,
)
from depthprune.structure.weights import LIST_NAME


@dataclass(frozen=True)
class ModelSummary:
    """One model among many.

    Attributes:
        name: its folder below the one that was searched, with that one's name in front, e.g.
            `baselines/ShortGPT_remove_7`.
        folder: where it lies (the one that holds `analysis/`).
        anatomy: of the pruned model; None where no file tells it.
        comparison: with its original; None where no file tells it.
        original: parameters of the original; None where nothing tells it.
        removed: layers that a list in its folder names as removed, where no comparison tells them.
        problems: what could not be read, each with file and place.
        mend: for a model without analysis, the command that makes one.
    """

    name: str
    folder: Path
    anatomy: Anatomy | None = None
    comparison: ModelComparison | None = None
    original: int | None = None
    removed: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()
    mend: str | None = None


@dataclass(frozen=True)
class ModelSummaries:
    """Models in order of name.

    Attributes:
        dirs: that were searched, as they were named.
        models: with analysis and without.
    """

    dirs: tuple[str, ...]
    models: tuple[ModelSummary, ...]


@dataclass(frozen=True)
class ModelFacts:
    """A model in a few numbers; None where nothing tells.

    Attributes:
        params, original: parameters of the pruned model and of its original.
        ratio: share of the parameters that is gone, 0..1; negative when there are more.
        num_layers, of_layers: that stay, and that the original has.
        removed: layers of the original that are gone.
        missing: further layers that are gone; no file says which they are.
        emptied: layers that are there with nothing in them, or that a file calls zero.
        no_attention, no_mlp: layers that lost this part only.
        strategy: of the comparison.
        unknown: why counts are not known; empty where all are exact, or no file tells any.
    """

    params: int | None
    original: int | None
    ratio: float | None
    num_layers: int | None
    of_layers: int | None
    removed: tuple[int, ...] = ()
    missing: int = 0
    emptied: tuple[int, ...] = ()
    no_attention: tuple[int, ...] = ()
    no_mlp: tuple[int, ...] = ()
    strategy: str | None = None
    unknown: tuple[Note, ...] = ()

    @property
    def num_removed(self) -> int:
        """Layers that are gone, known or not."""
        return len(self.removed) + self.missing


def facts_of(model: ModelSummary) -> ModelFacts:
    """Return what is known of a model; where both tell, its comparison counts."""
    if model.comparison is not None:
        return _compared(model.comparison)
    if model.anatomy is None:
        return ModelFacts(None, model.original, None, None, None, model.removed)
    return replace(_alone(model.anatomy, model.original), removed=model.removed)


def _alone(anatomy: Anatomy, original: int | None) -> ModelFacts:
    filled = [layer for layer in anatomy.layers if not layer.is_zero]
    return ModelFacts(
        params=anatomy.total,
        original=original,
        ratio=CountChange(original, anatomy.total).ratio if original else None,
        num_layers=len(anatomy.layers) if anatomy.knows_layers else None,
        of_layers=None,
        emptied=tuple(layer.index for layer in anatomy.layers if layer.is_zero),
        # A model may have layers without attention from birth; a class of this name says better.
        no_attention=tuple(at.index for at in filled if _is_zeroed(at.attention.type)),
        no_mlp=tuple(at.index for at in filled if _is_zeroed(at.mlp.type)),
        unknown=anatomy.unknown,
    )


def _is_zeroed(type_name: str | None) -> bool:
    return type_name is not None and type_name.startswith("Zero")


def _compared(found: ModelComparison) -> ModelFacts:
    stay = [layer for layer in found.layers if not layer.removed]
    knows_layers = bool(found.layers) or not found.unknown
    emptied = [layer.index for layer in stay if is_emptied(layer)]
    filled = [layer for layer in stay if layer.index not in emptied]
    return ModelFacts(
        params=found.total.pruned,
        original=found.total.original,
        ratio=found.total.ratio,
        num_layers=len(stay) if knows_layers else None,
        of_layers=len(found.layers) + found.missing_layers if knows_layers else None,
        removed=tuple(layer.index for layer in found.layers if layer.removed),
        missing=found.missing_layers,
        emptied=tuple(emptied),
        no_attention=tuple(layer.index for layer in filled if layer.attention_removed),
        no_mlp=tuple(layer.index for layer in filled if layer.mlp_removed),
        strategy=found.strategy,
        unknown=found.unknown,
    )


MOST_BYTES = 64 * 2**20
"""An analysis file is never so large."""

_Value = TypeVar("_Value")
_Read = TypeVar("_Read", Anatomy, ModelComparison)


def summarize(
    dirs: str | Path | Iterable[str | Path],
    *,
    method: str | None = None,
    ratio: float | None = None,
) -> ModelSummaries:
    """Return what the `analysis/` folders in and below `dirs` say of their models.

    A file that is broken is named in `problems`, and the others of its folder count. Of two equal
    files that differ in names, the one with real names counts; where they differ in numbers, the
    first one (`pruning_comparison.json`, `model_structure.json`), and that is told. A folder with
    weights or `evaluation/` but without analysis is listed with the command that makes one.

    Args:
        dirs: folders, or one of them, searched to any depth; links to other folders are not
            followed.
        method: keeps the models whose name tells it, see `selection.is_of_method`.
        ratio: keeps the models that lost about this share, 0..1, see `selection.is_near_ratio`.

    Raises:
        FileError: one of `dirs` is missing or no folder.
    """
    given = [Path(one) for one in ([dirs] if isinstance(dirs, str | Path) else dirs)]
    folders = find_model_folders(given)
    if method is not None:
        folders = [folder for folder in folders if is_of_method(folder.name, method)]
    models = [_read_folder(folder) for folder in folders]
    if ratio is not None:
        models = [one for one in models if is_near_ratio(one.name, facts_of(one).ratio, ratio)]
    return ModelSummaries(tuple(map(str, given)), tuple(models))


def summarize_model(name: str, folder: Path) -> ModelSummary:
    """Return what the `analysis/` of one folder says; `name` is what the model is called."""
    return _read_folder(ModelFolder(name, folder, analysis_files(folder)))


def _read_folder(folder: ModelFolder) -> ModelSummary:
    if folder.problem is not None:
        return ModelSummary(
            folder.name, folder.path, problems=(f"{folder.path}: {folder.problem}",)
        )
    problems: list[str] = []
    paths = {name: folder.analysis / name for name in folder.files}
    paths = {name: path for name, path in paths.items() if _may_read(path, folder.path, problems)}
    anatomy = _first(read_anatomy, ANATOMY_FILES, paths, problems)
    comparison = _first(read_comparison, COMPARISON_FILES, paths, problems)
    original = None if comparison is None else comparison.total.original
    for name, path in paths.items():
        if name == ORIGINAL_FILE and original is None:
            base = _attempt(read_anatomy, path, problems)
            original = None if base is None else base.total
        elif name not in {*ANATOMY_FILES, *COMPARISON_FILES, LIST_NAME}:
            _attempt(read_value, path, problems)
    if anatomy and comparison and anatomy.total != comparison.total.pruned:
        problems.append(
            f"{folder.analysis}: the model has {anatomy.total} parameters by one file, "
            f"{comparison.total.pruned} by the comparison, which counts"
        )
    is_analyzed = anatomy is not None or comparison is not None
    return ModelSummary(
        name=folder.name,
        folder=folder.path,
        anatomy=anatomy,
        comparison=comparison,
        original=original,
        removed=() if comparison is not None else _listed(folder.path, problems),
        problems=tuple(problems),
        mend=None if is_analyzed else _mend(folder),
    )


def _listed(path: Path, problems: list[str]) -> tuple[int, ...]:
    """Return the layers that `layers_to_remove.json` and the like name."""
    from depthprune.structure.origin import origin_of

    provenance, notes = origin_of(path)
    problems += [f"{path}: {note}" for note in notes]
    removed = (provenance or {}).get("removed")
    return tuple(removed) if isinstance(removed, list | tuple) else ()


def _may_read(path: Path, home: Path, problems: list[str]) -> bool:
    try:
        if path.is_symlink() and not path.resolve().is_relative_to(home.resolve()):
            problems.append(f"{path}: a link that leads out of the model's folder is not followed")
            return False
        if not path.is_file():
            problems.append(f"{path}: it must be a file")
            return False
        if path.stat().st_size > MOST_BYTES:
            problems.append(f"{path}: has more than {MOST_BYTES // 2**20} MiB, and is not read")
            return False
    except (OSError, RuntimeError) as error:
        problems.append(f"{path}: cannot read: {error}")
        return False
    return True


def _first(
    read: Callable[[Path], _Read],
    names: Sequence[str],
    paths: dict[str, Path],
    problems: list[str],
) -> _Read | None:
    """Return what the best of some files holds, which should be equal."""
    files = [paths[name] for name in names if name in paths]
    with suppress(OSError):  # it is told when it is read
        if len({file.read_bytes() for file in files}) < len(files):
            del files[1]
    found = [(file, value) for file in files if (value := _attempt(read, file, problems))]
    if not found:
        return None
    if len(found) == 2 and _unnamed(found[0][1]) != _unnamed(found[1][1]):
        (first, value), (second, _) = found
        problems.append(f"{second}: differs from {first.name}, which counts")
        return value
    return next((value for _, value in found if not _is_generic(value)), found[0][1])


def _attempt(read: Callable[[Path], _Value], path: Path, problems: list[str]) -> _Value | None:
    try:
        return read(path)
    except DepthpruneError as error:
        problems.append(f"{error.where or path}: {error.what}")
        return None


def _unnamed(value: Anatomy | ModelComparison) -> Anatomy | ModelComparison:
    if isinstance(value, Anatomy):
        return replace(value, name="", path="")
    return replace(value, original_name="", pruned_name="")


def _is_generic(value: Anatomy | ModelComparison) -> bool:
    names = {value.name} if isinstance(value, Anatomy) else {value.original_name, value.pruned_name}
    return bool(names & GENERIC_NAMES)


def _mend(folder: ModelFolder) -> str:
    model = str(folder.model or _evaluated_model(folder.path) or "MODEL")
    command = ("depthprune", "structure", "analyze", "--model_path", model)
    return shlex.join((*command, "--output_dir", str(folder.analysis)))


def _evaluated_model(path: Path) -> str | None:
    """Return which model an evaluation says it measured."""
    file = path / EVALUATION / EVALUATION_FILE
    try:
        value = read_json_value(file, path, most=MOST_BYTES) if file.is_file() else None
    except (DepthpruneError, OSError):
        return None
    model = value.get("model_path") if isinstance(value, dict) else None
    return model if isinstance(model, str) and model.isprintable() else None
