"""Tiny random models of some architectures, and a model built without some blocks, the slow way."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    SiglipVisionConfig,
    SwinConfig,
    SwinForImageClassification,
    T5Config,
    T5ForConditionalGeneration,
    ViTConfig,
    ViTForImageClassification,
)

from depthprune.testing.tiny_models import spread

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "vocab_size": 64,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def _spread(model: Any) -> Any:
    """Give every weight so much weight that a missing block changes the logits."""
    return spread(model, scale=0.15)


def llama(num_blocks: int = 6, **options: Any) -> LlamaForCausalLM:
    """Return a Llama; its name is the plain decoder in these tests."""
    options = {**SIZES, "num_key_value_heads": 2, **options}
    return _spread(LlamaForCausalLM(LlamaConfig(num_hidden_layers=num_blocks, **options)))


def gemma2(num_blocks: int = 6) -> Gemma2ForCausalLM:
    """Return a Gemma 2, whose blocks attend to a window of 4 tokens and to all, in turns."""
    config = Gemma2Config(
        num_hidden_layers=num_blocks,
        num_key_value_heads=2,
        head_dim=8,
        sliding_window=4,
        query_pre_attn_scalar=8,
        **SIZES,
    )
    return _spread(Gemma2ForCausalLM(config))


def qwen2(num_blocks: int = 6) -> Qwen2ForCausalLM:
    """Return a Qwen 2 whose blocks from the fourth on attend to a window of 4 tokens."""
    config = Qwen2Config(
        num_hidden_layers=num_blocks,
        num_key_value_heads=2,
        use_sliding_window=True,
        sliding_window=4,
        max_window_layers=3,
        **SIZES,
    )
    return _spread(Qwen2ForCausalLM(config))


def llava(num_blocks: int = 6) -> LlavaForConditionalGeneration:
    """Return a LLaVA: 4 vision blocks, pictures of 4 tokens, token 63 stands for a picture."""
    vision = SiglipVisionConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=16,
        patch_size=8,
        vision_use_head=False,
    )
    text = LlamaConfig(num_hidden_layers=num_blocks, num_key_value_heads=2, **SIZES)
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=63,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
    )
    return _spread(LlavaForConditionalGeneration(config))


def t5(encoder_blocks: int = 4, decoder_blocks: int = 4) -> T5ForConditionalGeneration:
    """Return a T5."""
    config = T5Config(
        vocab_size=64,
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_heads=4,
        num_layers=encoder_blocks,
        num_decoder_layers=decoder_blocks,
        decoder_start_token_id=0,
    )
    return _spread(T5ForConditionalGeneration(config))


def bert(num_blocks: int = 4) -> BertForMaskedLM:
    """Return a BERT."""
    return _spread(BertForMaskedLM(BertConfig(num_hidden_layers=num_blocks, **SIZES)))


def vit(num_blocks: int = 4) -> ViTForImageClassification:
    """Return a ViT for pictures of 16 x 16."""
    config = ViTConfig(
        hidden_size=32,
        intermediate_size=48,
        num_attention_heads=4,
        num_hidden_layers=num_blocks,
        image_size=16,
        patch_size=8,
    )
    return _spread(ViTForImageClassification(config))


def swin() -> SwinForImageClassification:
    """Return a Swin: stages of 2 and 4 blocks, every other one with shifted windows."""
    config = SwinConfig(
        image_size=32, patch_size=4, embed_dim=16, depths=[2, 4], num_heads=[2, 2], window_size=2
    )
    return _spread(SwinForImageClassification(config))


def built_without(
    model: PreTrainedModel, blocks: set[int], path: str, config: Any
) -> PreTrainedModel:
    """Build a model of `config` with the weights of `model`, its `blocks` at `path` left out."""
    kept = [block for block in range(len(model.get_submodule(path))) if block not in blocks]
    weights = {}
    for name, tensor in model.state_dict().items():
        match = re.match(rf"{re.escape(path)}\.(\d+)\.", name)
        if match and int(match[1]) in blocks:
            continue
        if match:
            name = f"{path}.{kept.index(int(match[1]))}.{name[match.end() :]}"
        weights[name] = tensor
    built = type(model)(config)
    built.load_state_dict(weights, strict=True)
    return built.eval()


def logits(model: nn.Module, **inputs: Any) -> torch.Tensor:
    """Return the logits of a forward pass."""
    with torch.no_grad():
        return model(**inputs).logits


def tokens(rows: int = 2, length: int = 9) -> torch.Tensor:
    """Return random tokens, none of them special."""
    return torch.randint(3, 60, (rows, length), generator=torch.Generator().manual_seed(1))


def left_padded(padding: int = 4) -> dict[str, torch.Tensor]:
    """Return two rows, the first with `padding` pads on the left."""
    ids = tokens()
    mask = torch.ones_like(ids)
    ids[0, :padding] = 0
    mask[0, :padding] = 0
    return {"input_ids": ids, "attention_mask": mask}


def continued(model: Any, inputs: dict[str, Any], **options: Any) -> torch.Tensor:
    """Return prompt and greedy answer of 8 tokens."""
    with torch.no_grad():
        return model.generate(
            **inputs, max_new_tokens=8, min_new_tokens=8, do_sample=False, **options
        )
