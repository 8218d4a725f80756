"""A model in a file of `torch.save`: its tensors, and what its modules say about themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from depthprune.base.errors import FileError
from depthprune.checkpoint.inert_pickle import Record
from depthprune.checkpoint.pickled import (
    DEEPEST,
    LONGEST_NAME,
    MOST_CHARACTERS,
    MOST_PLACES,
    WRAPPERS,
    children,
    is_tensor,
    module_attributes,
    weights_of,
)
from depthprune.checkpoint.pickled_tensor import PickledTensor
from depthprune.checkpoint.torch_files import read_pickled_tree
from depthprune.structure.checkpoint import Tensor
from depthprune.structure.described import described, packed_linear
from depthprune.structure.plain_values import is_count, plain_object


@dataclass
class PickledModel:
    """What a file of `torch.save` says about a model.

    Attributes:
        whole: whether it is a module that was pickled whole.
        tensors: by name, as torch names them.
        unknown: names of tensors whose shape nothing tells, for each the form it has.
        types: class names of modules by their paths; the model's own path is empty.
        attributes: whole numbers that modules hold, by their paths.
        config: of the first module that has one.
        beside: plain values that lie beside the model in its file.
    """

    whole: bool
    tensors: dict[str, Tensor] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, dict[str, int]] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    beside: dict[str, Any] = field(default_factory=dict)


def read_pickled_model(path: Path) -> PickledModel:
    """Return what a file of `torch.save` says about the model in it; no code of it runs.

    The model may be a state dictionary or a whole module, or either in a dictionary, e.g.
    `{"model": ..., "tokenizer": ...}`.

    Raises:
        FileError: the file cannot be read, is damaged or truncated, none of `torch.save`'s, or
            describes more than any model; names the file.
    """
    tree = read_pickled_tree(path)
    inner = weights_of(tree)
    model = PickledModel(whole=isinstance(inner, Record))
    described: dict[int, dict[str, int]] = {}  # what is shared is looked at once
    configured = False
    for name, value in _places(inner, path):
        if is_tensor(value):
            _add(model, name, value)
        elif isinstance(value, Record) and (attributes := module_attributes(value)):
            model.types[name] = value.kind.rpartition(".")[2]
            packed = attributes.get("_packed_params")
            if isinstance(packed, Record) and not module_attributes(packed):
                for own, part in packed_linear(f"{name}._packed_params", packed):
                    _add(model, own, part)
            if id(attributes) not in described:
                described[id(attributes)] = _counts(attributes)
            if described[id(attributes)]:
                model.attributes[name] = described[id(attributes)]
            if not configured and isinstance(attributes.get("config"), dict | Record):
                configured = True
                model.config = plain_object(attributes["config"])
        elif name.endswith("._packed_params"):
            for own, part in packed_linear(name, value):
                _add(model, own, part)
    if tree is not inner:
        simple = {
            key: value
            for key, value in tree.items()
            if key not in WRAPPERS and not isinstance(value, dict | Record)
        }
        model.beside = plain_object(simple)
    return model


def _add(model: PickledModel, name: str, value: Any) -> None:
    """Add a tensor, or what is known of one that cannot be read."""
    if isinstance(value, PickledTensor):
        value.check()
        model.tensors[name] = replace(value, name=name)
    elif isinstance(value, Record):
        if (found := described(name, value)) is not None:
            model.tensors[name] = found
        else:
            model.unknown[name] = value.kind.rpartition(".")[2]


def _places(tree: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """Yield everything in a state dictionary or module by its name, the whole first.

    A module that lies in itself is not entered again.
    """
    yield "", tree
    # The stack holds iterators, so that a value of many shared parts takes no more memory than it.
    levels = [(id(tree), children("", tree))]
    inside = {id(tree)}
    characters = 0
    for _ in range(MOST_PLACES):
        holder, entries = levels[-1]
        found = next(entries, None)
        if found is None:
            inside.discard(holder)
            levels.pop()
            if not levels:
                return
            continue
        name, value = found
        characters += len(name)
        if len(name) > LONGEST_NAME or characters > MOST_CHARACTERS:
            raise FileError("it has names that are longer than any", where=str(path))
        yield name, value
        if isinstance(value, dict | Record) and not is_tensor(value) and id(value) not in inside:
            levels.append((id(value), children(f"{name}.", value)))
            inside.add(id(value))
            if len(levels) > DEEPEST:
                raise FileError("it is nested more deeply than any model", where=str(path))
    raise FileError("it holds more than any model", where=str(path))


def _counts(attributes: dict[Any, Any]) -> dict[str, int]:
    return {
        key: value
        for key, value in attributes.items()
        if isinstance(key, str) and not key.startswith("_") and is_count(value)
    }
