"""Read what the files of a model say about it: headers only, and no code of theirs runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from depthprune.base.errors import FileError, ModelError
from depthprune.base.files import read_json
from depthprune.blocks.checkpoint import is_path
from depthprune.blocks.cut.safetensors_files import read_header
from depthprune.structure.checkpoint import Checkpoint, Kind, Tensor
from depthprune.structure.weights import INDEXES, Weights, check_link, find_weights

LARGEST_JSON = 64 * 1024**2
"""Bytes of a configuration or an index; for 200,000 tensors it takes some 20 million."""


def read_checkpoint(source: str | Path, *, revision: str | None = None) -> Checkpoint:
    """Return what a model's files say about it; no weight is read, and no network asked.

    Args:
        source: a folder in Hugging Face format, one with a single weight file, or with a folder
            `pruned_model`; a weight file (safetensors, or what `torch.save` wrote: a state
            dictionary, a module, or either in a dictionary); or the name of a model on the hub,
            which is looked up in the local cache.
        revision: of the model on the hub.

    Raises:
        ModelError: there is no such model, its files are damaged or lead out of their folder.
        FileError: a file cannot be read, or is none of its kind.
    """
    weights = find_weights(_located(source, revision))
    tensors: dict[str, Tensor] = {}
    for file in weights.files:
        tensors |= read_header(file).tensors
    _check_index(weights, tensors)
    if not tensors:
        raise ModelError("the model has no tensors", where=str(weights.path))
    return Checkpoint(
        path=weights.path,
        kind=_kind(weights, tensors),
        tensors=tensors,
        files=weights.files,
        config=_config(weights),
        notes=weights.notes,
    )


def _located(source: str | Path, revision: str | None) -> Path:
    try:
        path = Path(source).expanduser()
        if path.is_dir() or path.is_file():
            return path
        if path.exists():
            raise ModelError("it is neither a folder nor a file", where=str(path))
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(f"cannot read: {error}", where=str(source)) from error
    if isinstance(source, Path) or is_path(source):
        raise ModelError("there is no such model", where=str(path), mend="check the path")
    from depthprune.blocks.cut.find_source import source_folder

    return source_folder(source, revision=revision, download=False)


def _kind(weights: Weights, tensors: dict[str, Tensor]) -> Kind:
    if any(name.endswith("shortcut_Q") for name in tensors):
        return "slicegpt"
    return "huggingface" if weights.standard else "state_dict"


def _config(weights: Weights) -> dict[str, Any]:
    path = weights.folder / "config.json"
    if not path.is_file():
        return {}
    return read_object(path, weights.folder)


def read_object(path: Path, folder: Path) -> dict[str, Any]:
    """Return the JSON object in a file that belongs to a model.

    Raises:
        ModelError: it is a link out of the folder.
        FileError: it cannot be read, is too large, or holds no object.
    """
    check_link(path, folder)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise FileError(f"cannot read: {error.strerror or error}", where=str(path)) from error
    if size > LARGEST_JSON:
        raise FileError(f"its {size} bytes are more than any model needs", where=str(path))
    value = read_json(path, infinity=True)
    if not isinstance(value, dict):
        raise FileError("it holds no JSON object", where=str(path))
    return value


def _check_index(weights: Weights, tensors: dict[str, Tensor]) -> None:
    """Check that the files hold what their index promises."""
    index = weights.folder / INDEXES[weights.files[0].suffix != ".safetensors"]
    if not weights.standard or len(weights.files) == 1 or not index.is_file():
        return
    names = read_object(index, weights.folder)["weight_map"]
    missing = [name for name in names if name not in tensors]
    if missing:
        raise ModelError(
            f"the index of the weights names {missing[0]}, which {names[missing[0]]} does not hold",
            where=str(index),
            mend="download the checkpoint again",
        )
