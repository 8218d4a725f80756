"""Saved tiny models, and what a smaller checkpoint loads as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import PreTrainedModel

from depthprune.blocks.skipping import skip
from depthprune.blocks.stack import Stack, find_stack
from depthprune.cutting.execute import execute_cut
from depthprune.cutting.plan import CutPlan, plan_cut


def saved(model: PreTrainedModel, folder: Path, **options: Any) -> Path:
    """Save a model and return its folder."""
    model.save_pretrained(folder, **options)
    return folder


def cut(source: Path, removal: tuple[int, ...], output: Path, **options: Any) -> CutPlan:
    """Plan and execute in one go."""
    plan = plan_cut(source, removal, **options)
    execute_cut(plan, output)
    return plan


def load_strictly(model_class: Any, folder: Path) -> PreTrainedModel:
    """Load a checkpoint that must hold exactly the tensors of its model."""
    model, report = model_class.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True, local_files_only=True
    )
    trouble = {name: found for name, found in report.items() if found}
    assert not trouble, trouble
    return model.eval()


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Return every tensor of the weight files of a folder, as the safetensors library reads it."""
    found: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - not a dictionary
                assert name not in found
                found[name] = file.get_tensor(name)
    return found


def skipped_logits(
    model: PreTrainedModel, removal: tuple[int, ...], inputs: dict[str, Any], part: str = "text"
) -> torch.Tensor:
    """Return the logits of a model while blocks are skipped."""
    stack: Stack = find_stack(model, part)
    with torch.no_grad(), skip(model, removal, stack):
        return model(**inputs).logits
