"""The anatomy of a checkpoint, from what its headers and its configuration say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import Any

from depthprune.base.language import Note
from depthprune.structure.anatomy import Anatomy, Layer, added
from depthprune.structure.checkpoint import Checkpoint
from depthprune.structure.count_layer import count_layer
from depthprune.structure.count_pieces import HIDDEN_SIZES, Surroundings
from depthprune.structure.count_places import Places, places_of
from depthprune.structure.count_stacks import COUNTS, number_in, text_config
from depthprune.structure.count_stored import Stored
from depthprune.structure.made_tensors import stored_bytes
from depthprune.structure.names import is_number
from depthprune.structure.notes import Sentence


def anatomy_of(checkpoint: Checkpoint, name: str | None = None) -> Anatomy:
    """Return how many parameters every part of a model has; no model is built.

    Everything is told by names, shapes and configuration. Buffers (masks, tables of angles) and
    the scales of quantised weights are no parameters; packed weights count unpacked. Tied weights
    count once, as embedding; where a head is stored though the configuration ties it, its first
    4 KB are compared with the embedding's.

    Args:
        checkpoint: the tensors and what the files say about them.
        name: of the model; that of its folder or file if not given.

    Raises:
        FileError: a weight file ends early.
    """
    name = name if name is not None else checkpoint.path.name
    if checkpoint.partial is not None:
        return _partial(checkpoint, name, checkpoint.partial)
    places = places_of(checkpoint)
    config = text_config(checkpoint.config)
    layers, notes = _layers(places, Surroundings(config, checkpoint.types, checkpoint.attributes))
    outside = {place: _sum(stored) for place, stored in places.outside.items()}
    towers = {tower: _sum(stored) for tower, stored in places.towers.items()}
    parts = [*outside.values(), *towers.values(), *(layer.total for layer in layers)]
    return Anatomy(
        name=name,
        total=added(parts),
        embedding=outside.get("embedding", 0),
        lm_head=outside.get("lm_head", 0),
        layers=layers,
        norm=outside.get("norm", 0) if layers else None,
        other=outside.get("other", 0) if layers else None,
        towers=towers,
        dtypes=_dtypes(checkpoint),
        bytes=sum({each.storage: each.bytes for each in places.stored}.values()),
        tied=places.tied,
        hidden_size=_hidden_size(places, number_in(config, HIDDEN_SIZES)),
        path=str(checkpoint.path),
        notes=(*checkpoint.notes, *places.notes, *notes, *left_out_by(config)),
        unknown=(*places.unknown, *([] if layers else [Note(Sentence.NO_LAYERS)])),
    )


_LEFT_OUT = {
    "drop_attn_list": "attention",
    "drop_mlp_list": "MLP",
    "drop_block_list": "all",
    "skip_layers": "all",
    "skipped_layers": "all",
    "layers_to_skip": "all",
}
"""Fields that name parts of layers which are stored, but left out when the model runs."""


def left_out_by(config: Mapping[str, Any]) -> Iterator[Note]:
    """Yield what a configuration leaves out though its weights are stored."""
    for name, part in _LEFT_OUT.items():
        value = config.get(name)
        if not isinstance(value, list) or not value:
            continue
        flags = all(type(each) is bool for each in value)
        layers = [place for place, each in enumerate(value) if each] if flags else value
        if layers and all(type(layer) is int for layer in layers):
            listed = ", ".join(map(str, layers))
            yield Note(Sentence.LEFT_OUT_BY_CONFIG, field=name, part=part, layers=listed)


def _partial(checkpoint: Checkpoint, name: str, why: Note) -> Anatomy:
    """Return what is known of a model of which only a part is at hand: no count."""
    return Anatomy(
        name=name,
        total=None,
        embedding=None,
        lm_head=None,
        layers=(),
        norm=None,
        other=None,
        dtypes=_dtypes(checkpoint),
        bytes=sum(map(stored_bytes, checkpoint.tensors.values())),
        path=str(checkpoint.path),
        notes=checkpoint.notes,
        unknown=(why,),
    )


def _sum(stored: Iterable[Stored]) -> int | None:
    return added(each.parameters for each in stored)


def _layers(places: Places, around: Surroundings) -> tuple[tuple[Layer, ...], tuple[Note, ...]]:
    """Count every layer; one without tensors is empty where the model says that it exists."""
    if places.stack is None or not places.layers:
        return (), ()
    prefix = ".".join(places.stack.prefixes[0])
    configured = number_in(around.config, COUNTS)
    numbers = (path.removeprefix(f"{prefix}.") for path in around.types)
    typed = {int(number) for number in numbers if is_number(number)}
    highest = max(places.layers)
    # A list is numbered through, unless the configuration counts only what is there.
    gaps = highest < _MOST_LAYERS and (configured is None or configured > highest)
    through = set(range(highest)) if gaps else set()
    layers = tuple(
        count_layer(index, f"{prefix}.{index}", places.layers.get(index, ()), around)
        for index in sorted({*places.layers, *typed, *through})
    )
    if configured is None or configured == len(layers):
        return layers, ()
    return layers, (Note(Sentence.OTHER_COUNT, said=configured, found=len(layers)),)


_MOST_LAYERS = 10_000
"""Beyond it a number in a name tells nothing of the layers before it."""


def _dtypes(checkpoint: Checkpoint) -> dict[str, int]:
    """Count stored numbers by type, tied ones once."""
    stored = {tensor.storage: tensor for tensor in checkpoint.tensors.values()}
    counts: Counter[str] = Counter()
    for tensor in stored.values():
        counts[tensor.dtype] += prod(tensor.shape)
    return dict(counts.most_common())


def _hidden_size(places: Places, configured: int | None) -> int | None:
    """Return the width of the embedding, which is true of sliced models too; else as configured."""
    embeddings = places.outside.get("embedding", ())
    widths = [each.shape[1] for each in embeddings if len(each.shape) == 2]
    narrow = any("project" in each.name for each in embeddings)  # of OPT 350m
    return configured if narrow or configured in widths or not widths else widths[0]
