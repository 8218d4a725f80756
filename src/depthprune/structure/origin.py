"""Where a pruned model comes from: which layers it lacks, as its files say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depthprune.base.errors import DepthpruneError
from depthprune.base.language import Note
from depthprune.cutting.model_card import PROVENANCE_NAME
from depthprune.structure.json_files import read_json_value
from depthprune.structure.notes import Sentence
from depthprune.structure.plain_values import is_count
from depthprune.structure.weights import LIST_NAME, SUBFOLDER

_REMOVED = ("layers_to_remove", "layers_removed", "removed_layers", "removed")
_BEFORE = ("original_num_layers", "original_num_hidden_layers")
_MOST_LAYERS = 10_000


@dataclass(frozen=True)
class Origin:
    """What is known of a model's origin.

    Attributes:
        provenance: see `Checkpoint`; None when nothing tells it.
        notes: what could not be read.
    """

    provenance: Mapping[str, Any] | None = None
    notes: tuple[Note, ...] = ()


def origin_of(folder: Path, *says: tuple[str, Mapping[str, Any]]) -> Origin:
    """Return where a model comes from, by the best that tells it.

    These are `depthprune.json`, `layers_to_remove.json` (a list, or an object that holds one), and
    then values that were found elsewhere. All but the first become `{"removed": [...], "source":
    {"num_blocks": ...}, "read_from": ...}`, as far as they say it.

    Args:
        folder: with the model's files.
        says: values by key that may hold such a list, each with the name of its place.
    """
    notes: list[Note] = []
    folders = [folder, *([folder.parent] if folder.name == SUBFOLDER else [])]
    places = [place / PROVENANCE_NAME for place in folders]
    places += [place / part / LIST_NAME for place in folders for part in ("", "analysis")]
    for path in places:
        if not path.is_file():
            continue
        try:
            value = read_json_value(path, folders[-1])
        except DepthpruneError as error:
            notes.append(Note(Sentence.UNREADABLE, name=path.name, error=error.what))
            continue
        if path.name == PROVENANCE_NAME and _is_provenance(value):
            return Origin(value, tuple(notes))
        found = None if path.name == PROVENANCE_NAME else _removal(value, path.name)
        if found:
            return Origin(found, tuple(notes))
        notes.append(Note(Sentence.NO_REMOVED_LAYERS, name=path.name))
    for place, values in says:
        if found := _removal(values, place):
            return Origin(found, tuple(notes))
    return Origin(None, tuple(notes))


def _removal(value: Any, place: str) -> dict[str, Any] | None:
    """Return the removed layers that a list says, or an object under a known key."""
    if not isinstance(value, dict):
        value = {"removed": value}
    for key in _REMOVED:
        if (layers := value.get(key)) and _is_layers(layers):
            found: dict[str, Any] = {"removed": sorted(layers), "read_from": place}
            before = [value[name] for name in _BEFORE if is_count(value.get(name))]
            if before and max(layers) < before[0]:
                found["source"] = {"num_blocks": before[0]}
            return found
    return None


def _is_layers(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= _MOST_LAYERS
        and all(is_count(layer) and 0 <= layer < _MOST_LAYERS for layer in value)
        and len(set(value)) == len(value)
    )


def _is_provenance(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _is_layers(value[key]) for key in ("removed", "original_indices") if key in value
    )
