"""A smaller checkpoint loads strictly in plain transformers, and computes what skipping computes.

Every architecture of transformers is in `tests/architectures`; here are the ones that tools break.
"""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from depthprune.base.errors import InadmissibleRemovalError
from depthprune.blocks.stack import find_stack
from depthprune.cutting.plan import plan_cut
from tests import models as tiny
from tests.architectures.check import build, first_admissible, make_inputs
from tests.cutting.cutting import cut, load_strictly, saved, skipped_logits, tensors

ARCHITECTURES = [
    ("causal", "llama"),
    ("causal", "gpt2"),
    ("causal", "qwen3"),
    ("causal", "gemma3_text"),
    ("causal", "mixtral"),
    ("causal", "qwen3_moe"),
    ("causal", "deepseek_v3"),
    ("causal", "minicpm3"),
    ("causal", "gemma3n_text"),
    ("causal", "jamba"),
    ("vlm", "llava"),
    ("vlm", "qwen2_vl"),
    ("vlm", "qwen2_5_vl"),
    ("vlm", "qwen3_vl"),
    ("vlm", "gemma3"),
    ("mlm", "bert"),
    ("vit", "vit"),
]


@pytest.mark.parametrize(("role", "model_type"), ARCHITECTURES, ids=lambda value: value)
def test_cutting_is_skipping(role: str, model_type: str, tmp_path: Path) -> None:
    model = build(role, model_type)
    inputs = make_inputs(model, role)
    stack = find_stack(model)
    removal, _ = first_admissible(stack)
    expected = skipped_logits(model, removal, copy.deepcopy(inputs))
    cut(saved(model, tmp_path / "whole"), removal, tmp_path / "smaller")
    smaller = load_strictly(type(model), tmp_path / "smaller")
    with torch.no_grad():
        logits = smaller(**inputs).logits
    assert torch.equal(logits, expected) or (logits - expected).abs().max() < 1e-4
    assert find_stack(smaller).num_blocks == stack.num_blocks - len(removal)


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_either_stack_of_an_encoder_decoder(part: str, tmp_path: Path) -> None:
    model = tiny.t5(encoder_blocks=5, decoder_blocks=4)
    inputs = {"input_ids": tiny.tokens(), "decoder_input_ids": tiny.tokens()}
    expected = skipped_logits(model, (1,), inputs, part)
    cut(saved(model, tmp_path / "whole"), (1,), tmp_path / "smaller", part=part)
    smaller = load_strictly(type(model), tmp_path / "smaller")
    torch.testing.assert_close(tiny.logits(smaller, **inputs), expected)


def test_the_vision_tower(tmp_path: Path) -> None:
    model = tiny.llava()
    plan = cut(saved(model, tmp_path / "whole"), (1,), tmp_path / "smaller", part="vision")
    assert plan.config_path == "vision_config.num_hidden_layers"
    assert plan.way == "probed"
    assert find_stack(load_strictly(type(model), tmp_path / "smaller"), "vision").num_blocks == 3


def test_the_slow_twin_has_equal_tensors(tmp_path: Path) -> None:
    """Load, delete layers, save: what one would write by hand, for a model as plain as Llama."""
    model = tiny.llama()
    cut(saved(model, tmp_path / "whole"), (1, 4), tmp_path / "smaller")
    del model.model.layers[4], model.model.layers[1]
    model.config.num_hidden_layers = 4
    twin = tensors(saved(model, tmp_path / "twin"))
    ours = tensors(tmp_path / "smaller")
    assert ours.keys() == twin.keys()
    assert all(torch.equal(ours[name], twin[name]) for name in twin)


def test_a_removal_that_cannot_be_expressed_is_refused(tmp_path: Path) -> None:
    model = tiny.swin()
    with pytest.raises(InadmissibleRemovalError, match="shifts its windows"):
        plan_cut(saved(model, tmp_path / "whole"), (1,), part="depths[1]")


class Legacy:
    """Checkpoints whose keys are not the paths of the model's modules."""

    @staticmethod
    def rewrite(folder: Path, pattern: str, replacement: str) -> Path:
        """Rename the keys of a saved checkpoint."""
        from safetensors.torch import load_file, save_file

        path = folder / "model.safetensors"
        old = load_file(path)
        new = {re.sub(pattern, replacement, name): tensor for name, tensor in old.items()}
        assert new.keys() != old.keys()
        save_file(new, path, metadata={"format": "pt"})
        return folder


def assert_same_as_skipping(model: PreTrainedModel, source: Path, output: Path) -> None:
    cut(source, (1, 3), output, probed=True)
    smaller = load_strictly(type(model), output)
    inputs = {"input_ids": tiny.tokens()}
    expected = skipped_logits(model, (1, 3), inputs)
    torch.testing.assert_close(tiny.logits(smaller, **inputs), expected)


def test_a_checkpoint_of_the_base_model_lacks_a_prefix(tmp_path: Path) -> None:
    model = tiny.llama(tie_word_embeddings=True)
    source = Legacy.rewrite(saved(model, tmp_path / "whole"), r"^model\.", "")
    plan = plan_cut(source, (1, 3))
    assert plan.numberings == plan_cut(source, (1, 3), probed=True).numberings
    assert plan.numberings[0].prefix == "layers."
    assert_same_as_skipping(model, source, tmp_path / "smaller")


def test_keys_as_the_model_calls_its_modules_now(tmp_path: Path) -> None:
    model = tiny.llava()
    source = Legacy.rewrite(
        saved(model, tmp_path / "whole"), r"^language_model\.model\.", "model.language_model."
    )
    assert plan_cut(source, (1,)).numberings[0].prefix == "model.language_model.layers."
    assert_same_as_skipping(model, source, tmp_path / "smaller")


def test_tensors_that_no_model_loads_go_with_their_blocks(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    source = saved(tiny.llama(), tmp_path / "whole")
    path = source / "model.safetensors"
    extra = {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(4) for i in range(6)}
    save_file(load_file(path) | extra, path, metadata={"format": "pt"})
    for probed in (False, True):
        plan = plan_cut(source, (1, 3), probed=probed)
        names = [one.name for one in plan.shards[0].tensors if "inv_freq" in one.name]
        assert sorted(names) == [
            f"model.layers.{i}.self_attn.rotary_emb.inv_freq" for i in range(4)
        ]
