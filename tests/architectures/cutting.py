"""Check one architecture: the checkpoint that is cut against the model whose blocks are skipped."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from depthprune.base.removal import Removal
from depthprune.blocks.cut.execute import execute_cut
from depthprune.blocks.cut.plan import plan_cut


class NotStored(Exception):
    """transformers does not get back what it stores of this model, whole or not."""


def cut_and_load(model: nn.Module, removal: Removal, part: str) -> nn.Module:
    """Save a model, cut the blocks out of its checkpoint and load what remains.

    Raises what cutting raises; NotStored when the whole model is not itself after it was saved and
    loaded; ValueError when the cut checkpoint lacks tensors, or has others than the model.
    """
    with tempfile.TemporaryDirectory() as place:
        whole, smaller = Path(place, "whole"), Path(place, "smaller")
        try:
            model.save_pretrained(whole)
            before = _load(model, whole)[1]
        except Exception as error:
            raise NotStored(f"{type(error).__name__}: {error}") from error
        execute_cut(plan_cut(whole, removal, part=part), smaller)
        loaded, problems = _load(model, smaller)
    for kind in ("missing", "unexpected", "mismatched"):
        if len(problems[kind]) > len(before[kind]):
            raise ValueError(f"the cut checkpoint has {kind} keys: {sorted(problems[kind])[:3]}")
    return loaded


def load_whole(model: nn.Module) -> nn.Module:
    """Save a model and load it again."""
    with tempfile.TemporaryDirectory() as place:
        model.save_pretrained(place)
        return _load(model, Path(place))[0]


def _load(model: nn.Module, folder: Path) -> tuple[nn.Module, dict[str, set[Any]]]:
    loaded, report = type(model).from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
    )
    problems = {
        kind: set(report[f"{kind}_keys"]) for kind in ("missing", "unexpected", "mismatched")
    }
    return loaded.eval(), problems
