"""Check one architecture: the checkpoint that is cut against the model whose blocks are skipped."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import nn

from depthprune.base.removal import Removal
from depthprune.cutting.execute import execute_cut
from depthprune.cutting.plan import plan_cut


def cut_and_load(model: nn.Module, removal: Removal, part: str) -> nn.Module:
    """Save a model, cut the blocks out of its checkpoint and load what remains.

    Raises what saving, cutting and loading raise; ValueError when the cut checkpoint lacks tensors,
    or has others than the model.
    """
    with tempfile.TemporaryDirectory() as place:
        whole, smaller = Path(place, "whole"), Path(place, "smaller")
        model.save_pretrained(whole)
        execute_cut(plan_cut(whole, removal, part=part), smaller)
        return _load_strictly(model, smaller)


def load_again(model: nn.Module) -> nn.Module:
    """Save a model and load it; raises what that raises, ValueError when the keys do not match."""
    with tempfile.TemporaryDirectory() as place:
        model.save_pretrained(place)
        return _load_strictly(model, Path(place))


def _load_strictly(model: nn.Module, folder: Path) -> nn.Module:
    loaded, report = type(model).from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
    )
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[kind]:
            raise ValueError(f"the checkpoint has {kind}: {sorted(report[kind])[:3]}")
    return loaded.eval()
