"""Which layers of the original a pruned model holds, as its files say it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from depthprune.base.errors import DepthpruneError
from depthprune.base.language import Note
from depthprune.checkpoint.folder import read_json_value
from depthprune.cutting.model_card import PROVENANCE_NAME
from depthprune.structure.names import list_of, split_path, text_config
from depthprune.structure.notes import Sentence
from depthprune.structure.pickled_model import is_count
from depthprune.structure.tensors import Checkpoint
from depthprune.structure.weights import LIST_NAME, SUBFOLDER

_REMOVED = ("layers_to_remove", "layers_removed", "removed_layers", "removed")
_BEFORE = ("original_num_layers", "original_num_hidden_layers")
_MOST_LAYERS = 10_000


def origin_of(
    folder: Path, *says: tuple[str, Mapping[str, Any]]
) -> tuple[Mapping[str, Any] | None, tuple[Note, ...]]:
    """Return where a model comes from, by the best that tells it.

    These are `depthprune.json`, `layers_to_remove.json` (a list, or an object that holds one), and
    then values that were found elsewhere. All but the first become `{"removed": [...], "source":
    {"num_blocks": ...}, "read_from": ...}`, as far as they say it.

    Args:
        folder: with the model's files.
        says: values by key that may hold such a list, each with the name of its place.

    Returns:
        The provenance, see `Checkpoint`, None when nothing tells it; and what could not be read.
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
            return value, tuple(notes)
        found = None if path.name == PROVENANCE_NAME else _removal(value, path.name)
        if found:
            return found, tuple(notes)
        notes.append(Note(Sentence.NO_REMOVED_LAYERS, name=path.name))
    for place, values in says:
        if found := _removal(values, place):
            return found, tuple(notes)
    return None, tuple(notes)


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


Indices = tuple[int, ...]

KEPT_FIELDS = ("original_indices", "kept_layers", "layers_kept", "kept_layer_indices")
"""Fields that name the layers which are left."""

REMOVED_FIELDS = ("removed", "removed_layers", "layers_removed", "layers_to_remove",
                  "pruned_layers", "dropped_layers", "removed_block_indices")  # fmt: skip
"""Fields that name the layers which are gone."""

OWN_NUMBER = "layer_idx"
"""What attention in transformers calls the place of its layer: set when the model was built, so
that in a module that was pickled whole it may still be the one in the original."""

_TEXT_PARTS = ("text", "decoder")
"""Stacks that a cut calls so; others are towers, and say nothing of the text layers."""

_LONGEST_CHAIN = 100


def recorded_layers(
    checkpoint: Checkpoint, num_original: int, num_pruned: int
) -> tuple[Indices, Literal["provenance", "config"]] | None:
    """Return the original's index of every layer, as the checkpoint says it; None if it does not.

    First by its provenance: of a cut of a cut, by the records that each holds of its source. Then
    by fields of its configuration, then by the numbers that layers of a pickled module were built
    with. A record that does not fit these two models is none.

    Args:
        checkpoint: of the pruned model.
        num_original, num_pruned: how many layers the two models have.
    """
    record = checkpoint.provenance
    followed = _followed(record, num_original, num_pruned)
    if record is not None and followed is not None:
        return followed, "config" if record.get("read_from") == "config" else "provenance"
    for config in (text_config(checkpoint.config), checkpoint.config):
        by_config = _indices(config, num_original, num_pruned)
        if by_config is not None:
            return by_config, "config"
    numbered = _numbers_when_built(checkpoint, num_original, num_pruned)
    return None if numbered is None else (numbered, "provenance")


def _numbers_when_built(
    checkpoint: Checkpoint, num_original: int, num_pruned: int
) -> Indices | None:
    """Return the `OWN_NUMBER` of every layer; None when not all say it, or it is their place."""
    lists: dict[tuple[str, ...], dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for path, values in checkpoint.attributes.items():
        place = list_of((*split_path(path), OWN_NUMBER))
        if place is not None and OWN_NUMBER in values:
            lists[place[0]][place[1]].add(values[OWN_NUMBER])
    positions = list(range(num_pruned))
    found = []
    for said in lists.values():
        if sorted(said) == positions and all(len(said[place]) == 1 for place in positions):
            numbers = tuple(min(said[place]) for place in positions)
            if numbers[0] >= 0 and _fits(numbers, num_original, num_pruned):
                found.append(numbers)
    return found[0] if len(found) == 1 and found[0] != tuple(positions) else None


def has_record(checkpoint: Checkpoint) -> bool:
    """Return whether its files say anything of removed layers of the text, fitting or not."""
    record = checkpoint.provenance or {}
    if record.get("part", "text") not in _TEXT_PARTS:
        record = {}  # what was cut is a tower
    configs = (record, checkpoint.config, text_config(checkpoint.config))
    fields = (*KEPT_FIELDS, *REMOVED_FIELDS)
    return any(_whole_numbers(each.get(field)) for each in configs for field in fields)


def _followed(record: object, num_original: int, num_pruned: int) -> Indices | None:
    """Return the indices in the original of which the record's source, or its source, was cut."""
    held: Indices | None = None
    for _ in range(_LONGEST_CHAIN):
        if not isinstance(record, Mapping) or record.get("part", "text") not in _TEXT_PARTS:
            return None
        source = record.get("source")
        source = source if isinstance(source, Mapping) else {}
        between = source.get("num_blocks", num_original)
        if type(between) is not int:
            return None
        indices = _indices(record, between, num_pruned if held is None else None)
        if indices is None or (held and max(held) >= len(indices)):
            return None
        held = indices if held is None else tuple(indices[index] for index in held)
        if between == num_original:
            return held
        record = source.get("made_by_depthprune")
    return None


def _indices(
    record: Mapping[str, Any], num_original: int, num_pruned: int | None
) -> Indices | None:
    """Return the indices of what is left out of so many; None when no field says it."""
    for field in KEPT_FIELDS:
        kept = _whole_numbers(record.get(field))
        if kept and _fits(kept, num_original, num_pruned):
            return kept
    for field in REMOVED_FIELDS:
        gone = _whole_numbers(record.get(field))
        if gone and len(set(gone)) == len(gone) and max(gone) < num_original:
            left = tuple(index for index in range(num_original) if index not in gone)
            if num_pruned in (None, len(left)):
                return left
    return None


def _fits(kept: Indices, num_original: int, num_pruned: int | None) -> bool:
    ascending = all(a < b for a, b in pairwise(kept))
    return ascending and kept[-1] < num_original and num_pruned in (None, len(kept))


def _whole_numbers(value: object) -> Indices:
    if not isinstance(value, list | tuple) or not all(type(one) is int for one in value):
        return ()
    return tuple(value) if all(one >= 0 for one in value) else ()
