"""Checkpoints of real sizes without real bytes: headers as a model has them, the rest is a hole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from depthprune.checkpoint.safetensors_files import make_header
from depthprune.checkpoint.stored import num_bytes

LLAMA_3_8B: Mapping[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.40.0",
}
LLAMA_3_8B_PARAMETERS = 8_030_261_248

SMALL_LLAMA: Mapping[str, Any] = {
    **LLAMA_3_8B,
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}

Shapes = Mapping[str, tuple[int, ...]]


def llama_shapes(config: Mapping[str, Any] = LLAMA_3_8B) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a Llama's tensors by name, in the order of its modules."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    head = hidden // config["num_attention_heads"]
    keys = config["num_key_value_heads"] * head
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (config["vocab_size"], hidden)
    }
    for index in range(config["num_hidden_layers"]):
        layer = f"model.layers.{index}"
        shapes |= {
            f"{layer}.self_attn.q_proj.weight": (hidden, hidden),
            f"{layer}.self_attn.k_proj.weight": (keys, hidden),
            f"{layer}.self_attn.v_proj.weight": (keys, hidden),
            f"{layer}.self_attn.o_proj.weight": (hidden, hidden),
            f"{layer}.mlp.gate_proj.weight": (inner, hidden),
            f"{layer}.mlp.up_proj.weight": (inner, hidden),
            f"{layer}.mlp.down_proj.weight": (hidden, inner),
            f"{layer}.input_layernorm.weight": (hidden,),
            f"{layer}.post_attention_layernorm.weight": (hidden,),
        }
    shapes["model.norm.weight"] = (hidden,)
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (config["vocab_size"], hidden)
    return shapes


def write_llama(
    folder: Path, config: Mapping[str, Any] = LLAMA_3_8B, *, shards: int = 1, dtype: str = "BF16"
) -> Path:
    """Make a Llama's folder in Hugging Face format with sparse safetensors files; return it."""
    write_folder(folder, llama_shapes(config), shards=shards, dtype=dtype)
    (folder / "config.json").write_text(json.dumps(dict(config), indent=2))
    return folder


def write_folder(folder: Path, shapes: Shapes, *, shards: int = 1, dtype: str = "BF16") -> None:
    """Write sparse safetensors files as `save_pretrained` names them, without `config.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    if shards == 1:
        write_sparse(folder / "model.safetensors", shapes, dtype)
        return
    weight_map: dict[str, str] = {}
    for number, part in enumerate(_parts(shapes, shards), start=1):
        file = f"model-{number:05d}-of-{shards:05d}.safetensors"
        write_sparse(folder / file, part, dtype)
        weight_map |= dict.fromkeys(part, file)
    total = sum(num_bytes(dtype, shape) for shape in shapes.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))


def write_sparse(path: Path, shapes: Shapes, dtype: str = "BF16") -> Path:
    """Write a safetensors file of zeros that takes no room on disk."""
    header = make_header((name, dtype, shape) for name, shape in shapes.items())
    path.write_bytes(header)
    with path.open("r+b") as file:
        file.truncate(len(header) + sum(num_bytes(dtype, shape) for shape in shapes.values()))
    return path


def write_pickled_llama(
    path: Path, config: Mapping[str, Any] = LLAMA_3_8B, *, whole: bool = False, **beside: Any
) -> Path:
    """Write a sparse file of `torch.save` with a Llama of bfloat16; return it.

    Args:
        path: of the file; its folder is made.
        config: of the model.
        whole: write `{"model": <the module>, ...}`, as LLM-Pruner does, not a state dictionary.
        beside: further entries of that dictionary.
    """
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from transformers import AutoModelForCausalLM, LlamaConfig

    path.parent.mkdir(parents=True, exist_ok=True)
    built = LlamaConfig(**{key: value for key, value in config.items() if key not in _NO_FIELDS})
    with FakeTensorMode(), torch.serialization.skip_data(materialize_fake_tensors=True):
        model = AutoModelForCausalLM.from_config(built, dtype=torch.bfloat16)
        torch.save({"model": model, **beside} if whole else model.state_dict(), path)
    return path


_NO_FIELDS = ("model_type", "torch_dtype", "transformers_version")


def _parts(shapes: Shapes, count: int) -> Iterator[dict[str, tuple[int, ...]]]:
    names = list(shapes)
    for number in range(count):
        first, end = number * len(names) // count, (number + 1) * len(names) // count
        yield {name: shapes[name] for name in names[first:end]}
