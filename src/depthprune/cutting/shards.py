"""How the tensors of the smaller checkpoint are spread over files, and their index."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from depthprune.base.errors import DepthpruneError
from depthprune.checkpoint.safetensors_files import make_header
from depthprune.checkpoint.stored import DTYPE_BITS, StoredTensor, num_bytes

INDEX_NAME = "model.safetensors.index.json"
SINGLE_NAME = "model.safetensors"


@dataclass(frozen=True, slots=True)
class BlockSlices:
    """Which slices of a tensor with one slice per block stay.

    Attributes:
        axis: along which the slices lie.
        num_blocks: how many there are.
        kept: the blocks whose slices stay, ascending.
    """

    axis: int
    num_blocks: int
    kept: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TargetTensor:
    """A tensor of the smaller checkpoint.

    Attributes:
        name: its key there.
        source: where its bytes come from.
        slices: which of them, when it has a slice per block.
    """

    name: str
    source: StoredTensor
    slices: BlockSlices | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape in the smaller checkpoint."""
        shape = self.source.shape
        if self.slices is None:
            return shape
        axis = self.slices.axis
        width = shape[axis] // self.slices.num_blocks
        return (*shape[:axis], width * len(self.slices.kept), *shape[axis + 1 :])

    @property
    def num_bytes(self) -> int:
        """How many bytes it takes."""
        return num_bytes(self.source.dtype, self.shape)


@dataclass(frozen=True)
class Shard:
    """A file of the smaller checkpoint: its name, and its tensors in the order of their bytes."""

    name: str
    tensors: tuple[TargetTensor, ...]

    @property
    def header(self) -> bytes:
        """The bytes before the tensors."""
        return make_header((one.name, one.source.dtype, one.shape) for one in self.tensors)

    @property
    def num_bytes(self) -> int:
        """The size of the file."""
        return len(self.header) + sum(tensor.num_bytes for tensor in self.tensors)


def parse_size(text: str | int) -> int:
    """Return a size as bytes: `5GB`, `500MB`, `2GiB`, or a number of bytes.

    Raises:
        DepthpruneError: it is no size, or nothing.
    """
    units = {"": 1, "B": 1}
    for power, letter in enumerate("KMGT", start=1):
        units |= {letter: 1000**power, f"{letter}B": 1000**power, f"{letter}IB": 1024**power}
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Z]*)", str(text).strip().upper())
    size = int(float(match[1]) * units[match[2]]) if match and match[2] in units else 0
    if size < 1:
        raise DepthpruneError(
            f"{text!r} is not a size of files", mend="write for example 5GB, 500MB or 2GiB"
        )
    return size


def make_shards(tensors: Iterable[TargetTensor], max_shard_size: int) -> tuple[Shard, ...]:
    """Spread tensors over files in their order; a tensor above the limit gets a file of its own.

    Args:
        tensors: in the order of the source, so that neighbours stay neighbours.
        max_shard_size: bytes of tensors in one file.
    """
    groups: list[list[TargetTensor]] = [[]]
    used = 0
    for tensor in tensors:
        if groups[-1] and used + tensor.num_bytes > max_shard_size:
            groups.append([])
            used = 0
        groups[-1].append(tensor)
        used += tensor.num_bytes
    if len(groups) == 1:
        return (Shard(SINGLE_NAME, _aligned(groups[0])),)
    return tuple(
        Shard(f"model-{number:05d}-of-{len(groups):05d}.safetensors", _aligned(group))
        for number, group in enumerate(groups, start=1)
    )


def make_index(shards: Sequence[Shard]) -> dict[str, Any]:
    """Return the content of `model.safetensors.index.json`, which says what lies in which file."""
    total = sum(tensor.num_bytes for shard in shards for tensor in shard.tensors)
    names = {tensor.name: shard.name for shard in shards for tensor in shard.tensors}
    return {"metadata": {"total_size": total}, "weight_map": dict(sorted(names.items()))}


def _aligned(tensors: list[TargetTensor]) -> tuple[TargetTensor, ...]:
    """Put wide number types first: every tensor must begin at a multiple of its number's width."""
    return tuple(sorted(tensors, key=lambda tensor: -DTYPE_BITS[tensor.source.dtype]))
