"""Bytes of slices, against torch."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from depthprune.base.errors import FileError, ModelError
from depthprune.checkpoint.stored import PIECE
from depthprune.cutting.shards import BlockSlices, Shard, TargetTensor, write_shards


@dataclass(frozen=True)
class Counting:
    """A tensor of the numbers 0, 1, 2, ... that comes in pieces of a given size."""

    shape: tuple[int, ...]
    piece: int
    missing: int = 0
    name: str = "t"
    dtype: str = "I32"
    file: Path = Path("f")
    storage: str = "s"

    def pieces(self, size: int = PIECE) -> Iterator[bytes]:
        numbers = range(torch.Size(self.shape).numel() - self.missing)
        content = struct.pack(f"<{len(numbers)}i", *numbers)
        for start in range(0, len(content), self.piece):
            yield content[start : start + self.piece]

    def whole(self) -> torch.Tensor:
        return torch.arange(torch.Size(self.shape).numel(), dtype=torch.int32).view(self.shape)


def written(source: Counting, slices: BlockSlices, folder: Path) -> torch.Tensor:
    """Write the slices to a file and read it as the safetensors library does."""
    (folder / "x.safetensors").unlink(missing_ok=True)
    tensor = TargetTensor("t", source, slices)
    write_shards([Shard("x.safetensors", (tensor,))], folder, lambda count: None)
    return load_file(folder / "x.safetensors")["t"]


@given(
    before=st.integers(1, 3),
    width=st.integers(1, 3),
    after=st.integers(1, 3),
    kept=st.sets(st.integers(0, 4), min_size=1).map(sorted),
    piece=st.integers(1, 80),
)
def test_slices_are_those_that_torch_selects(
    before: int, width: int, after: int, kept: list[int], piece: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    source = Counting((before, 5 * width, after), piece)
    folder = tmp_path_factory.getbasetemp()
    found = written(source, BlockSlices(1, 5, tuple(kept)), folder)
    blocks = source.whole().view(before, 5, width, after)
    assert torch.equal(found, blocks[:, kept].reshape(before, len(kept) * width, after))


def test_a_source_that_gives_too_few_bytes(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="were expected"):
        written(Counting((5, 2), 8, missing=3), BlockSlices(0, 5, (0, 4)), tmp_path)


def test_numbers_smaller_than_a_byte_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="smaller than a byte"):
        written(Counting((5, 2), 8, dtype="F4"), BlockSlices(0, 5, (0, 4)), tmp_path)
