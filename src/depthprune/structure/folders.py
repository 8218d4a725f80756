"""Finds the folders of models below some folders: by names alone, no file is opened."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from depthprune.base.errors import FileError
from depthprune.structure.documents import ANATOMY_FILES, COMPARISON_FILES, FOLDER, ORIGINAL_FILE
from depthprune.structure.finding import PARTS, RESULTS, models_in
from depthprune.structure.weights import LIST_NAME, SUBFOLDER, is_standard, models_among

EVALUATION, EVALUATION_FILE = "evaluation", "evaluation_results.json"
"""The file lies in the folder, or in that of the model itself."""

TEXTS = ("structure_summary.txt", "pruning_summary_by_layer.txt")

_KNOWN = frozenset({*ANATOMY_FILES, *COMPARISON_FILES, ORIGINAL_FILE, *TEXTS, LIST_NAME})
_PARTS = frozenset({*RESULTS, SUBFOLDER, "__pycache__"})
"""Folders that belong to a model and hold no other one."""


@dataclass(frozen=True)
class ModelFolder:
    """A folder that holds a model, its analysis or its evaluation.

    Attributes:
        name: the folder below the one that was named, with that one's name in front.
        path: of the folder.
        files: names of the JSON files in its `analysis/`.
        model: what to analyse: the folder, or one of the files of several models in it; None where
            no weights lie.
        problem: why it was not looked into.
    """

    name: str
    path: Path
    files: tuple[str, ...] = ()
    model: Path | None = None
    problem: str | None = None

    @property
    def analysis(self) -> Path:
        """The folder of the analysis, whether it is there or not."""
        return self.path / FOLDER


def find_model_folders(dirs: Sequence[Path]) -> list[ModelFolder]:
    """Return the folders of models in and below `dirs`, in order of name; each one once.

    A link to a folder is not followed; where it leads out of `dirs` and to a model, that is told.

    Raises:
        FileError: one of `dirs` is missing or no folder.
    """
    homes: dict[Path, Path] = {}
    for given in dirs:
        if not given.is_dir():
            raise FileError(
                "this is no folder" if given.exists() else "there is no such folder",
                where=str(given),
                mend="name folders that hold models or their analyses",
            )
        home = given.resolve()
        if home.name == FOLDER:  # `X/analysis` means the model X
            home, given = home.parent, given.parent if given.name == FOLDER else home.parent
        homes.setdefault(home, given)
    repeated = {name for name, number in Counter(home.name for home in homes).items() if number > 1}
    found: dict[Path, ModelFolder] = {}
    for home, given in homes.items():
        prefix = str(given) if home.name in repeated else home.name
        for folder in _below(given, prefix, tuple(homes)):
            found.setdefault(home / folder.path.relative_to(given), folder)
    return sorted(found.values(), key=lambda folder: folder.name)


@dataclass(frozen=True)
class _Place:
    """A folder to look into; `model` is the file whose analysis it holds."""

    path: Path
    name: str
    model: Path | None = None
    is_variant: bool = False


def _below(given: Path, prefix: str, homes: tuple[Path, ...]) -> Iterator[ModelFolder]:
    waiting = [_Place(given, prefix)]
    while waiting:
        place = waiting.pop()
        path, name = place.path, place.name
        try:
            with os.scandir(path) as entries:
                members = list(entries)
        except FileNotFoundError:  # of a model that is a file: made when it is analysed
            members = []
        except OSError as error:
            yield ModelFolder(name, path, problem=f"cannot read: {error.strerror or error}")
            continue
        folders = {entry.name for entry in members if entry.is_dir(follow_symlinks=False)}
        files = sorted(one.name for one in members if one.name not in folders)
        models = _models(path, files)
        if not models and SUBFOLDER in folders:
            models = dict.fromkeys(_models(path / SUBFOLDER, _names(path / SUBFOLDER)), path)
        own = next(iter(models.values())) if len(models) == 1 else place.model
        is_analysed = FOLDER in folders and not _KNOWN.isdisjoint(_names(path / FOLDER))
        is_evaluated = EVALUATION in folders or EVALUATION_FILE in files
        is_listed = LIST_NAME in files
        is_lacking = not place.is_variant and (own is not None or is_evaluated or is_listed)
        if is_analysed or is_lacking:
            yield ModelFolder(name, path, analysis_files(path) if is_analysed else (), own)
        for entry in members:
            if entry.is_symlink() and entry.name not in _PARTS:
                yield from _link(Path(entry.path), f"{name}/{entry.name}", homes)
        # Of several models in one folder, each has a folder of its own name for its analysis.
        several = models if len(models) > 1 else {}
        waiting += [
            _Place(
                path / folder,
                f"{name}/{folder}",
                several.get(folder),
                own is not None and any(fnmatch(folder, pattern) for pattern in PARTS),
            )
            for folder in {*folders, *several} - _PARTS
            if not folder.startswith(".")
        ]


def analysis_files(path: Path) -> tuple[str, ...]:
    """Return the JSON files in the `analysis/` of a folder, all of them."""
    return tuple(name for name in _names(path / FOLDER) if name.endswith(".json"))


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder))
    except OSError:
        return []


def _models(path: Path, names: Sequence[str]) -> dict[str, Path]:
    """Return what to analyse of the models in a folder, by the names of their own folders."""
    groups = models_among(names)
    chosen = any(Path(group[0]).stem == SUBFOLDER for group in groups)
    if chosen or is_standard(path, names) or len(groups) == 1:
        return {path.name: path}
    # Files may hold scores and the like: only their content tells.
    return {model.folder.name: model.source for model in models_in(path, path.name, names)}


def _link(link: Path, name: str, homes: tuple[Path, ...]) -> Iterator[ModelFolder]:
    try:
        target = link.resolve()
        leads_out = not any(target.is_relative_to(home) for home in homes)
        if leads_out and (target / FOLDER).is_dir():
            yield ModelFolder(name, link, problem=f"a link that leads out to {target}")
    except (OSError, RuntimeError):
        return
