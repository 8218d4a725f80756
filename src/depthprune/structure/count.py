"""The anatomy of a checkpoint, from what its headers and its configuration say."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any

from depthprune.base.language import Note
from depthprune.checkpoint.stored import Tensor
from depthprune.structure.anatomy import Anatomy, Layer, added
from depthprune.structure.count_layer import HIDDEN_SIZES, Surroundings, count_layer
from depthprune.structure.count_stored import Stored, stored_parameters
from depthprune.structure.names import (
    COUNTS,
    Path,
    Place,
    TextStack,
    find_text_stack,
    is_number,
    list_of,
    number_in,
    place_of,
    split_path,
    text_config,
    tower_of,
    without_numbers,
)
from depthprune.structure.notes import Sentence
from depthprune.structure.tensors import Checkpoint, first_bytes, stored_bytes


@dataclass(frozen=True)
class ParameterPlaces:
    """The parameters of a model, each where it belongs; what is tied stands there once.

    Attributes:
        stack: the layers of the text decoder; None when there are none.
        stored: all tensors, buffers and tied ones too.
        layers: by index, with the names below the layer; buffers too, which have 0 parameters.
        outside: the embedding, the head, and what lies around the layers.
        towers: other parts of the model, by name.
        tied: whether the head shares the embedding's numbers.
        notes: what a reader should know.
        unknown: why the parameters of some tensors are not known.
    """

    stack: TextStack | None
    stored: tuple[Stored, ...]
    layers: Mapping[int, list[tuple[Path, Stored]]] = field(default_factory=dict)
    outside: Mapping[Place, list[Stored]] = field(default_factory=dict)
    towers: Mapping[str, list[Stored]] = field(default_factory=dict)
    tied: bool = False
    notes: tuple[Note, ...] = ()
    unknown: tuple[Note, ...] = ()


def places_of(checkpoint: Checkpoint) -> ParameterPlaces:
    """Return where every parameter of a checkpoint belongs, by names, shapes and configuration."""
    counted = stored_parameters(checkpoint)
    stored = counted.stored
    stack = find_text_stack(stored, checkpoint.config)
    layers: dict[int, list[tuple[Path, Stored]]] = defaultdict(list)
    outside: dict[Place, list[Stored]] = defaultdict(list)
    towers: dict[str, list[Stored]] = defaultdict(list)
    for each in _once(stored):
        path = split_path(each.name)
        place = list_of(path)
        if stack and place and place[0] in stack.prefixes:
            prefix, index = place
            # Beside others of its kind, a list's own name is what tells a norm from a projection.
            own = prefix[-1:] if len(stack.prefixes) > 1 else ()
            layers[index].append(((*own, *path[len(prefix) + 1 :]), each))
        elif each.parameters != 0:
            plain = without_numbers(path)
            if tower := tower_of(plain, encoder=stack.encoder if stack else False):
                towers[tower].append(each)
            else:
                outside[place_of(plain)].append(each)
    for index in [index for index, layer in layers.items() if _predicts(layer)]:
        towers["prediction"] += [each for _, each in layers.pop(index) if each.parameters != 0]
    tied, copies = _tied_heads(outside, checkpoint)
    outside["lm_head"] = [each for each in outside["lm_head"] if each not in copies]
    return ParameterPlaces(
        stack, stored, layers, outside, towers, tied, counted.notes, counted.unknown
    )


def _predicts(layer: Iterable[tuple[Path, Stored]]) -> bool:
    """Return whether a layer makes the token after the next, as the last one of DeepSeek-V3."""
    return any(path[0] in ("eh_proj", "enorm", "hnorm", "shared_head") for path, _ in layer)


def _once(stored: Iterable[Stored]) -> list[Stored]:
    """Leave out what shares its bytes with another; of embedding and head the embedding stays."""
    first: dict[str | int, Stored] = {}
    for place, each in enumerate(stored):
        # Tensors without numbers begin where the next one does, and share nothing with it.
        storage = each.storage if each.bytes else place
        other = first.get(storage)
        if other is None or (_is_head(other) and not _is_head(each)):
            first[storage] = each
    kept = {id(each) for each in first.values()}
    return [each for each in stored if id(each) in kept]


def _is_head(stored: Stored) -> bool:
    return place_of(split_path(stored.name)) == "lm_head"


def _tied_heads(
    outside: Mapping[Place, list[Stored]], checkpoint: Checkpoint
) -> tuple[bool, tuple[Stored, ...]]:
    """Return whether the head is the embedding, and copies of it that were stored all the same."""
    embeddings = [each for each in outside["embedding"] if len(each.shape) == 2]
    words = {each.shape[0] for each in embeddings}
    # What makes scores of words: other layers of a head are square.
    heads = [
        each
        for each in outside["lm_head"]
        if len(each.shape) == 2 and (each.shape[0] in words or each.shape[0] != each.shape[1])
    ]
    configs = (text_config(checkpoint.config), checkpoint.config)
    said = [config.get("tie_word_embeddings") for config in configs]
    if not heads:
        return bool(embeddings) and (True in said or False not in said), ()
    if True not in said:
        return False, ()
    copies = tuple(
        head
        for head, embedding in product(heads, embeddings)
        if head.shape == embedding.shape and _begin_alike(head, embedding, checkpoint.tensors)
    )
    return bool(copies), copies


def _begin_alike(one: Stored, other: Stored, tensors: Mapping[str, Tensor]) -> bool:
    """Return whether two tensors begin with the same numbers: transformers ties only equal ones."""
    if not {one.source, other.source} <= tensors.keys():
        return False
    first = first_bytes(tensors[one.source], 4096)
    return bool(first) and first == first_bytes(tensors[other.source], 4096)


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


def _layers(
    places: ParameterPlaces, around: Surroundings
) -> tuple[tuple[Layer, ...], tuple[Note, ...]]:
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


def _hidden_size(places: ParameterPlaces, configured: int | None) -> int | None:
    """Return the width of the embedding, which is true of sliced models too; else as configured."""
    embeddings = places.outside.get("embedding", ())
    widths = [each.shape[1] for each in embeddings if len(each.shape) == 2]
    narrow = any("project" in each.name for each in embeddings)  # of OPT 350m
    return configured if narrow or configured in widths or not widths else widths[0]
