"""A model in a file of `torch.save`: its tensors, and what its modules say about themselves.

Some tensors are pickled in a form of their own: of the meta device
(`_rebuild_meta_tensor_no_storage`), sparse (`_rebuild_sparse_tensor`), quantised by torch
(`_rebuild_qtensor`), subclasses as torchao's and DTensor (`_rebuild_wrapper_subclass`);
https://github.com/pytorch/pytorch/blob/main/torch/_utils.py
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any

from depthprune.base.language import Note
from depthprune.checkpoint.inert_pickle import Record, Reference
from depthprune.checkpoint.pickled_tensor import DTYPES, LARGEST, MOST_AXES, PickledTensor, Storage
from depthprune.checkpoint.stored import DTYPE_BITS, Shape, Tensor
from depthprune.checkpoint.torch_files import (
    WRAPPERS,
    is_tensor,
    module_attributes,
    read_pickled_tree,
    walk,
    weights_of,
)
from depthprune.structure.notes import Sentence
from depthprune.structure.tensors import MadeTensor, sparse_tensor, stored_bytes

MOST_VALUES = 20_000
DEEPEST_VALUE = 8
LONGEST_TEXT = 2000
LONGEST_KEY = 200
"""Limits of what is looked at; lists with an entry per layer or token are long."""


def plain_object(value: Any) -> dict[str, Any]:
    """Return the plain values in a dictionary, or among the attributes of an object.

    Objects in it become dictionaries of their attributes. Modules, tensors, long texts, and what
    lies deeper than any configuration, are left out.
    """
    return _Plain().of_object(value, 0)


def is_count(value: Any) -> bool:
    """Return whether a value is a whole number as sizes and indices are."""
    return type(value) is int and value.bit_length() < 64


class _Plain:
    """Copies plain values, as many as a configuration may have."""

    def __init__(self) -> None:
        self.left = MOST_VALUES

    def of_object(self, value: Any, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, entry in _entries(value).items():
            self.left -= 1
            if self.left < 0:
                break
            if (isinstance(key, str) and len(key) <= LONGEST_KEY) or is_count(key):
                plain = self.of(entry, depth)
                if plain is not _NOTHING:
                    found[str(key)] = plain
        if isinstance(value, Record) and (kind := _model_type(value.kind)):
            found.setdefault("model_type", kind)
        return found

    def of(self, value: Any, depth: int) -> Any:
        self.left -= 1
        if self.left < 0 or depth > DEEPEST_VALUE:
            return _NOTHING
        if value is None or isinstance(value, bool | float) or is_count(value):
            return value
        if isinstance(value, str):
            return value if len(value) <= LONGEST_TEXT else _NOTHING
        if isinstance(value, Reference):
            return value.name.removeprefix("torch.")
        if isinstance(value, list | tuple):
            if len(value) > self.left:
                return _NOTHING
            entries = [self.of(entry, depth + 1) for entry in value]
            return _NOTHING if any(entry is _NOTHING for entry in entries) else entries
        if isinstance(value, dict) or (isinstance(value, Record) and not _is_of_torch(value)):
            return self.of_object(value, depth + 1)
        return _NOTHING


_NOTHING = object()


def _entries(value: Any) -> Mapping[Any, Any]:
    state = value.state if isinstance(value, Record) else value
    if isinstance(state, tuple) and len(state) == 2:  # attributes, and those in slots
        state = state[0] or state[1]
    return state if isinstance(state, dict) else {}


def _is_of_torch(record: Record) -> bool:
    return is_tensor(record) or bool(module_attributes(record))


def _model_type(kind: str) -> str | None:
    """Return the type of a model of transformers by its configuration's class; it is no attribute.

    E.g. `llama` of `transformers.models.llama.configuration_llama.LlamaConfig`.
    """
    parts = kind.split(".")
    if len(parts) == 5 and parts[:2] == ["transformers", "models"] and parts[4].endswith("Config"):
        return parts[3].removeprefix("configuration_")
    return None


LARGEST_DENSE = 2**33
"""Bytes of a sparse tensor that is read as a dense one, at most."""

_REBUILD = "torch._utils._rebuild_"
_DENSE_LAYOUTS = {"torch.sparse_coo": 3, "torch.sparse_csr": 4, "torch.sparse_csc": 4}
"""How many values describe a sparse tensor, at least: indices, numbers, shape."""


def described(name: str, record: Record) -> Tensor | None:
    """Return the tensor that a record describes, by its shape at least; None where none is told."""
    form, arguments = record.kind.removeprefix(_REBUILD), record.arguments
    if form == "sparse_tensor":
        return _sparse(name, arguments)
    if form == "meta_tensor_no_storage" and len(arguments) >= 2:
        return _described(name, _dtype(arguments[0]), arguments[1])
    if form == "qtensor" and len(arguments) >= 3 and isinstance(arguments[0], Storage):
        return _described(name, "I8", arguments[2], arguments[0].length)
    if form == "wrapper_subclass" and len(arguments) >= 3:
        inner = list(_tensors_in(record.state))
        dtype = max(inner, key=stored_bytes).dtype if inner else _dtype(arguments[1])
        return _described(name, dtype, arguments[2], sum(map(stored_bytes, inner)))
    return None


def packed_linear(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the weight and the bias of a linear layer that torch quantised, by their names.

    Args:
        name: under which they are packed, `..._packed_params`.
        value: the pair, or the object that holds it.
    """
    pair = value.state if isinstance(value, Record) else value
    if isinstance(pair, tuple) and pair and isinstance(pair[0], tuple):
        pair = pair[0]  # behind it stands the name of the class
    if not isinstance(pair, tuple):
        return
    module = name
    while module.endswith("._packed_params"):
        module = module.removesuffix("._packed_params")
    for part, found in zip(("weight", "bias"), pair, strict=False):
        if found is not None:
            yield f"{module}.{part}", found


