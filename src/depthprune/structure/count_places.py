"""Where the parameters of a model belong: layers, embedding, head, norms, towers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from depthprune.base.language import Note
from depthprune.structure.checkpoint import Checkpoint, Tensor
from depthprune.structure.count_stacks import (
    Path,
    TextStack,
    find_text_stack,
    list_of,
    split_path,
    text_config,
)
from depthprune.structure.count_stored import Stored, stored_parameters
from depthprune.structure.names import Place, place_of, tower_of, without_numbers


@dataclass(frozen=True)
class Places:
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


def places_of(checkpoint: Checkpoint) -> Places:
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
    return Places(stack, stored, layers, outside, towers, tied, counted.notes, counted.unknown)


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
    heads = [each for each in outside["lm_head"] if _makes_scores(each, words)]
    said = [_ties(config) for config in (text_config(checkpoint.config), checkpoint.config)]
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


def _ties(config: Mapping[str, Any]) -> object:
    return config.get("tie_word_embeddings")


def _makes_scores(head: Stored, words: Collection[int]) -> bool:
    """Return whether a tensor of the head makes scores: other layers of a head are square."""
    return len(head.shape) == 2 and (head.shape[0] in words or head.shape[0] != head.shape[1])


def _begin_alike(one: Stored, other: Stored, tensors: Mapping[str, Tensor]) -> bool:
    """Return whether two tensors begin with the same numbers: transformers ties only equal ones."""
    first, second = (
        next(iter(tensors[each.source].pieces(4096)), b"") if each.source in tensors else None
        for each in (one, other)
    )
    return bool(first) and first == second
