"""What lies in a checkpoint folder: its tensors, and everything a user needs beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from depthprune.base.errors import FileError, ModelError
from depthprune.base.files import read_json
from depthprune.blocks.checkpoint import weight_files
from depthprune.blocks.cut.also import FILE_NAMES
from depthprune.blocks.cut.configuration import QUANTIZATION_FILES
from depthprune.blocks.cut.safetensors_files import read_safetensors
from depthprune.blocks.cut.shards import INDEX_NAME, SINGLE_NAME
from depthprune.blocks.cut.stored import StoredTensor
from depthprune.blocks.links import check_link, leads_out

Reason = Literal[
    "hidden", "broken link", "link out of the folder", "no file", "weights", "too large"
]
"""Why a file is left out; weights: in another format, or of the state of training."""

_WEIGHT_SUFFIXES = (
    ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".gguf", ".ggml", ".onnx",
    ".onnx_data", ".pb", ".tflite", ".ot", ".npz", ".mlmodel", ".nemo", ".distcp", ".tar", ".zip",
    ".gz", ".pkl", ".pickle",
)  # fmt: skip
# Those for other tools say what an earlier cut removed from another model.
_WRITTEN_ANEW = frozenset(
    {"config.json", "README.md", "depthprune.json", *QUANTIZATION_FILES, *FILE_NAMES.values()}
)
_MOST_BYTES = 200 * 10**6


@dataclass(frozen=True)
class SmallFile:
    """A file that is copied as it is: its path inside the checkpoint, and its size in bytes."""

    path: str
    num_bytes: int


@dataclass(frozen=True)
class SmallFiles:
    """The files beside weights and configuration.

    Attributes:
        copied: what the smaller checkpoint gets too.
        left_out: what it does not get, with the reason: weights in other formats, hidden files,
            links that lead out of the folder.
    """

    copied: tuple[SmallFile, ...]
    left_out: tuple[tuple[str, Reason], ...]


def read_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Return every tensor of a checkpoint by its key, in the order of files and bytes.

    Raises:
        ModelError: there are no weights, a file is truncated or damaged or a link out of the
            folder, or the index names a file or tensor that is not there.
        FileError: a file cannot be read.
    """
    tensors: dict[str, StoredTensor] = {}
    paths = weight_files(folder)
    for path in paths:
        check_link(path, folder)
        found: dict[str, StoredTensor]
        if path.suffix == ".safetensors":
            found = dict(read_safetensors(path))
        else:
            from depthprune.blocks.cut.pickled import read_pickled

            found = read_pickled(path)
        tensors |= found
    for index in (folder / INDEX_NAME, folder / "pytorch_model.bin.index.json"):
        if index.is_file() and paths[0].name not in (SINGLE_NAME, "pytorch_model.bin"):
            _check_index(index, tensors)
            break
    if not tensors:
        raise ModelError("the checkpoint has no tensors", where=str(folder))
    return tensors


def _check_index(index: Path, tensors: dict[str, StoredTensor]) -> None:
    try:
        files: dict[str, str] = read_json(index)["weight_map"]
    except FileError as error:
        raise ModelError("the index of the weights is broken", where=error.where) from error
    for name, file in files.items():
        if name not in tensors:
            raise ModelError(
                f"the index of the weights names {name}, which {file} does not hold",
                where=str(index),
                mend="download the checkpoint again",
            )


def find_small_files(folder: Path) -> SmallFiles:
    """Return the files of a checkpoint beside weights and configuration.

    Links are followed to files of the folder, or of the hub's cache that it lies in, alone.
    """
    copied: list[SmallFile] = []
    left_out: list[tuple[str, Reason]] = []
    used = {path.name for path in weight_files(folder)}
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if name in used or name in _WRITTEN_ANEW or name.endswith(".index.json"):
            continue
        reason = _reason_to_leave_out(path, folder)
        if reason:
            left_out.append((name, reason))
        else:
            copied.append(SmallFile(name, path.stat().st_size))
    return SmallFiles(tuple(copied), tuple(left_out))


def _files(folder: Path) -> Iterator[Path]:
    """Yield everything in a folder and the folders in it that is no folder, in order of name."""
    for place, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(place)
        for name in sorted(folders):
            if (here / name).is_symlink():
                yield here / name
        for name in sorted(names):
            yield here / name


def _reason_to_leave_out(path: Path, folder: Path) -> Reason | None:
    if path.name.startswith("."):
        return "hidden"
    if not path.exists():
        return "broken link"
    if path.is_symlink() and leads_out(path, folder):
        return "link out of the folder"
    if not path.is_file():
        return "no file"
    if path.suffix.lower() in _WEIGHT_SUFFIXES:
        return "weights"
    if path.stat().st_size > _MOST_BYTES:
        return "too large"
    return None
