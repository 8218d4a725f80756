"""Which files hold a model's weights: of a folder, or of a file that was named itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from depthprune.base.errors import FileError, ModelError
from depthprune.base.language import Note, counted
from depthprune.checkpoint.folder import (
    check_link,
    find_weight_files,
    leads_out,
    named_weights,
    refuse_pointer,
)
from depthprune.structure.notes import Sentence
from depthprune.structure.ranks import Program, lacking, rank_of

SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")

Look = Literal["slicegpt", "bin", "unreadable"]
"""What SliceGPT wrote; tensors of numbered layers, or modules; a file that may not be read, or a
link out of its folder."""

# Names come first in every format.
_GLANCE = 1024**2
_LAYERS = re.compile(rb"\.\d+\.|_modules|\.(layers|blocks|h)\.")


def glance(path: Path) -> Look | None:
    """Return what a weight file looks like; None when nothing in it is a layer's."""
    if not path.name.endswith(SUFFIXES):
        return None
    if leads_out(path):
        return "unreadable"
    try:
        if not path.is_file():  # reading a pipe would wait for ever
            return None
        with path.open("rb") as file:
            start = file.read(_GLANCE)
    except OSError:
        return "unreadable"
    if b"shortcut_Q" in start:
        return "slicegpt"
    return "bin" if _LAYERS.search(start) else None


SUBFOLDER = "pruned_model"
"""A model's folder may hold the model in a folder of this name, beside `analysis` and the like."""

LIST_NAME = "layers_to_remove.json"
"""What scripts that remove layers write into a model's folder, or into `analysis/`."""

_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")

_STANDARD = ("model.safetensors", "pytorch_model.bin", *_INDEXES)
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
        notes: what was left out.
        index: the file that lists them, None where there is none.
        ranks: the program that saved them, one file for each of several processes; else None.
        partial: why they are not the whole model; None when they are.
    """

    path: Path
    folder: Path
    files: tuple[Path, ...]
    notes: tuple[Note, ...] = ()
    index: Path | None = None
    ranks: Program | None = None
    partial: Note | None = None


def find_weights(path: Path) -> Weights:
    """Return the weight files of a model; links out of its folder are refused.

    Args:
        path: a folder, or a weight file, which may be a link itself.

    Raises:
        ModelError: there are none, several models, parts are missing, or a link leads out.
        FileError: the folder cannot be read.
    """
    if not path.is_dir():
        refuse_pointer(path)
        if format_name := _NOT_READ.get(path.suffix.lower()):
            raise _not_read(path, format_name)
        return _of_group(path.parent, [path.name], named=True)
    names = file_names(path)
    found = _meant(path, names)
    if found is None and (path / SUBFOLDER).is_dir():
        check_link(path / SUBFOLDER, path)
        inner, within = path / SUBFOLDER, file_names(path / SUBFOLDER)
        found = _meant(inner, within) or _any(inner, models_among(within))
    found = found or _any(path, models_among(names))
    if found is None:
        raise _no_weights(path, names)
    for file in found.files:
        check_link(file, found.folder)
        if not file.is_file():  # reading a pipe would wait for ever
            raise ModelError("it must be a file", where=str(file))
        refuse_pointer(file)
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
        part, rank = _PART.fullmatch(name), rank_of(name)
        model = f"{part['stem']}{part['suffix']}" if part else rank.stem if rank else name
        groups.setdefault(model, []).append(name)
    return list(groups.values())


def is_standard(folder: Path, names: Sequence[str]) -> bool:
    """Return whether a folder with these files has weights where Hugging Face looks for them."""
    if any(name in names for name in _STANDARD):
        return True
    try:
        return "config.json" in names and named_weights(folder) is not None
    except ModelError:  # told when the model is read
        return True


def _meant(folder: Path, names: Sequence[str]) -> Weights | None:
    """Return the weights that are meant: by their name, else those that look as a model's do.

    Gradients and the like may lie beside them.
    """
    groups = models_among(names)
    chosen = [group for group in groups if Path(group[0]).stem == SUBFOLDER]
    if not chosen and is_standard(folder, names):
        for name in _INDEXES:
            check_link(folder / name, folder)
        found = find_weight_files(folder)
        notes = _left_out(groups, [file.name for file in found.files])
        return Weights(folder, folder, found.files, notes=notes, index=found.index)
    return _any(folder, chosen or [group for group in groups if glance(folder / group[0])], groups)


def _any(
    folder: Path, groups: Sequence[list[str]], beside: Sequence[list[str]] = ()
) -> Weights | None:
    if not groups:
        return None
    if len(groups) > 1:
        raise ModelError(
            "there are several models in the folder: "
            + ", ".join(group[0] for group in groups[:5]),
            where=str(folder),
            mend="name the file of one",
        )
    (group,) = groups
    found = _of_group(folder, group)
    return replace(found, notes=(*found.notes, *_left_out(beside, group)))


def _of_group(folder: Path, group: Sequence[str], *, named: bool = False) -> Weights:
    files = tuple(folder / name for name in group)
    rank = rank_of(group[0])
    if rank is not None:
        path = files[0] if len(files) == 1 else folder
        program = rank.program if len(files) > 1 else None
        return Weights(path, folder, files, ranks=program, partial=lacking(files))
    part = _PART.fullmatch(group[0])
    if part is None:
        return Weights(files[0], folder, files)
    count = int(part["count"])
    if len(group) == count:
        return Weights(folder, folder, files, notes=(Note(Sentence.NO_INDEX),))
    if not named:
        raise ModelError(
            f"there are {len(group)} of {counted(count, 'part')} of the model",
            where=str(folder),
            mend="download the checkpoint again",
        )
    partial = Note(Sentence.ONE_PART, name=group[0], n=count)
    return Weights(files[0], folder, files, partial=partial)


def _left_out(groups: Sequence[Sequence[str]], used: Sequence[str]) -> tuple[Note, ...]:
    others = [group[0] for group in groups if not set(group) & set(used)]
    return (Note(Sentence.OTHER_FILES, names=", ".join(others[:5])),) if others else ()


_NOT_READ = {
    ".gguf": "GGUF",
    ".ggml": "GGML",
    ".nemo": "NeMo",
    ".npz": "NumPy",
    ".npy": "NumPy",
    ".h5": "TensorFlow",
    ".msgpack": "Flax",
    ".onnx": "ONNX",
    ".distcp": "torch.distributed.checkpoint",
    ".tflite": "TensorFlow Lite",
    ".mlmodel": "Core ML",
}
"""Endings of weight files in formats that are not read."""


def _not_read(path: Path, format_name: str) -> ModelError:
    return ModelError(
        f"the weights are in the format {format_name}, which is not read",
        where=str(path),
        mend="convert them to safetensors with the tools of that format",
    )


def _no_weights(folder: Path, names: Sequence[str]) -> ModelError:
    if any(fnmatch(name, "adapter_model.*") for name in names):
        return ModelError(
            "the folder holds an adapter, not a model",
            where=str(folder),
            mend="merge it into its model, and save that",
        )
    for name in names:
        if format_name := _NOT_READ.get(Path(name).suffix.lower()):
            return _not_read(folder / name, format_name)
    return ModelError(
        "the folder holds no model",
        where=str(folder),
        mend=f"it needs weights: one of {', '.join(f'*{suffix}' for suffix in SUFFIXES)}, "
        "or the parts of one; `structure batch` looks for models in the folders below",
    )
