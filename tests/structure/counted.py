"""Checkpoints that are described, without a file: names, number types and shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depthprune.structure.anatomy import Anatomy, Layer
from depthprune.structure.count import anatomy_of
from depthprune.structure.tensors import Checkpoint

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Described:
    """A tensor that lies nowhere; `storage` makes ties, `content` is what `pieces` yields."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    storage: str
    content: bytes

    def pieces(self, size: int = 1) -> Iterator[bytes]:
        yield self.content


def describe(
    shapes: Shapes,
    config: Mapping[str, Any] | None = None,
    *,
    dtypes: Mapping[str, str] | None = None,
    tied: Mapping[str, str] | None = None,
    copies: Mapping[str, str] | None = None,
    types: Mapping[str, str] | None = None,
    attributes: Mapping[str, Mapping[str, int]] | None = None,
) -> Checkpoint:
    """Return a checkpoint of these shapes.

    Args:
        shapes: by name.
        config: what `config.json` says.
        dtypes: by name or by the end of it, `BF16` for others.
        tied: names that share the bytes of another.
        copies: names whose bytes equal those of another, but are stored again.
        types, attributes: as in `Checkpoint`.
    """
    tensors = {}
    for name, shape in shapes.items():
        dtype = next((of for end, of in (dtypes or {}).items() if name.endswith(end)), "BF16")
        storage = (tied or {}).get(name, name)
        content = (copies or {}).get(name, storage).encode()
        tensors[name] = Described(name, dtype, shape, storage, content)
    return Checkpoint(
        Path("somewhere/described"),
        tensors,
        config=config or {},
        types=types or {},
        attributes=attributes or {},
    )


def counted(shapes: Shapes, config: Mapping[str, Any] | None = None, **options: Any) -> Anatomy:
    """Return the anatomy of such a checkpoint."""
    return anatomy_of(describe(shapes, config, **options))


def in_layer(below: Shapes, index: int = 0) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a layer of a Llama-like model by their full names."""
    return {f"model.layers.{index}.{name}": shape for name, shape in below.items()}


def one_layer(below: Shapes, config: Mapping[str, Any] | None = None, **options: Any) -> Layer:
    """Return the anatomy of a layer with these tensors."""
    (layer,) = counted(in_layer(below), config, **options).layers
    return layer
