"""The anatomy of a checkpoint, from what its headers and its configuration say."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from itertools import product
from math import prod
from typing import Any

from depthprune.structure.anatomy import Anatomy, Layer
from depthprune.structure.checkpoint import Checkpoint, Tensor
from depthprune.structure.count_layer import count_layer
from depthprune.structure.count_pieces import HIDDEN_SIZES, Surroundings
from depthprune.structure.count_stacks import (
    COUNTS,
    Path,
    TextStack,
    find_text_stack,
    list_of,
    number_in,
    split_path,
    text_config,
)
from depthprune.structure.count_stored import Stored, stored_parameters
from depthprune.structure.names import place_of, tower_of


def anatomy_of(checkpoint: Checkpoint, name: str | None = None) -> Anatomy:
    """Return how many parameters every part of a model has; no weight is read, no model built.

    Everything is told by names, shapes and configuration. Buffers (masks, tables of angles) and
    the scales of quantised weights are no parameters; packed weights count unpacked. Tied weights
    count once, as embedding.

    Args:
        checkpoint: the tensors and what the files say about them.
        name: of the model; that of its folder or file if not given.
    """
    stored, notes = stored_parameters(checkpoint.tensors, checkpoint.config)
    config = text_config(checkpoint.config)
    stack = find_text_stack(stored, checkpoint.config)
    sorted_out = _SortedOut(stack, _encoder_is_tower(stored, stack))
    for each in _once(stored):
        sorted_out.add(each)
    head_is_tied = _drop_tied_head(sorted_out, checkpoint, config)
    around = Surroundings(config, checkpoint.types, checkpoint.attributes)
    layers, layer_notes = _layers(sorted_out, stack, around)
    sums = sorted_out.sums
    towers = {tower: count for tower, count in sorted_out.towers.items() if count}
    return Anatomy(
        name=name if name is not None else checkpoint.path.name,
        total=sum(sums.values()) + sum(towers.values()) + sum(layer.total for layer in layers),
        embedding=sums["embedding"],
        lm_head=sums["lm_head"],
        layers=layers,
        norm=sums["norm"],
        other=sums["other"],
        towers=towers,
        dtypes=_dtypes(checkpoint, stored),
        bytes=sum({each.storage: each.bytes for each in stored}.values()),
        tied=head_is_tied,
        hidden_size=_hidden_size(sorted_out, config),
        path=str(checkpoint.path),
        notes=(*checkpoint.notes, *notes, *layer_notes),
    )


class _SortedOut:
    """The parameters of a model, put where they belong."""

    def __init__(self, stack: TextStack | None, encoder: bool) -> None:
        self.stack = stack
        self.encoder = encoder
        self.sums: Counter[str] = Counter()
        self.towers: Counter[str] = Counter()
        self.layers: dict[int, list[tuple[Path, Stored]]] = defaultdict(list)
        self.outside: dict[str, list[Stored]] = defaultdict(list)

    def add(self, stored: Stored) -> None:
        """Put one tensor where it belongs."""
        path = split_path(stored.name)
        place = list_of(path)
        if self.stack and place and place[0] in self.stack.prefixes:
            prefix, index = place
            below = path[len(prefix) + 1 :]
            # Beside others of its kind, a list's own name is what tells a norm from a projection.
            own = prefix[-1:] if len(self.stack.prefixes) > 1 else ()
            self.layers[index].append(((*own, *below), stored))
            return
        if not stored.parameters:
            return
        plain = tuple(part for part in path if not part.isdecimal())
        if tower := tower_of(plain, encoder=self.encoder):
            self.towers[tower] += stored.parameters
            return
        part = place_of(plain)
        self.sums[part] += stored.parameters
        self.outside[part].append(stored)


def _once(stored: Iterable[Stored]) -> list[Stored]:
    """Leave out what shares its bytes with another; of embedding and head the embedding stays."""
    first: dict[str, Stored] = {}
    for each in stored:
        other = first.get(each.storage)
        if other is None or (_is_head(other) and not _is_head(each)):
            first[each.storage] = each
    kept = {id(each) for each in first.values()}
    return [each for each in stored if id(each) in kept]


def _is_head(stored: Stored) -> bool:
    return place_of(split_path(stored.name)) == "lm_head"


def _encoder_is_tower(stored: Iterable[Stored], stack: TextStack | None) -> bool:
    return stack.encoder if stack else False


def _drop_tied_head(
    sorted_out: _SortedOut, checkpoint: Checkpoint, text: Mapping[str, Any]
) -> bool:
    """Return whether the head is the embedding; a copy that was stored all the same is dropped."""
    embeddings = [each for each in sorted_out.outside["embedding"] if len(each.shape) == 2]
    words = {each.shape[0] for each in embeddings}
    heads = [each for each in sorted_out.outside["lm_head"] if _scores(each, words)]
    said = [each.get("tie_word_embeddings") for each in (text, checkpoint.config)]
    if not heads:
        return bool(embeddings) and (True in said or False not in said)
    if True in said:
        for head, embedding in product(heads, embeddings):
            if head.shape == embedding.shape and _begin_alike(head, embedding, checkpoint.tensors):
                sorted_out.sums["lm_head"] -= head.parameters
                return True
    return False


def _scores(head: Stored, words: Collection[int]) -> bool:
    """Return whether a tensor of the head makes scores: other layers of a head are square."""
    return len(head.shape) == 2 and (head.shape[0] in words or head.shape[0] != head.shape[1])


def _begin_alike(one: Stored, other: Stored, tensors: Mapping[str, Tensor]) -> bool:
    """Return whether two tensors begin with the same numbers: transformers ties only equal ones."""
    if one.name not in tensors or other.name not in tensors:
        return False
    first, second = (next(iter(tensors[each.name].pieces(4096)), b"") for each in (one, other))
    return first == second


def _layers(
    sorted_out: _SortedOut, stack: TextStack | None, around: Surroundings
) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    """Count every layer; one without tensors is empty where the model says that it exists."""
    if stack is None:
        return (), ("no numbered list of layers was found: only the sums are known",)
    prefix = ".".join(stack.prefixes[0])
    count = number_in(around.config, COUNTS)
    typed = [int(path[len(prefix) + 1 :]) for path in around.types
             if path.startswith(f"{prefix}.") and path[len(prefix) + 1 :].isdecimal()]  # fmt: skip
    highest = max(stack.indices)
    indices = {*stack.indices, *typed}
    if count is None or count > highest:
        indices |= set(range(highest))  # a list is numbered through: what is missing is empty
    layers = tuple(
        count_layer(index, f"{prefix}.{index}", sorted_out.layers.get(index, ()), around)
        for index in sorted(indices)
    )
    if count is not None and count != len(layers):
        note = f"the configuration says {count} layers, the weights have {len(layers)}"
        return layers, (note,)
    return layers, ()


def _dtypes(checkpoint: Checkpoint, stored: Iterable[Stored]) -> dict[str, int]:
    """Count stored numbers by type, tied ones once."""
    seen: set[str] = set()
    counts: Counter[str] = Counter()
    for tensor in checkpoint.tensors.values():
        if tensor.storage not in seen:
            seen.add(tensor.storage)
            counts[tensor.dtype] += prod(tensor.shape)
    return dict(counts.most_common())


def _hidden_size(sorted_out: _SortedOut, config: Mapping[str, Any]) -> int | None:
    """Return the width of the embedding, which is true of sliced models too; else as configured."""
    configured = number_in(config, HIDDEN_SIZES)
    widths = [each.shape[1] for each in sorted_out.outside["embedding"] if len(each.shape) == 2]
    narrow = any("project" in each.name for each in sorted_out.outside["embedding"])
    return configured if narrow or configured in widths or not widths else widths[0]
