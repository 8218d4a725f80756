"""Reads the analysis files of many models; no model is opened."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from depthprune.base.documents import read_value
from depthprune.base.errors import DepthpruneError
from depthprune.base.files import read_json
from depthprune.structure.anatomy import Anatomy
from depthprune.structure.comparison import Comparison
from depthprune.structure.documents import (
    ANATOMY_FILES,
    COMPARISON_FILES,
    GENERIC_NAMES,
    ORIGINAL_FILE,
    read_anatomy,
    read_comparison,
)
from depthprune.structure.facts import facts_of
from depthprune.structure.folders import (
    EVALUATION,
    EVALUATION_FILE,
    ModelFolder,
    analysis_files,
    find_model_folders,
)
from depthprune.structure.selection import is_near_ratio, is_of_method
from depthprune.structure.summary import ModelSummary, Summary
from depthprune.structure.weights import LIST_NAME

MOST_BYTES = 64 * 2**20
"""An analysis file is never so large."""

_Value = TypeVar("_Value")
_Read = TypeVar("_Read", Anatomy, Comparison)


def summarize(
    dirs: str | Path | Iterable[str | Path],
    *,
    method: str | None = None,
    ratio: float | None = None,
) -> Summary:
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
    return Summary(tuple(map(str, given)), tuple(models))


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
    is_analysed = anatomy is not None or comparison is not None
    return ModelSummary(
        name=folder.name,
        folder=folder.path,
        anatomy=anatomy,
        comparison=comparison,
        original=original,
        removed=() if comparison is not None else _listed(folder.path, problems),
        problems=tuple(problems),
        mend=None if is_analysed else _mend(folder),
    )


def _listed(path: Path, problems: list[str]) -> tuple[int, ...]:
    """Return the layers that `layers_to_remove.json` and the like name."""
    from depthprune.structure.origin import origin_of

    origin = origin_of(path)
    problems += [f"{path}: {note}" for note in origin.notes]
    removed = (origin.provenance or {}).get("removed")
    return tuple(removed) if isinstance(removed, list | tuple) else ()


def _may_read(path: Path, home: Path, problems: list[str]) -> bool:
    try:
        if path.is_symlink() and not path.resolve().is_relative_to(home.resolve()):
            problems.append(f"{path}: a link that leads out of the model's folder is not followed")
            return False
        if not path.is_file():
            problems.append(f"{path}: is no file")
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


def _unnamed(value: Anatomy | Comparison) -> Anatomy | Comparison:
    if isinstance(value, Anatomy):
        return replace(value, name="", path="")
    return replace(value, original_name="", pruned_name="")


def _is_generic(value: Anatomy | Comparison) -> bool:
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
        if not file.is_file() or file.stat().st_size > MOST_BYTES:
            return None
        value = read_json(file, infinity=True)
    except (DepthpruneError, OSError):
        return None
    model = value.get("model_path") if isinstance(value, dict) else None
    return model if isinstance(model, str) and model.isprintable() else None
