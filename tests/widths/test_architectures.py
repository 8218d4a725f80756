"""A pruned model computes what the whole one does with the units that go set to zero."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from depthprune import structure
from depthprune.base.errors import DepthpruneError
from depthprune.cutting.execute import execute_cut
from depthprune.cutting.plan import CutPlan, plan_cut
from depthprune.widths import PruneOptions
from depthprune.widths.choose import Kept, choose, mask
from depthprune.widths.layout import UnitMap, find_layout
from depthprune.widths.plan import plan_whole, plan_widths
from tests.widths.models import MODELS, save

TOLERANCE = 1e-4
WITHOUT_HEADS = ("gpt2", "qwen2_vl")
"""Architectures whose heads must fill the hidden size."""
NOT_GLOBAL = ("gpt2",)


def prune_by_chance(
    source: Path, output: Path, how: PruneOptions
) -> tuple[CutPlan, UnitMap, tuple[Kept, ...]]:
    """Prune with random scores, and return plan, layout and what stays."""
    whole = plan_whole(source)
    layout = find_layout(whole)
    chance = np.random.default_rng(0)
    scores = [
        {"groups": chance.random(layout.groups), "channels": chance.random(layout.channels)}
        for _ in layout.blocks
    ]
    total = structure.analyze(source).anatomy.total
    assert total is not None
    kept = choose(layout, scores, total, how)
    plan, files = plan_widths(whole, layout, kept, total, how)
    execute_cut(plan, output, extra_files=files)
    return plan, layout, kept


def load(folder: Path, name: str, **options: Any) -> Any:
    """Load a model that must find exactly the tensors it has."""
    auto = AutoModelForImageTextToText if name in ("llava", "qwen2_vl") else AutoModelForCausalLM
    model, report = auto.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True, local_files_only=True, **options
    )
    assert not any(report.values()), report
    return model.eval()


@torch.no_grad()
def check_alike(masked: Any, pruned: Any) -> None:
    """Logits agree to 1e-4, and cached generation gives the same tokens."""
    tokens = torch.arange(3, 15).repeat(2, 1) + torch.tensor([[0], [6]])
    expected, found = (model(input_ids=tokens).logits for model in (masked, pruned))
    scale = max(1.0, float(expected.abs().max()))
    assert (expected - found).abs().max() <= TOLERANCE * scale
    words = [
        model.generate(input_ids=tokens, max_new_tokens=8, do_sample=False, use_cache=cached)
        for model, cached in ((masked, True), (pruned, True), (pruned, False))
    ]
    assert torch.equal(words[0], words[1])
    assert torch.equal(words[0], words[2])


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("widths", ["channels", "heads", "global"])
def test_masking_the_whole_model_and_pruning_it_agree(
    name: str, widths: str, tmp_path: Path
) -> None:
    if widths == "heads" and name in (*WITHOUT_HEADS, "llama-with-biases"):
        pytest.skip("keeps all of its heads")
    if widths == "global" and name in NOT_GLOBAL:
        source = save(MODELS[name](), tmp_path / "whole")
        with pytest.raises(DepthpruneError, match="blocks of different widths are not written"):
            prune_by_chance(source, tmp_path / "small", PruneOptions(ratio=0.1, widths="global"))
        return
    source = save(MODELS[name](), tmp_path / "whole")
    options: dict[str, Any] = {"ratio": 0.2}
    if widths == "heads":
        # 6 heads of 24 numbers: 4 divide the hidden size, which Llama and Gemma insist on.
        options = {"ratio": 0.3, "keep_kv_heads": 1 if name == "llava" else 2}
    elif widths == "global":
        options = {"ratio": 0.1, "widths": "global", "protect_layers": ("1",)}

    plan, layout, kept = prune_by_chance(source, tmp_path / "small", PruneOptions(**options))

    whole = load(source, name)
    mask(whole, layout, kept)
    pruned = load(tmp_path / "small", name, trust_remote_code=widths == "global")
    check_alike(whole, pruned)
    assert plan.pruned is not None
    assert plan.pruned.parameters_after == structure.analyze(tmp_path / "small").anatomy.total
    assert (len(set(plan.pruned.widths)) > 1) == (widths == "global")
    if widths == "global":
        assert plan.pruned.widths[1] == (layout.groups, layout.channels)


def test_the_mask_is_what_zeros_on_the_way_back_would_do(tmp_path: Path) -> None:
    source = save(MODELS["llama"](), tmp_path / "whole")
    how = PruneOptions(ratio=0.3, keep_kv_heads=2)
    _, _, kept = prune_by_chance(source, tmp_path / "small", how)
    whole = load(source, "llama")
    with torch.no_grad():
        for block, one in zip(whole.model.layers, kept, strict=True):
            for group in {0, 1, 2} - set(one.groups):
                for head in (2 * group, 2 * group + 1):
                    block.self_attn.o_proj.weight[:, 8 * head : 8 * head + 8] = 0
            for channel in set(range(40)) - set(one.channels):
                block.mlp.down_proj.weight[:, channel] = 0
    check_alike(whole, load(tmp_path / "small", "llama"))


def test_a_number_of_heads_that_llama_refuses_is_loaded_by_the_class_of_mistral(
    tmp_path: Path,
) -> None:
    model = MODELS["llama"]()
    source = save(model, tmp_path / "whole")
    hidden_not_divided = PruneOptions(ratio=0.3, keep_kv_heads=2)
    plan, layout, kept = prune_by_chance(source, tmp_path / "a", hidden_not_divided)
    assert plan.config["model_type"] == "llama"  # 4 heads divide 24

    wide = save(_five_groups(), tmp_path / "wide")
    plan, layout, kept = prune_by_chance(
        wide, tmp_path / "b", PruneOptions(ratio=0.2, keep_kv_heads=5)
    )
    assert (plan.config["model_type"], plan.config["architectures"]) == (
        "mistral",
        ["MistralForCausalLM"],
    )
    assert "MistralForCausalLM" in str(plan.notes[0])
    assert "MistralForCausalLM" in (tmp_path / "b" / "README.md").read_text()
    whole = load(wide, "llama")
    mask(whole, layout, kept)
    check_alike(whole, load(tmp_path / "b", "llama"))


def _five_groups() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    from depthprune.testing.tiny_models import spread
    from tests.widths.models import SIZES

    sizes = {**SIZES, "num_attention_heads": 6, "num_key_value_heads": 6}
    return spread(LlamaForCausalLM(LlamaConfig(**sizes, rope_theta=500.0)))


@pytest.mark.parametrize("name", ["gemma2", "gemma3", "llama-with-biases"])
def test_a_number_of_heads_that_no_class_takes_is_refused(name: str, tmp_path: Path) -> None:
    source = save(_with_groups(name, 6), tmp_path / "whole")
    with pytest.raises(DepthpruneError, match="refuses 5 query heads"):
        prune_by_chance(source, tmp_path / "small", PruneOptions(ratio=0.2, keep_kv_heads=5))
    assert not (tmp_path / "small").exists()


def _with_groups(name: str, groups: int) -> Any:
    from depthprune.testing.tiny_models import spread

    config = MODELS[name]().config
    config.num_key_value_heads = groups
    return spread(AutoModelForCausalLM.from_config(config))


def test_a_model_of_different_widths_does_not_load_without_its_code(tmp_path: Path) -> None:
    source = save(MODELS["llama"](), tmp_path / "whole")
    how = PruneOptions(ratio=0.2, widths="global")
    prune_by_chance(source, tmp_path / "small", how)
    with pytest.raises((ValueError, RuntimeError)):
        AutoModelForCausalLM.from_pretrained(tmp_path / "small", trust_remote_code=False)


def test_a_pruned_model_can_lose_whole_blocks_too(tmp_path: Path) -> None:
    source = save(MODELS["llama"](), tmp_path / "whole")
    prune_by_chance(source, tmp_path / "small", PruneOptions(ratio=0.2, keep_kv_heads=2))
    execute_cut(plan_cut(tmp_path / "small", (1,)), tmp_path / "smaller")
    assert load(tmp_path / "smaller", "llama").config.num_hidden_layers == 2


@pytest.mark.parametrize("widths", ["uniform", "global"])
def test_keys_of_a_wrapper_around_the_model_are_those_of_the_model(
    widths: Literal["uniform", "global"], tmp_path: Path
) -> None:
    source = save(MODELS["llama"](), tmp_path / "whole")
    held = load_file(source / "model.safetensors")
    save_file({f"module.{name}": held[name] for name in held}, source / "model.safetensors")
    _, layout, kept = prune_by_chance(
        source, tmp_path / "small", PruneOptions(ratio=0.2, widths=widths, keep_kv_heads=2)
    )
    whole = MODELS["llama"]().eval()
    mask(whole, layout, kept)
    check_alike(whole, load(tmp_path / "small", "llama", trust_remote_code=widths == "global"))
