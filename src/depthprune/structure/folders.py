"""Finds the folders of models below some folders: by names alone, no file is opened."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from depthprune.base.errors import FileError
from depthprune.structure.documents import ANATOMY_FILES, COMPARISON_FILES, FOLDER, ORIGINAL_FILE
from depthprune.structure.weights import SUBFOLDER, is_standard, models_among

EVALUATION = "evaluation"

TEXTS = ("structure_summary.txt", "pruning_summary_by_layer.txt")

_KNOWN = frozenset({*ANATOMY_FILES, *COMPARISON_FILES, ORIGINAL_FILE, *TEXTS})
_PARTS = frozenset({FOLDER, EVALUATION, SUBFOLDER, "__pycache__"})
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
                "there is no such folder",
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


def _below(given: Path, prefix: str, homes: tuple[Path, ...]) -> Iterator[ModelFolder]:
    waiting = [(given, prefix)]
    while waiting:
        path, name = waiting.pop()
        try:
            with os.scandir(path) as entries:
                members = list(entries)
        except OSError as error:
            yield ModelFolder(name, path, problem=f"cannot read: {error.strerror or error}")
            continue
        folders = {entry.name for entry in members if entry.is_dir(follow_symlinks=False)}
        names = [entry.name for entry in members if entry.name not in folders]
        files, is_analysed = _analysis_files(path) if FOLDER in folders else ((), False)
        model = _model(path, names) or (
            _model(path, _names(path / SUBFOLDER)) if SUBFOLDER in folders else None
        )
        if is_analysed or model is not None or EVALUATION in folders:
            yield ModelFolder(name, path, files, model)
        for entry in members:
            if entry.is_symlink() and entry.name not in _PARTS:
                yield from _link(Path(entry.path), f"{name}/{entry.name}", homes)
        waiting += [
            (path / folder, f"{name}/{folder}")
            for folder in folders
            if folder not in _PARTS and not folder.startswith(".")
        ]


def _analysis_files(path: Path) -> tuple[tuple[str, ...], bool]:
    """Return the JSON files of an analysis, and whether it is one of a model's structure."""
    names = _names(path / FOLDER)
    is_analysed = not _KNOWN.isdisjoint(names)
    return tuple(
        name for name in names if name.endswith(".json")
    ) if is_analysed else (), is_analysed


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder))
    except OSError:
        return []


def _model(path: Path, names: Sequence[str]) -> Path | None:
    """Return what to analyse, if files of these names are a model; a name is all that is asked."""
    groups = models_among(names)
    if is_standard(names) or len(groups) == 1:
        return path
    return path / groups[0][0] if groups else None


def _link(link: Path, name: str, homes: tuple[Path, ...]) -> Iterator[ModelFolder]:
    try:
        target = link.resolve()
        leads_out = not any(target.is_relative_to(home) for home in homes)
        if leads_out and (target / FOLDER).is_dir():
            yield ModelFolder(name, link, problem=f"a link that leads out to {target}")
    except (OSError, RuntimeError):
        return
