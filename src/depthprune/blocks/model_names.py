"""Names as the model itself has them: without those of what was wrapped around it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

# Of compiled modules, of sharded ones, of checkpointed ones, and of layers with an adapter.
_WRAPPING = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "base_layer"}

# Of models on many devices, and of models with adapters.
_PREFIXES = ("module.", "base_model.model.")

Value = TypeVar("Value")


class Unwrapping:
    """How the names of a model's tensors and modules become those of the model itself.

    Args:
        tensors: all names; a prefix is taken off when all have it.
    """

    def __init__(self, tensors: Iterable[str]) -> None:
        names = [_inner(name) for name in tensors]
        self._prefix = ""
        while names and (prefix := _shared_prefix(names)):
            self._prefix += prefix
            names = [name.removeprefix(prefix) for name in names]
        # Two names that would become one are better left as they are.
        self._keeps = len(set(names)) < len(names)

    def tensor(self, name: str) -> str:
        """Return a tensor's name in the model."""
        return name if self._keeps else _inner(name).removeprefix(self._prefix)

    def modules(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return values of modules by their paths in the model, without those of wrappers."""
        if self._keeps:
            return dict(values)
        found: dict[str, Value] = {}
        for path, value in values.items():
            inner = f"{_inner(path)}." if path else ""
            if inner.startswith(self._prefix):
                found[inner.removeprefix(self._prefix).removesuffix(".")] = value
        return found


def _inner(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPING)


def _shared_prefix(names: list[str]) -> str | None:
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in names):
            return prefix
    return None
