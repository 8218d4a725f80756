"""Find the models below a folder, whatever program wrote them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from depthprune.base.errors import FileError
from depthprune.checkpoint.links import leads_out
from depthprune.structure.glance import Look, glance
from depthprune.structure.weights import SUBFOLDER, file_names, is_standard, models_among

FoundKind = Literal["huggingface", "bin", "pruned_model", "slicegpt", "unreadable"]
"""A folder in Hugging Face format; one with a weight file of any other name; one with the model in
`pruned_model/`; what SliceGPT wrote; a folder that may not be read, or a link that leads out of
the model's folder: `read_checkpoint` says which."""

RESULTS = ("analysis", "evaluation", "logs")
"""Folders in a model's folder that hold what was found out about it."""

PARTS = (SUBFOLDER, "checkpoint-*", "original", "onnx", "openvino", "coreml", "*_Pooling")
"""Folders in a model's folder that hold it once more."""


@dataclass(frozen=True)
class FoundModel:
    """A model that was found; nothing says yet whether it is whole.

    Attributes:
        name: its folder below the one that was searched; that one's own name for itself.
        folder: where its analysis belongs: its folder, or for one of several models that are files
            of one folder, a folder of the file's name, which need not be there.
        source: what `read_checkpoint` takes.
        kind: what it looks like.
    """

    name: str
    folder: Path
    source: Path
    kind: FoundKind


def recognise(path: Path) -> FoundModel | None:
    """Return the model that a folder or weight file is, or None when it is none, or several.

    Folders below are not searched, except `pruned_model`.
    """
    if path.is_file():
        look = glance(path)
        return FoundModel(path.stem, path.parent, path, _KINDS[look]) if look else None
    found = _models_of(path, path.resolve().name)[0] if path.exists() else []
    return found[0] if len(found) == 1 else None


def find_models(root: Path) -> list[FoundModel]:
    """Return the models in a folder and below it, in order of their paths.

    Links to folders are not followed. Hidden folders, `analysis`, `evaluation` and `logs` are not
    searched, nor the parts of a model (`checkpoint-*`, other formats). A folder that may not be
    read is in the list, as a model that cannot be.

    Raises:
        FileError: there is no such folder.
    """
    try:
        is_folder = root.is_dir()
    except OSError as error:
        raise FileError(f"cannot read: {error.strerror or error}", where=str(root)) from error
    if not is_folder:
        raise FileError("there is no such folder", where=str(root), mend="check the path")
    own = root.resolve().name
    found: list[FoundModel] = []
    waiting = [(root, "")]
    while waiting:
        folder, name = waiting.pop()
        models, folders = _models_of(folder, name or own)
        found += models
        skipped = (*RESULTS, *_skipped(models))
        waiting += [
            (folder / part, f"{name}/{part}" if name else part)
            for part in reversed(folders)
            if not any(fnmatch(part, pattern) for pattern in skipped)
        ]
    return found


def _skipped(models: Sequence[FoundModel]) -> tuple[str, ...]:
    """Return which folders in a folder with these models hold no other models."""
    if not models:
        return ()
    return PARTS if models[0].kind == "pruned_model" else PARTS[1:]


def _models_of(folder: Path, name: str) -> tuple[list[FoundModel], list[str]]:
    """Return the models of a folder, and the names of the folders in it."""
    files: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not _is_folder(entry):
                    files.append(entry.name)
                elif not entry.name.startswith(".") and not entry.is_symlink():
                    folders.append(entry.name)
    except OSError:
        return [FoundModel(name, folder, folder, "unreadable")], []
    files.sort()
    folders.sort()
    models = models_in(folder, name, files)
    if not models and (folder / SUBFOLDER).is_dir():
        models = _in_subfolder(folder, name)
    return models, folders


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def models_in(folder: Path, name: str, files: Sequence[str]) -> list[FoundModel]:
    """Return the models whose weights lie in a folder itself."""
    groups = models_among(files)
    chosen = [group for group in groups if Path(group[0]).stem == SUBFOLDER]
    looks = {group[0]: look for group in chosen or groups if (look := glance(folder / group[0]))}
    if chosen or is_standard(folder, files):
        sliced = "slicegpt" in looks.values()
        kind: FoundKind = "slicegpt" if sliced else "bin" if chosen else "huggingface"
        return [FoundModel(name, folder, folder, kind)]
    if len(looks) == 1:
        (look,) = looks.values()
        return [FoundModel(name, folder, folder, _KINDS[look])]
    models = []
    for file, look in looks.items():
        if look != "unreadable":
            stem = Path(file).stem
            models.append(FoundModel(f"{name}/{stem}", folder / stem, folder / file, _KINDS[look]))
    return models


_KINDS: dict[Look, FoundKind] = {
    "layers": "bin",
    "slicegpt": "slicegpt",
    "unreadable": "unreadable",
}


def _in_subfolder(folder: Path, name: str) -> list[FoundModel]:
    inner = folder / SUBFOLDER
    if leads_out(inner):
        return [FoundModel(name, folder, folder, "unreadable")]
    try:
        models = models_in(inner, name, file_names(inner))
    except FileError:
        return [FoundModel(name, folder, folder, "unreadable")]
    if not models:
        return []
    kind = models[0].kind
    kind = kind if kind in ("slicegpt", "unreadable") else "pruned_model"
    return [FoundModel(name, folder, folder, kind)]
