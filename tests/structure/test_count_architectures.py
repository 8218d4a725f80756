"""The anatomy by names and shapes is that of the loaded model, over all of transformers."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from depthprune.blocks.stack import find_stack
from depthprune.structure.anatomy import Anatomy
from depthprune.structure.count import anatomy_of
from depthprune.structure.reading import read_checkpoint
from tests.architectures.check import build, entries

ROLES = {"causal": "text", "vlm": "text", "s2s": "decoder"}
"""Kinds of models with a text decoder, and the part that it is."""

VARIED = [
    *[("causal", name) for name in ("llama", "qwen2", "qwen3", "gemma2", "gpt2", "gpt_neox")],
    *[("causal", name) for name in ("falcon", "bloom", "opt", "phi3", "mpt", "gpt_bigcode")],
    *[("causal", name) for name in ("mixtral", "olmoe", "gpt_oss", "dbrx", "granitemoe")],
    *[("causal", name) for name in ("deepseek_v3", "qwen3_next", "mamba2", "jamba", "zamba2")],
    *[("causal", name) for name in ("xlm", "bert", "bigbird_pegasus", "ernie4_5_moe")],
    *[("vlm", name) for name in ("llava", "qwen2_5_vl", "gemma3", "mllama", "blip-2", "smolvlm")],
    *[("s2s", name) for name in ("t5", "bart", "pegasus")],
]

LAYERS_DIFFER = {
    ("causal", "inkling2_text"): "queries of all layers are stored outside of them",
    ("vlm", "inkling2"): "queries of all layers are stored outside of them",
}
NO_ONE_STACK = {("causal", "blt"), ("vlm", "pi0")}
"""Models with several stacks that are equally text: only their sums are checked."""
TOTAL_DIFFERS = {("s2s", "marian"): "tables of positions are not stored"}


def save_tiny(role: str, model_type: str, folder: Path) -> nn.Module:
    """Build a tiny model and save it; raises what transformers raises when it cannot."""
    model = build(role, model_type)
    model.save_pretrained(folder)
    return model


def difference(model: nn.Module, role: str, model_type: str, folder: Path) -> str:
    """Count a model that was saved, and say where that differs from the model itself."""
    anatomy = anatomy_of(read_checkpoint(folder))
    total = sum(parameter.numel() for parameter in model.parameters())
    if anatomy.total != total:
        return f"total {anatomy.total} instead of {total}"
    if broken := sums_that_do_not_add_up(anatomy):
        return broken
    if (role, model_type) in NO_ONE_STACK:
        return ""
    layers, ours = layers_of(model, ROLES[role]), [layer.total for layer in anatomy.layers]
    return "" if layers == ours else f"layers {ours} instead of {layers}"


def sums_that_do_not_add_up(anatomy: Anatomy) -> str:
    if anatomy.unknown:
        return "" if anatomy.total is None or not anatomy.layers else "what is unknown has a total"
    outside = anatomy.embedding + anatomy.lm_head + anatomy.norm + anatomy.other
    if anatomy.total != outside + sum(anatomy.towers.values()) + anatomy.layer_params:
        return "the parts of the model do not add up"
    for layer in anatomy.layers:
        if layer.total != layer.attention.total + layer.mlp.total + layer.norm + layer.other:
            return f"the parts of layer {layer.index} do not add up"
        attention = layer.attention
        parts = [each or 0 for each in (attention.q, attention.k, attention.v, attention.o)]
        if sum(parts) > attention.total:
            return f"the projections of layer {layer.index} are more than its attention"
        mlp = layer.mlp
        if sum(each or 0 for each in (mlp.gate, mlp.up, mlp.down)) > mlp.total:
            return f"the projections of layer {layer.index} are more than its MLP"
    return ""


def layers_of(model: nn.Module, part: str) -> list[int]:
    """Count the parameters of every block; what blocks share counts with the first of them."""
    stack = find_stack(model, part)
    totals, seen = [0] * stack.num_blocks, set()
    for index in range(stack.num_blocks):
        for path in stack.containers:
            for parameter in list(model.get_submodule(path).children())[index].parameters():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    totals[index] += parameter.numel()
    return totals


@pytest.mark.parametrize(("role", "model_type"), VARIED, ids=lambda value: value)
def test_the_anatomy_is_that_of_the_model(role: str, model_type: str, tmp_path: Path) -> None:
    model = save_tiny(role, model_type, tmp_path)
    assert difference(model, role, model_type, tmp_path) == ""


def test_towers_are_those_of_the_model(tmp_path: Path) -> None:
    model = save_tiny("vlm", "llava", tmp_path)
    inner = model.get_submodule("model")
    towers = {"vision": "vision_tower", "projector": "multi_modal_projector"}
    assert anatomy_of(read_checkpoint(tmp_path)).towers == {
        name: sum(each.numel() for each in inner.get_submodule(path).parameters())
        for name, path in towers.items()
    }


def outcomes(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield role, model type and difference of every architecture that can be built and saved."""
    for role in ROLES:
        for model_type in entries(role):
            place = folder / role / model_type
            try:
                model = save_tiny(role, model_type, place)
            except Exception as error:  # of transformers or of what the model needs besides
                sys.stdout.write(f"{role} {model_type} left out: {type(error).__name__}\n")
                continue
            yield role, model_type, difference(model, role, model_type, place)
            shutil.rmtree(place)


@pytest.mark.architectures
@pytest.mark.timeout(0)
def test_every_architecture(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    found = {(role, model_type): text for role, model_type, text in outcomes(tmp_path)}
    differing = {place: text for place, text in found.items() if text}
    for role in ROLES:
        ran = [place for place in found if place[0] == role]
        passed = [place for place in ran if place not in differing]
        sys.stdout.write(f"{role}: {len(passed)} of {len(ran)} as the model\n")
    sys.stdout.write("".join(f"{' '.join(place)}: {text}\n" for place, text in differing.items()))
    assert set(differing) == set(LAYERS_DIFFER) | set(TOTAL_DIFFERS)
    assert all(
        text.startswith("layers") for place, text in differing.items() if place in LAYERS_DIFFER
    )
    assert len(found) > 300
