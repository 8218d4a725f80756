"""Small Llamas with random weights, and what pruning makes of them: state dictionaries as files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from depthprune.structure.analyses import read_model
from depthprune.structure.anatomy import Anatomy, Attention, Layer, Mlp
from depthprune.structure.samples import ReadModel

State = dict[str, torch.Tensor]

HIDDEN, INNER, HEADS, KV_HEADS, VOCABULARY = 32, 48, 4, 2, 64
HEAD = HIDDEN // HEADS
LAYER = 2 * HIDDEN * HIDDEN + 2 * KV_HEADS * HEAD * HIDDEN + 3 * INNER * HIDDEN + 2 * HIDDEN
OUTSIDE = 2 * VOCABULARY * HIDDEN + HIDDEN


def make_state(layers: int = 6, seed: int = 0) -> State:
    """Return the weights of a Llama whose layers all differ, norms included."""
    source = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=source)

    state = {"model.embed_tokens.weight": random(VOCABULARY, HIDDEN)}
    for index in range(layers):
        at = f"model.layers.{index}"
        state |= {
            f"{at}.self_attn.q_proj.weight": random(HIDDEN, HIDDEN),
            f"{at}.self_attn.k_proj.weight": random(KV_HEADS * HEAD, HIDDEN),
            f"{at}.self_attn.v_proj.weight": random(KV_HEADS * HEAD, HIDDEN),
            f"{at}.self_attn.o_proj.weight": random(HIDDEN, HIDDEN),
            f"{at}.mlp.gate_proj.weight": random(INNER, HIDDEN),
            f"{at}.mlp.up_proj.weight": random(INNER, HIDDEN),
            f"{at}.mlp.down_proj.weight": random(HIDDEN, INNER),
            f"{at}.input_layernorm.weight": 1 + 0.1 * random(HIDDEN),
            f"{at}.post_attention_layernorm.weight": 1 + 0.1 * random(HIDDEN),
        }
    return state | {
        "model.norm.weight": 1 + 0.1 * random(HIDDEN),
        "lm_head.weight": random(VOCABULARY, HIDDEN),
    }


def keep_layers(state: State, kept: Iterable[int]) -> State:
    """Return the model with these layers of it, renumbered in this order."""
    found = {name: tensor for name, tensor in state.items() if ".layers." not in name}
    for new, old in enumerate(kept):
        prefix = f"model.layers.{old}."
        for name, tensor in state.items():
            if name.startswith(prefix):
                found[f"model.layers.{new}.{name.removeprefix(prefix)}"] = tensor.clone()
    return found


def prune_layer(state: State, layer: int, *, heads: int = HEADS, inner: int = INNER) -> State:
    """Return the model with fewer heads and neurons in a layer; the last ones stay."""
    attention, mlp = f"model.layers.{layer}.self_attn", f"model.layers.{layer}.mlp"
    width, keys = heads * HEAD, heads * KV_HEADS // HEADS * HEAD
    rows = {f"{attention}.q_proj": width, f"{attention}.k_proj": keys, f"{attention}.v_proj": keys}
    rows |= {f"{mlp}.gate_proj": inner, f"{mlp}.up_proj": inner}
    columns = {f"{attention}.o_proj": width, f"{mlp}.down_proj": inner}
    found = dict(state)
    for name, left in rows.items():
        weight = state[f"{name}.weight"]
        found[f"{name}.weight"] = weight[len(weight) - left :].clone()
    for name, left in columns.items():
        weight = state[f"{name}.weight"]
        found[f"{name}.weight"] = weight[:, weight.shape[1] - left :].clone()
    return found


def change_layers(state: State, change: Callable[[torch.Tensor], torch.Tensor]) -> State:
    """Return the model with a change made to every tensor of its layers."""
    return {
        name: change(tensor) if ".layers." in name else tensor for name, tensor in state.items()
    }


def save(folder: Path, state: State, **config: Any) -> Path:
    """Write a folder in Hugging Face format; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = {name.split(".")[2] for name in state if ".layers." in name}
    values = {
        "model_type": "llama",
        "num_hidden_layers": len(numbers),
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "vocab_size": VOCABULARY,
        "tie_word_embeddings": False,
    }
    (folder / "config.json").write_text(json.dumps(values | config))
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    return folder


def read(folder: Path, state: State, **config: Any) -> ReadModel:
    """Write a model and return it as it is read."""
    return read_model(save(folder, state, **config))


def made_up(
    *totals: int | tuple[int, int], name: str = "model", hidden_size: int | None = None
) -> Anatomy:
    """Return an anatomy of layers with so many parameters of attention and MLP, 2 in norms each."""
    pairs = [(total, total) if isinstance(total, int) else total for total in totals]
    layers = tuple(
        Layer(index, attention + mlp + 2, Attention(attention), Mlp(mlp), norm=2)
        for index, (attention, mlp) in enumerate(pairs)
    )
    total = 20 + sum(layer.total for layer in layers)
    return Anatomy(name, total, 10, 10, layers, hidden_size=hidden_size)


def with_layers(anatomy: Anatomy, changed: Mapping[int, Layer]) -> Anatomy:
    """Return an anatomy with other layers in some places, its total kept exact."""
    layers = tuple(changed.get(layer.index, layer) for layer in anatomy.layers)
    more = sum(layer.total for layer in layers) - anatomy.layer_params
    return replace(anatomy, layers=layers, total=anatomy.total + more)
