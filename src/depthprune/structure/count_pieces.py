"""The tensors of one layer, and what else the model says about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from depthprune.structure.count_stacks import Path, number_in
from depthprune.structure.count_stored import Stored
from depthprune.structure.names import Part, Role, part_and_role, without_numbers

Shape = tuple[int, ...]

HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads",
         "num_decoder_attention_heads", "attention_heads")  # fmt: skip
KEY_VALUE_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv")
HEAD_SIZES = ("head_dim", "attention_head_dim", "d_kv", "kv_channels", "d_head")
HIDDEN_SIZES = ("hidden_size", "n_embd", "d_model", "dim", "model_dim", "emb_dim")


@dataclass(frozen=True)
class Surroundings:
    """What the model says about its layers beside their tensors.

    Attributes:
        config: of the text decoder.
        types: class names of modules by path; empty for most formats.
        attributes: numbers that modules hold, by path.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def type_of(self, layer: str, fits: Callable[[str], bool]) -> str | None:
        """Return the class name of the module right below a layer whose name fits."""
        return next((self.types[path] for path in self._below(layer, fits, self._typed)), None)

    def attributes_of(self, layer: str, fits: Callable[[str], bool]) -> Mapping[str, int]:
        """Return what the module right below a layer whose name fits says of itself."""
        found = self._below(layer, fits, self._described)
        return next((self.attributes[path] for path in found), {})

    @cached_property
    def _typed(self) -> Mapping[str, list[str]]:
        return _by_parent(self.types)

    @cached_property
    def _described(self) -> Mapping[str, list[str]]:
        return _by_parent(self.attributes)

    @staticmethod
    def _below(
        layer: str, fits: Callable[[str], bool], modules: Mapping[str, list[str]]
    ) -> Iterable[str]:
        return (path for path in modules.get(layer, ()) if fits(path.rpartition(".")[2]))


def _by_parent(paths: Iterable[str]) -> Mapping[str, list[str]]:
    children: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        children[path.rpartition(".")[0]].append(path)
    return children


@dataclass(frozen=True, slots=True)
class Piece:
    """A tensor of a layer and what it is.

    Attributes:
        path: its name below the layer.
        leaf: the name of the projection.
        part, role: what it is, by its name.
        shape: outputs x inputs for most matrices; unpacked for quantised ones.
        parameters: how many numbers it holds.
    """

    path: Path
    leaf: str
    part: Part
    role: Role
    shape: Shape
    parameters: int


def piece_of(path: Path, stored: Stored, config: Mapping[str, Any]) -> Piece:
    """Return what a tensor of a layer is, by its name below the layer."""
    plain = without_numbers(path)
    part, role, leaf = part_and_role(plain)
    shape = stored.shape
    hidden = number_in(config, HIDDEN_SIZES)
    flat = role and len(shape) == 1 and path[-1] == "weight"
    if flat and hidden and shape[0] > hidden and shape[0] % hidden == 0:
        # Packed in a row, as bitsandbytes does it: one of the two sizes is known.
        other = shape[0] // hidden
        shape = (hidden, other) if role in ("o", "down") else (other, hidden)
    return Piece(path, leaf, part, role, shape, stored.parameters or 0)


def matrix_sizes(pieces: Iterable[Piece]) -> tuple[int, int] | None:
    """Return outputs and inputs of a linear layer; its bias tells which axis is which.

    The layers of GPT-2 (`Conv1D`) are stored as inputs x outputs. None without a matrix.
    """
    shapes = [piece.shape for piece in pieces]
    weight = next((shape for shape in shapes if len(shape) == 2), None)
    if weight is None:
        return None
    bias = next((shape[0] for shape in shapes if len(shape) == 1), None)
    rows, columns = weight
    return (columns, rows) if bias == columns != rows else (rows, columns)
