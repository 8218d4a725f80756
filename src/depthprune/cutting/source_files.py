"""What lies in a checkpoint folder: its tensors, and everything a user needs beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from depthprune.base.errors import DepthpruneError, FileError, ModelError
from depthprune.base.files import read_json
from depthprune.checkpoint.folder import (
    check_link,
    configuration_path,
    find_weight_files,
    leads_out,
)
from depthprune.checkpoint.safetensors_files import read_safetensors
from depthprune.checkpoint.stored import StoredTensor
from depthprune.cutting.keys import Numbering
from depthprune.cutting.model_card import FILE_NAMES
from depthprune.cutting.quantization import QUANTIZATION_FILES

Reason = Literal[
    "hidden", "broken link", "link out of the folder", "no file", "weights", "whole model",
    "too large",
]  # fmt: skip
"""Why a file is left out; weights: other copies of the model's, or the state of training; whole
model: it describes the whole model, which the smaller one is not."""

TENSOR_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
"""Files whose tensors tell whether they are the model's own."""

_FORMATS = (
    "*.h5", "*.msgpack", "*.gguf", "*.ggml", "*.onnx", "*.onnx_data", "*.onnx.data", "*.pb",
    "*.tflite", "*.ot", "*.mlmodel", "*.nemo", "*.distcp", "*.llamafile", "*.engine", "*.plan",
    "*.tar", "*.tar.gz", "*.tgz", "*.zip",
)  # fmt: skip
"""Weights in formats of other programs, wherever they lie."""

_WEIGHTS_AT_TOP = (
    "model.safetensors", "model-*-of-*.safetensors", "model.*.safetensors", "pytorch_model*.bin",
    "consolidated*", "params_shard_*", "openvino_*model.bin", "model.bin", "mp_rank_*",
    "optimizer*.pt", "optimizer*.bin", "scheduler.pt", "scaler.pt", "rng_state*", "random_states*",
    "training_args.bin", "trainer_state.json", "events.out.tfevents*", "latest", "*imatrix*",
)  # fmt: skip

_DESCRIPTIONS_AT_TOP = (
    "*.index.json", "*.index.*.json", "config.*.json", "params.json", "genai_config.json",
    "ort_config.json", "openvino_*", "recipe.yaml", "mergekit_config.y*ml", "mlc-chat-config.json",
    "ndarray-cache*.json", "tensor-cache.json", "measurement.json", "*_results.json",
    "adapter_*",
)  # fmt: skip

_FOLDERS = (
    "checkpoint-*", "global_step*", "onnx*", "openvino*", "coreml", "gguf", "ggml", "original",
    "tensorrt*", "runs", "mlx*",
)  # fmt: skip


def leftover(name: str, *, at_top: bool) -> Reason | None:
    """Return why a file is left out by its name, None when the name says nothing against it.

    Args:
        name: of the file.
        at_top: whether it lies in the folder of the checkpoint itself.
    """
    if _matches(name.lower(), _FORMATS):
        return "weights"
    if at_top and _matches(name, _WEIGHTS_AT_TOP):
        return "weights"
    if at_top and _matches(name, _DESCRIPTIONS_AT_TOP):
        return "whole model"
    return None


def is_copy_folder(name: str) -> bool:
    """Return whether a folder holds the whole model once more, or an earlier state of it."""
    return _matches(name, _FOLDERS)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


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
        left_out: what it does not get, with the reason: other copies of the weights, what describes
            the whole model, hidden files, links that lead out of the folder; folders end with `/`.
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
    weights = find_weight_files(folder)
    for path in weights.files:
        check_link(path, folder)
        tensors |= _tensors_of(path)
    if weights.index is not None:
        _check_index(weights.index, tensors)
    if not tensors:
        raise ModelError("the checkpoint has no tensors", where=str(folder))
    return tensors


def _tensors_of(path: Path) -> dict[str, StoredTensor]:
    if path.suffix == ".safetensors":
        return dict(read_safetensors(path))
    from depthprune.checkpoint.torch_files import read_pickled

    return read_pickled(path)


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


