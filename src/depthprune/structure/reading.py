"""Read what the files of a model say about it: headers only, and no code of theirs runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from depthprune.base.errors import MissingModelError, ModelError
from depthprune.base.language import Note
from depthprune.checkpoint.folder import (
    LARGEST_INDEX,
    configuration_path,
    is_path,
    local_path,
    read_json_object,
)
from depthprune.checkpoint.safetensors_files import read_header
from depthprune.checkpoint.stored import Tensor
from depthprune.cutting.keys import Unwrapping
from depthprune.structure.origin import origin_of
from depthprune.structure.pickled_model import PickledModel, read_pickled_model
from depthprune.structure.ranks import join_ranks
from depthprune.structure.tensors import Checkpoint, renamed
from depthprune.structure.unfold import unfold, with_shapes
from depthprune.structure.weights import Weights, find_weights


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
    stored, pickled, unknown = _read_files(weights)
    _check_index(weights, stored)
    if not stored and not unknown:
        raise ModelError(
            "the model has no tensors with names",
            where=str(weights.path),
            mend="name the file of its weights; a list of tensors without names says nothing",
        )
    unwrapping = Unwrapping([*stored, *unknown])
    tensors: dict[str, Tensor] = {
        (own := unwrapping.tensor(name)): renamed(tensor, own) for name, tensor in stored.items()
    }
    config = _config(weights, pickled)
    tensors, unclear = unfold(tensors, config)
    unclear |= {unwrapping.tensor(name): reason for name, reason in unknown.items()}
    said = ((weights.path.name, pickled.beside), ("config", config))
    provenance, notes = origin_of(weights.folder, *said)
    return Checkpoint(
        path=weights.path,
        tensors=tensors,
        files=weights.files,
        config=config,
        types=unwrapping.modules(pickled.types),
        attributes=unwrapping.modules(pickled.attributes),
        partial=weights.partial,
        unknown=unclear,
        provenance=provenance,
        notes=(*weights.notes, *notes),
    )


def _read_files(weights: Weights) -> tuple[dict[str, Tensor], PickledModel, dict[str, Note]]:
    """Return the tensors of all files, what the last pickled one says, and what is not known."""
    read: list[Mapping[str, Tensor]] = []
    pickled = PickledModel()
    unknown: dict[str, Note] = {}
    for file in weights.files:
        if file.suffix == ".safetensors":
            tensors, unclear = with_shapes(read_header(file))
            read.append(tensors)
            unknown |= unclear
        else:
            pickled = read_pickled_model(file)
            read.append(pickled.tensors)
            unknown |= pickled.unknown
    if weights.ranks and not weights.partial:
        tensors, unclear = join_ranks(weights.ranks, read)
        return tensors, pickled, unknown | unclear
    return {name: tensor for part in read for name, tensor in part.items()}, pickled, unknown


def _located(source: str | Path, revision: str | None) -> Path:
    path = local_path(source)
    if path.is_dir() or path.is_file():
        return path
    if path.exists():
        raise ModelError("it is neither a folder nor a file", where=str(path))
    if isinstance(source, Path) or is_path(source):
        raise ModelError("there is no such model", where=str(path), mend="check the path")
    from depthprune.checkpoint.folder import source_folder

    try:
        return source_folder(source, revision=revision, download=False)
    except MissingModelError as error:
        # These commands have no such option.
        mend = "check the path; of a model on the hub, name the folder it was downloaded to"
        raise error.but(mend=mend) from error


def _config(weights: Weights, pickled: PickledModel) -> dict[str, Any]:
    path = configuration_path(weights.folder)
    if pickled.config or not path.is_file():
        return pickled.config
    return read_json_object(path, weights.folder)


def _check_index(weights: Weights, tensors: Mapping[str, Tensor]) -> None:
    """Check that the files hold what their index promises."""
    index = weights.index
    if index is None:
        return
    files = read_json_object(index, weights.folder, most=LARGEST_INDEX)["weight_map"]
    missing = [name for name in files if name not in tensors]
    if missing:
        raise ModelError(
            f"the index of the weights names {missing[0]}, which {files[missing[0]]} does not hold",
            where=str(index),
            mend="download the checkpoint again",
        )
