"""Which files hold a model's weights: of a folder, or of a file that was named itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from depthprune.base.errors import FileError, ModelError
from depthprune.blocks.checkpoint import weight_files

SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")

SUBFOLDER = "pruned_model"
"""A model's folder may hold the model in a folder of this name, beside `analysis` and the like."""

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")

_STANDARD = ("model.safetensors", "pytorch_model.bin", *INDEXES)
_OF_TRAINING = (
    "optimizer*", "scheduler*", "scaler*", "training_args*", "rng_state*", "random_states*",
    "adapter_*", "trainer_state*",
)  # fmt: skip
_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.\w+)")


@dataclass(frozen=True)
class Weights:
    """The weight files of one model.

    Attributes:
        path: the folder, or the one file of a folder that is not in Hugging Face format.
        folder: where `config.json` and the like lie.
        files: in order of name.
        standard: whether they are named as Hugging Face names them.
        notes: what was left out.
    """

    path: Path
    folder: Path
    files: tuple[Path, ...]
    standard: bool
    notes: tuple[str, ...] = ()


def find_weights(path: Path) -> Weights:
    """Return the weight files of a model; links out of its folder are refused.

    Args:
        path: a folder, or a weight file, which may be a link itself.

    Raises:
        ModelError: there are none, several models, parts are missing, or a link leads out.
        FileError: the folder cannot be read.
    """
    if not path.is_dir():
        part = _PART.fullmatch(path.name)
        notes = (f"{path.name} is one part of {int(part['count'])}",) if part else ()
        return Weights(path, path.parent, (path,), standard=False, notes=notes)
    names = file_names(path)
    found = _of_folder(path, names)
    if found is None and (path / SUBFOLDER).is_dir():
        check_link(path / SUBFOLDER, path)
        found = _of_folder(path / SUBFOLDER, file_names(path / SUBFOLDER))
    if found is None:
        raise _no_weights(path, names)
    for file in found.files:
        check_link(file, found.folder)
        if not file.is_file():  # reading a pipe would wait for ever
            raise ModelError("it is no file", where=str(file))
    return found


def file_names(folder: Path) -> list[str]:
    """Return the names of what lies in a folder, sorted.

    Raises:
        FileError: the folder cannot be read.
    """
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise FileError(f"cannot read: {error.strerror or error}", where=str(folder)) from error


def models_among(names: Sequence[str]) -> list[list[str]]:
    """Group the weight files of a folder by model: parts of one model belong together."""
    groups: dict[str, list[str]] = {}
    for name in names:
        if not name.endswith(SUFFIXES) or any(fnmatch(name, kind) for kind in _OF_TRAINING):
            continue
        part = _PART.fullmatch(name)
        groups.setdefault(f"{part['stem']}{part['suffix']}" if part else name, []).append(name)
    return list(groups.values())


def is_standard(names: Sequence[str]) -> bool:
    """Return whether a folder with these files has weights where Hugging Face looks for them."""
    return any(name in names for name in _STANDARD)


def check_link(path: Path, folder: Path) -> None:
    """Refuse a file or folder that is a link out of a model's folder.

    The hub's cache keeps the files of all revisions of a model in one folder, and links them.

    Raises:
        ModelError: it leads out, or in a circle.
    """
    try:
        target, home = path.resolve(), folder.resolve()
    except (OSError, RuntimeError) as error:
        raise ModelError("the link leads nowhere", where=str(path)) from error
    caches = [
        place.parent
        for place in home.parents
        if place.name == "snapshots" and place.parent.name.startswith("models--")
    ]
    if not any(target.is_relative_to(place) for place in (home, *caches)):
        raise ModelError(
            "the link leads out of the model's folder, and is not followed",
            where=f"{path} -> {target}",
            mend="name the file or folder itself that it leads to",
        )


def _of_folder(folder: Path, names: Sequence[str]) -> Weights | None:
    groups = models_among(names)
    chosen = [group for group in groups if Path(group[0]).stem == SUBFOLDER]
    if not chosen and is_standard(names):
        for name in INDEXES:
            check_link(folder / name, folder)
        files = weight_files(folder)
        notes = _left_out(groups, [file.name for file in files])
        return Weights(folder, folder, files, standard=True, notes=notes)
    if not groups:
        return None
    if len(chosen or groups) > 1:
        raise ModelError(
            "there are several models in the folder: "
            + ", ".join(group[0] for group in (chosen or groups)[:5]),
            where=str(folder),
            mend="name the file of one",
        )
    (group,) = chosen or groups
    found = _of_group(folder, group)
    return replace(found, notes=(*found.notes, *_left_out(groups, group)))


def _of_group(folder: Path, group: Sequence[str]) -> Weights:
    files = tuple(folder / name for name in group)
    part = _PART.fullmatch(group[0])
    if part is None:
        return Weights(files[0], folder, files, standard=False)
    count = int(part["count"])
    if len(group) != count:
        raise ModelError(
            f"there are {len(group)} of {count} parts of the model",
            where=str(folder),
            mend="download the checkpoint again",
        )
    return Weights(folder, folder, files, standard=True, notes=("its parts have no index",))


def _left_out(groups: Sequence[Sequence[str]], used: Sequence[str]) -> tuple[str, ...]:
    others = [group[0] for group in groups if not set(group) & set(used)]
    return (f"other weight files are left out: {', '.join(others[:5])}",) if others else ()


def _no_weights(folder: Path, names: Sequence[str]) -> ModelError:
    if any(fnmatch(name, "adapter_model.*") for name in names):
        return ModelError(
            "the folder holds an adapter, not a model",
            where=str(folder),
            mend="merge it into its model, and save that",
        )
    return ModelError(
        "the folder holds no model",
        where=str(folder),
        mend=f"it needs weights: one of {', '.join(f'*{suffix}' for suffix in SUFFIXES)}, "
        "or the parts of one",
    )
