"""Plain values out of a pickle: what a configuration says, and no more than one may say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from depthprune.checkpoint.inert_pickle import Record, Reference
from depthprune.checkpoint.pickled import is_tensor, module_attributes

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