def _sparse(name: str, arguments: tuple[Any, ...]) -> Tensor | None:
    if len(arguments) < 2 or not isinstance(arguments[1], tuple):
        return None
    layout, data = _layout(arguments[0]), arguments[1]
    count = _DENSE_LAYOUTS.get(layout)
    tensors = [each for each in data if isinstance(each, PickledTensor)]
    shape = next((found for each in reversed(data) if (found := _shape(each)) is not None), None)
    if not tensors or shape is None:
        return None
    indices, values = tuple(tensors[:-1]), tensors[-1]
    width = DTYPE_BITS[values.dtype] // 8
    matrix = layout == "torch.sparse_coo" or len(shape) == 2
    if count and len(indices) == count - 2 and matrix and prod(shape) * width <= LARGEST_DENSE:
        return sparse_tensor(name, shape, layout, indices, values)
    stored = sum(map(stored_bytes, tensors))
    return _described(name, values.dtype, shape, stored)


def _layout(value: Any) -> str:
    arguments = value.arguments if isinstance(value, Record) else ()
    return arguments[0] if arguments and isinstance(arguments[0], str) else ""


def _described(name: str, dtype: str | None, size: Any, length: int = 0) -> MadeTensor | None:
    shape = _shape(size)
    if shape is None or dtype is None:
        return None
    return MadeTensor(name, dtype, shape, f"described:{name}", length)


def _dtype(value: Any) -> str | None:
    return DTYPES.get(value.name) if isinstance(value, Reference) else None


def _shape(value: Any) -> Shape | None:
    """Return a size, which torch pickles as a tuple or as a `torch.Size`."""
    if isinstance(value, Record) and value.kind == "torch.Size" and value.arguments:
        value = value.arguments[0]
    if not isinstance(value, tuple) or len(value) > MOST_AXES:
        return None
    if not all(type(size) is int and 0 <= size < LARGEST for size in value):
        return None
    return value if prod(value) < LARGEST else None


def _tensors_in(state: Any) -> Iterator[PickledTensor]:
    """Yield the tensors among the attributes of a tensor of a class of its own."""
    parts = state if isinstance(state, tuple) else (state,)
    for part in parts:
        for value in part.values() if isinstance(part, dict) else ():
            if isinstance(value, PickledTensor):
                yield value


@dataclass
class PickledModel:
    """What a file of `torch.save` says about a model.

    Attributes:
        tensors: by name, as torch names them.
        unknown: names of tensors whose shape nothing tells, each with the reason.
        types: class names of modules by their paths; the model's own path is empty.
        attributes: whole numbers that modules hold, by their paths.
        config: of the first module that has one.
        beside: plain values that lie beside the model in its file.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    unknown: dict[str, Note] = field(default_factory=dict)
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
    model = PickledModel()
    described: dict[int, dict[str, int]] = {}  # what is shared is looked at once
    configured = False
    for name, value in chain([("", inner)], walk(inner, path)):
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
            form = value.kind.rpartition(".")[2]
            model.unknown[name] = Note(Sentence.OTHER_FORM, form=form)


def _counts(attributes: dict[Any, Any]) -> dict[str, int]:
    return {
        key: value
        for key, value in attributes.items()
        if isinstance(key, str) and not key.startswith("_") and is_count(value)
    }
