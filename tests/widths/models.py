"""Tiny models of every architecture that can be pruned within its blocks, with odd sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

from depthprune.testing import tiny_models

SIZES = {
    "vocab_size": 6 + len(tiny_models.WORDS),
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def _random_biases(model: Any) -> Any:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model


def _causal(config: type, **fields: Any) -> Callable[[], Any]:
    def make() -> Any:
        return _random_biases(
            tiny_models.spread(AutoModelForCausalLM.from_config(config(**{**SIZES, **fields})))
        )

    return make


MODELS: dict[str, Callable[[], Any]] = {
    "llama": _causal(LlamaConfig),
    "llama-with-biases": _causal(LlamaConfig, attention_bias=True, mlp_bias=True),
    "mistral": _causal(MistralConfig, sliding_window=4),
    "qwen2": _causal(Qwen2Config),
    "qwen3": _causal(Qwen3Config, tie_word_embeddings=True),
    "gemma2": _causal(Gemma2Config, query_pre_attn_scalar=8, sliding_window=4),
    "gemma3": _causal(Gemma3TextConfig, query_pre_attn_scalar=8, sliding_window=4),
    "phi3": _causal(Phi3Config),
    "gpt2": lambda: _random_biases(tiny_models.gpt2(blocks=3)),
    "llava": tiny_models.llava,
    "qwen2_vl": tiny_models.qwen2_vl,
}


def save(model: PreTrainedModel, folder: Path) -> Path:
    """Save a model and return its folder."""
    model.save_pretrained(folder)
    return folder