def find_small_files(folder: Path, blocks: Mapping[str, tuple[int, ...]]) -> SmallFiles:
    """Return the files of a checkpoint beside weights and configuration.

    Whatever a load may open is copied, also tensors: the modules of sentence-transformers, voices,
    codecs. What holds or describes this model itself is not: it would be about the whole one.
    Links are followed to files of the folder, or of the hub's cache that it lies in, alone.

    Args:
        folder: of the whole checkpoint.
        blocks: see `tensors_of_blocks`.
    """
    copied: list[SmallFile] = []
    left_out: list[tuple[str, Reason]] = []
    weights = find_weight_files(folder)
    loaded = (*weights.files, *([weights.index] if weights.index else ()))
    used = {path.relative_to(folder).as_posix() for path in loaded}
    configuration = configuration_path(folder).name
    modules = _modules(folder)
    for path in _entries(folder, modules):
        name = path.relative_to(folder).as_posix()
        if name in used or name in _WRITTEN_ANEW or name == configuration:
            continue
        if path.is_dir() and not path.is_symlink():
            left_out.append((f"{name}/", "whole model"))
            continue
        named = path.parent in modules
        reason = _reason_to_leave_out(path, folder, named, blocks)
        if reason:
            left_out.append((name, reason))
        else:
            copied.append(SmallFile(name, path.stat().st_size))
    return SmallFiles(tuple(copied), tuple(left_out))


def _modules(folder: Path) -> frozenset[Path]:
    """Return the folders of the modules that sentence-transformers loads beside the model."""
    path = folder / "modules.json"
    try:
        listed = read_json(path) if path.is_file() and not leads_out(path, folder) else []
    except FileError:  # copied as it is
        return frozenset()
    names = [one.get("path") for one in listed if isinstance(one, dict)] if listed else []
    return frozenset(folder / name for name in names if isinstance(name, str) and name.strip("./"))


def _entries(folder: Path, modules: frozenset[Path]) -> Iterator[Path]:
    """Yield files and links of a folder and those in it, and whole folders that are left out."""
    for place, folders, names in os.walk(folder, followlinks=False):
        here = Path(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in list(folders):
            apart = here == folder and is_copy_folder(name) and here / name not in modules
            if apart or (here / name).is_symlink():
                yield here / name
            if apart:
                folders.remove(name)
        for name in sorted(names):
            yield here / name


def _reason_to_leave_out(
    path: Path, folder: Path, named: bool, blocks: Mapping[str, tuple[int, ...]]
) -> Reason | None:
    if path.name.startswith("."):
        return "hidden"
    if not path.exists():
        return "broken link"
    if path.is_symlink() and leads_out(path, folder):
        return "link out of the folder"
    if not path.is_file():
        return "no file"
    if named:
        return None
    known = leftover(path.name, at_top=path.parent == folder)
    if known:
        return known
    if (path.parent / "adapter_config.json").is_file():
        return "whole model"
    if path.suffix in TENSOR_SUFFIXES:
        return "weights" if _has_blocks(path, blocks) else None
    return "too large" if path.stat().st_size > _MOST_BYTES else None


def _has_blocks(path: Path, blocks: Mapping[str, tuple[int, ...]]) -> bool:
    """Return whether a file holds tensors of the model's own blocks, under whatever prefix."""
    try:
        tensors = _tensors_of(path)
    except DepthpruneError:  # of another kind
        return False
    return any(
        blocks.get(name[start:]) == tuple(tensor.shape)
        for name, tensor in tensors.items()
        for start in (match.start(1) for match in _NUMBER.finditer(name))
    )


_NUMBER = re.compile(r"(?:^|\.)(\d+)(?=\.)")


def tensors_of_blocks(
    tensors: Mapping[str, StoredTensor], numberings: Sequence[Numbering]
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the blocks' tensors, by their keys from the number of the block on."""
    return {
        name[len(one.prefix) :]: tuple(tensor.shape)
        for name, tensor in tensors.items()
        for one in numberings
        if one.block(name) is not None
    }
