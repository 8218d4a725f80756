"""The models below some folders, whatever program wrote them, and which of them are wanted."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch, fnmatchcase
from pathlib import Path
from typing import Literal

from depthprune.base.errors import AnalysisError, FileError
from depthprune.checkpoint.folder import leads_out
from depthprune.structure.layouts import ANATOMY_FILES, COMPARISON_FILES, FOLDER, ORIGINAL_FILE
from depthprune.structure.weights import (
    LIST_NAME,
    SUBFOLDER,
    file_names,
    glance,
    is_standard,
    models_among,
)

NEAR = 0.015
"""How far a measured ratio may be from the one asked for. Where whole layers go, it moves in steps:
one layer of a Llama-3-8B is 0.027 of it, so the nearest possible ratio is within half of that."""

_SEPARATORS = re.compile(r"[-_ ]")
_LAST_NUMBER = re.compile(r"(?:^|(?P<word>[A-Za-z]*)[-_ ])(?P<number>0\.\d+|\d{1,4})(?:%|pct)?$")
_COUNTED = re.compile(r"(checkpoint|drop|epoch|remove|removed|run|seed|v|(block|layer|step)s?)")
"""A number behind such a word is no ratio."""


def is_of_method(name: str, method: str) -> bool:
    """Return whether a model's name tells this method.

    Case does not matter. A part of the name is enough, and `-`, `_` and spaces in it do not count;
    with `*`, `?` or `[...]` it is a pattern for the whole name, or for one of its folders.

    Args:
        name: e.g. `baselines/Magnitude_2000`; the folder that was searched does not count.
        method: e.g. `Magnitude`, `h-gsp` or `wanda_*`.
    """
    name, wanted = name.lower(), method.lower()
    folders = name.split("/")
    own = folders[1:] or folders
    if any(sign in wanted for sign in "*?["):
        return any(fnmatchcase(text, wanted) for text in (*own, "/".join(own), name))
    return _SEPARATORS.sub("", wanted) in _SEPARATORS.sub("", "/".join(own))


def is_near_ratio(name: str, measured: float | None, wanted: float) -> bool:
    """Return whether a model was pruned by about this ratio, or is named so.

    The name counts too: what SliceGPT calls 20% takes away 10% of the parameters.

    Args:
        name: of the model.
        measured: share of the parameters that is gone; None where nothing tells.
        wanted: 0..1.
    """
    # Both are decimal fractions: 0.015 is near, whatever binary makes of it.
    near = measured is not None and abs(measured - wanted) <= NEAR + 1e-9
    named = ratio_in_name(name)
    return near or (named is not None and abs(named - wanted) < 1e-9)


def ratio_in_name(name: str) -> float | None:
    """Return the ratio that a name ends with: `_2000`, `_20`, `-0.2` and `_20%` all say 0.2."""
    found = _LAST_NUMBER.search(name.rpartition("/")[2])
    if found is None or _COUNTED.fullmatch((found["word"] or "").lower()):
        return None
    number = found["number"]
    if "." in number:
        return float(number)
    return int(number) / (10_000 if len(number) == 4 else 100) if int(number) else None


def parse_ratio(text: str) -> float:
    """Return a ratio that was written as `0.2`, `20`, `20%` or `2000`.

    Below 1 it is a share, up to 100 a percentage, above that hundredths of a percent, as in names.

    Raises:
        AnalysisError: it is none of these.
    """
    try:
        number = float(text.strip().removesuffix("%"))
    except ValueError:
        number = -1.0
    if "%" in text or 1 <= number <= 100:
        number /= 100
    elif number > 100:
        number /= 10_000
    if not 0 < number <= 1:
        raise AnalysisError(
            f"the pruning ratio must be a share or a percentage, not {text!r}",
            option="ratio",
            mend="write 0.2, 20, 20% or 2000; all of them mean a fifth",
        )
    return number


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
        return FoundModel(path.stem, path.parent, path, look) if look else None
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
        return [FoundModel(name, folder, folder, look)]
    models = []
    for file, look in looks.items():
        if look != "unreadable":
            stem = Path(file).stem
            models.append(FoundModel(f"{name}/{stem}", folder / stem, folder / file, look))
    return models


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
        model: what to analyze: the folder, or one of the files of several models in it; None where
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
                "it must be a folder" if given.exists() else "there is no such folder",
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
class _FolderToSearch:
    """A folder to look into; `model` is the file whose analysis it holds."""

    path: Path
    name: str
    model: Path | None = None
    is_variant: bool = False


def _below(given: Path, prefix: str, homes: tuple[Path, ...]) -> Iterator[ModelFolder]:
    waiting = [_FolderToSearch(given, prefix)]
    while waiting:
        place = waiting.pop()
        path, name = place.path, place.name
        try:
            with os.scandir(path) as entries:
                members = list(entries)
        except FileNotFoundError:  # of a model that is a file: made when it is analyzed
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
        is_analyzed = FOLDER in folders and not _KNOWN.isdisjoint(_names(path / FOLDER))
        is_evaluated = EVALUATION in folders or EVALUATION_FILE in files
        is_listed = LIST_NAME in files
        is_lacking = not place.is_variant and (own is not None or is_evaluated or is_listed)
        if is_analyzed or is_lacking:
            yield ModelFolder(name, path, analysis_files(path) if is_analyzed else (), own)
        for entry in members:
            if entry.is_symlink() and entry.name not in _PARTS:
                yield from _link(Path(entry.path), f"{name}/{entry.name}", homes)
        # Of several models in one folder, each has a folder of its own name for its analysis.
        several = models if len(models) > 1 else {}
        waiting += [
            _FolderToSearch(
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
    """Return what to analyze of the models in a folder, by the names of their own folders."""
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
