"""Slices of a few bytes are copied as numpy takes them: the same bytes as torch gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from depthprune.checkpoint.safetensors_files import FileTensor, read_safetensors
from depthprune.cutting import shards
from depthprune.cutting.shards import BlockSlices


@dataclass(frozen=True, slots=True)
class Crumbs(FileTensor):
    """A tensor that comes in pieces of any size."""

    crumb: int = 7

    def pieces(self, size: int = 0) -> Iterator[bytes]:
        return FileTensor.pieces(self, self.crumb)


@pytest.mark.parametrize("crumb", [1, 7, 64, 10_000])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64, torch.int8])
@pytest.mark.parametrize(
    ("shape", "axis", "count"),
    [((5, 12), 1, 12), ((5, 12), 1, 4), ((12, 5), 0, 12), ((12,), 0, 6), ((3, 8, 2), 1, 8)],
)
def test_columns_rows_and_biases(
    crumb: int, dtype: torch.dtype, shape: tuple[int, ...], axis: int, count: int, tmp_path: Path
) -> None:
    whole = (torch.randn(shape) * 50).to(dtype)
    save_file({"w": whole}, tmp_path / "w.safetensors")
    found = read_safetensors(tmp_path / "w.safetensors")["w"]
    tensor = Crumbs(
        found.name, found.dtype, found.shape, found.file, found.start, found.length, crumb
    )
    kept = tuple(index for index in range(count) if index % 3 != 1)
    slices = BlockSlices(axis, count, kept)

    taken = b"".join(shards._sliced(tensor, slices))

    width = shape[axis] // count
    rows = torch.tensor([one * width + at for one in kept for at in range(width)])
    expected = whole.index_select(axis, rows).contiguous()
    assert taken == expected.view(torch.uint8).numpy().tobytes()


def test_long_slices_are_copied_run_by_run(tmp_path: Path) -> None:
    whole = torch.randn(6, 2000)
    save_file({"w": whole}, tmp_path / "w.safetensors")
    tensor = read_safetensors(tmp_path / "w.safetensors")["w"]
    slices = BlockSlices(0, 6, (0, 2, 3, 5))
    taken = b"".join(shards._sliced(tensor, slices))
    assert taken == whole[[0, 2, 3, 5]].numpy().tobytes()
    assert taken == b"".join(shards._taken(tensor, replace(slices), 8000))
