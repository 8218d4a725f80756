"""Which layers of the original a checkpoint says it holds."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal

from depthprune.structure.checkpoint import Checkpoint
from depthprune.structure.count_stacks import text_config

Indices = tuple[int, ...]

KEPT_FIELDS = ("original_indices", "kept_layers", "layers_kept", "kept_layer_indices")
"""Fields that name the layers which are left."""

REMOVED_FIELDS = ("removed", "removed_layers", "layers_removed", "layers_to_remove",
                  "pruned_layers", "dropped_layers", "removed_block_indices")  # fmt: skip
"""Fields that name the layers which are gone."""

_TEXT_PARTS = ("text", "decoder")
"""Stacks that a cut calls so; others are towers, and say nothing of the text layers."""

_LONGEST_CHAIN = 100


def recorded_layers(
    checkpoint: Checkpoint, num_original: int, num_pruned: int
) -> tuple[Indices, Literal["provenance", "config"]] | None:
    """Return the original's index of every layer, as the checkpoint says it; None if it does not.

    First by its provenance: of a cut of a cut, by the records that each holds of its source. Then
    by fields of its configuration. A record that does not fit these two models is none.

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
    return None


def has_record(checkpoint: Checkpoint) -> bool:
    """Return whether the checkpoint says anything of removed layers, fitting or not."""
    configs = (checkpoint.provenance or {}, checkpoint.config, text_config(checkpoint.config))
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
