"""Which numbered list of modules is the stack of text layers, by names alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from depthprune.structure.names import TEXT_MODULES, is_number, place_of, tower_of

if TYPE_CHECKING:
    from depthprune.structure.count_stored import Stored

Path = tuple[str, ...]

TEXT_CONFIGS = ("text_config", "llm_config", "language_config", "thinker_config", "decoder")
"""Sections of a configuration that describe the text decoder; one may lie in another."""

COUNTS = (
    "num_layers_per_stack",
    "num_hidden_layers",
    "n_layer",
    "n_layers",
    "num_layers",
    "decoder_layers",
    "num_decoder_layers",
)
"""Fields that count the layers of the text decoder."""


@dataclass(frozen=True)
class TextStack:
    """The layers of the text decoder.

    Attributes:
        prefixes: of the lists that hold them; several where parts of a layer lie in parallel lists.
        indices: of the layers that hold tensors, ascending.
        encoder: whether an `encoder` in the same model is a tower beside it.
    """

    prefixes: tuple[Path, ...]
    indices: tuple[int, ...]
    encoder: bool


def split_path(name: str) -> Path:
    """Return the components of a tensor's name."""
    return tuple(name.split("."))


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the section of a configuration that describes the text decoder, or all of it."""
    for section in TEXT_CONFIGS:
        inner = config.get(section)
        if isinstance(inner, Mapping):
            return text_config(inner)
    return config


def number_in(config: Mapping[str, Any], names: Iterable[str]) -> int | None:
    """Return the first of these fields that holds a whole number above 0."""
    for name in names:
        value = config.get(name)
        if type(value) is int and value > 0:
            return value
    return None


def list_of(path: Path) -> tuple[Path, int] | None:
    """Return the outermost numbered list that a tensor lies in, and its number there."""
    for place, component in enumerate(path):
        if place and is_number(component) and place + 1 < len(path):
            return path[:place], int(component)
    return None


def find_text_stack(stored: Iterable[Stored], config: Mapping[str, Any]) -> TextStack | None:
    """Return the layers of the text decoder: None when no list of modules can be it.

    The list that the configuration counts comes before others, then the one with most parameters.
    """
    lists: dict[Path, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for each in stored:
        if place := list_of(split_path(each.name)):
            known = each.parameters is not None
            lists[place[0]][place[1]] += each.parameters or 0 if known else prod(each.shape)
    marked = ([prefix for prefix in lists if marks & set(prefix)] for marks in TEXT_MODULES)
    named = next(filter(None, marked), [])
    encoder = any(tower_of(prefix, encoder=True) is None for prefix in named)
    text = {
        prefix: counts
        for prefix, counts in lists.items()
        if tower_of(prefix, encoder=encoder) is None
        and place_of(prefix) not in ("embedding", "lm_head")
    }
    if not text:
        return None
    if any(prefix in text for prefix in named):
        text = {prefix: text[prefix] for prefix in named if prefix in text}
    count = number_in(text_config(config), COUNTS)

    def rank(prefix: Path) -> tuple[bool, int]:
        counts = text[prefix]
        return len(counts) == count, sum(counts.values())

    first = max(text, key=rank)
    prefixes = tuple(prefix for prefix in text if _is_parallel(prefix, first, text))
    indices = sorted(set().union(*(text[prefix] for prefix in prefixes)))
    return TextStack(prefixes, tuple(indices), encoder)


_TWINS = re.compile(r"[HL]_module")
"""Lists that differ in a component like this are run in turn: layer i has a part in each."""


def _is_parallel(prefix: Path, first: Path, lists: Mapping[Path, Mapping[int, int]]) -> bool:
    """Return whether a list holds parts of the same layers: beside the first, equally long."""
    if prefix == first:
        return True
    if len(prefix) != len(first) or set(lists[prefix]) != set(lists[first]):
        return False
    different = [(a, b) for a, b in zip(prefix, first, strict=True) if a != b]
    if len(different) != 1:
        return False
    return prefix[:-1] == first[:-1] or all(map(_TWINS.fullmatch, different[0]))
