"""The weights in a file that `torch.save` wrote, read without torch and without running code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from depthprune.base.errors import FileError
from depthprune.checkpoint.inert_pickle import Record
from depthprune.checkpoint.pickled_tensor import UNREADABLE, PickledTensor
from depthprune.checkpoint.stored import StoredTensor
from depthprune.checkpoint.torch_files import read_pickled_tree

WRAPPERS = ("state_dict", "model_state_dict", "full_state_dict", "model", "module", "net", "state")
"""Keys under which training programs put a model or its state dictionary, the best first."""

DEEPEST = 100
LONGEST_NAME = 1000
MOST_PLACES = 500_000
MOST_CHARACTERS = 50_000_000
"""Limits of what is looked at: a few bytes of pickle can describe endless nests of dictionaries."""


def read_pickled(path: Path) -> dict[str, StoredTensor]:
    """Return the tensors of a state dictionary, or of a whole pickled module, by name.

    They may lie in a container, e.g. `{"state_dict": ..., "epoch": 3}`. Nothing is unpickled, no
    code of the file runs, and of the tensors only names, types and shapes are read.

    Raises:
        FileError: the file cannot be read, is damaged, truncated or none of `torch.save`'s, holds
            no weights, or a weight that a safetensors file cannot hold; names the file.
    """
    tensors: dict[str, StoredTensor] = {}
    for name, found in named_tensors(weights_of(read_pickled_tree(path)), path):
        if isinstance(found, Record):
            raise FileError(
                f"{name} is a tensor of a kind that safetensors files cannot hold",
                where=str(path),
                mend="save the model in a plain number type, e.g. bfloat16",
            )
        found.check()
        tensors[name] = found
    if not tensors:
        raise FileError(
            "it holds no weights", where=str(path), mend="name the file of a state dictionary"
        )
    return tensors


def weights_of(tree: Any) -> Any:
    """Return the state dictionary or module in what `read_pickled_tree` returned, or all of it."""
    for _ in range(len(WRAPPERS)):
        if not isinstance(tree, dict) or any(is_tensor(value) for value in tree.values()):
            break
        inner = [tree[name] for name in WRAPPERS if isinstance(tree.get(name), dict | Record)]
        if not inner:
            break
        tree = inner[0]
    return tree


def named_tensors(tree: Any, path: Path) -> Iterator[tuple[str, PickledTensor | Record]]:
    """Yield the tensors of a state dictionary or module with their names, as torch names them.

    A record stands for a tensor that cannot be read. What is neither a tensor nor holds any is left
    out, and so are buffers that no state dictionary has.

    Args:
        tree: as `read_pickled_tree` returns it, or a part of it.
        path: of its file, for messages.

    Raises:
        FileError: it is nested more deeply, or holds more, than any model.
    """
    # The stack holds iterators, so that a value of many shared parts takes no more memory than it.
    levels = [children("", tree)]
    characters = 0
    for _ in range(MOST_PLACES):
        found = next(levels[-1], None)
        if found is None:
            levels.pop()
            if not levels:
                return
            continue
        name, value = found
        characters += len(name)
        if len(name) > LONGEST_NAME or characters > MOST_CHARACTERS:
            raise FileError("it has names that are longer than any", where=str(path))
        if isinstance(value, PickledTensor):
            yield name, replace(value, name=name)
        elif is_tensor(value):
            yield name, value
        elif isinstance(value, dict | Record):
            levels.append(children(f"{name}.", value))
            if len(levels) > DEEPEST:
                raise FileError("it is nested more deeply than any model", where=str(path))
    raise FileError("it holds more than any model", where=str(path))


def children(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the entries of a dictionary, or the tensors and modules of a module.

    What has no name is yielded as nothing, so that whoever counts the entries counts it too.
    """
    if isinstance(value, Record):
        attributes = module_attributes(value)
        listed = attributes.get("_non_persistent_buffers_set")
        hidden = listed[:_MOST_BUFFERS] if isinstance(listed, list) else []
        for group in ("_parameters", "_buffers", "_modules"):
            for name, entry in _entries(attributes.get(group)):
                yield prefix + name, None if group == "_buffers" and name in hidden else entry
    else:
        for name, entry in _entries(value):
            yield prefix + name, entry


_MOST_BUFFERS = 100
"""Buffers of one module that no state dictionary has."""


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, entry in value.items():
            yield (name, entry) if isinstance(name, str) else ("", None)


def module_attributes(record: Record) -> dict[Any, Any]:
    """Return the attributes of a module, or nothing of what is none.

    Some classes give them to the call that builds them.
    """
    for state in (record.state, *record.arguments[:1]):
        if isinstance(state, dict) and "_modules" in state:
            return state
    return {}


def is_tensor(value: Any) -> bool:
    """Return whether a value is a tensor, be it one that cannot be read."""
    return isinstance(value, PickledTensor) or (
        isinstance(value, Record)
        and (value.kind == UNREADABLE or value.kind.startswith("torch._utils._rebuild_"))
    )
