"""Whatever names, shapes and settings a checkpoint has, it is counted, and its parts add up."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from depthprune.checkpoint.stored import DTYPE_BITS
from tests.structure.counted import counted
from tests.structure.test_count_architectures import sums_that_do_not_add_up

COMPONENTS = """model layers h transformer encoder decoder vision_tower language_model self_attn
    attn attention mlp experts shared_experts router mixer ffn norm lm_head embed_tokens shortcut_Q
    q_proj k_proj v_proj o_proj qkv_proj c_attn c_proj kv_b_proj kv_a_proj_with_mqa kv_proj q_norm
    gate up down w1 w2 w3 v1 up_proj gate_proj down_proj gate_up_proj fc1 fc2 weight bias qweight
    qzeros scales g_idx absmax SCB weight_packed weight_scale weight_scale_2 biases
    gate_up_proj_blocks gate_up_proj_scales inv_freq eh_proj 0 1 2 9 99999 1000000 ² ٣"""
FIELDS = """hidden_size num_attention_heads num_key_value_heads head_dim num_hidden_layers
    kv_lora_rank qk_nope_head_dim qk_rope_head_dim v_head_dim tie_word_embeddings model_type bits
    quant_method config_groups text_config"""

component = st.sampled_from(COMPONENTS.split())
anywhere = st.lists(component, min_size=1, max_size=7).map(".".join)
in_layers = st.tuples(st.integers(0, 3), component, component, component).map(
    lambda parts: ".".join(map(str, ("model.layers", *parts)))
)
names = st.one_of(anywhere, in_layers)
shapes = st.lists(st.sampled_from([0, 1, 2, 3, 4, 8, 16, 24]), max_size=4).map(tuple)
numbers = st.sampled_from([0, 1, 2, 4, 8, 10**18, -1, 1.5, None, True, "four", [4], {"a": 1}])
flat = st.dictionaries(st.sampled_from(FIELDS.split()), numbers)
configs = st.tuples(
    flat, st.dictionaries(st.sampled_from(["quantization_config", "text_config"]), flat)
).map(lambda both: {**both[0], **both[1]})
tensors = st.dictionaries(
    names, st.tuples(shapes, st.sampled_from(sorted(DTYPE_BITS))), max_size=12
)


@settings(max_examples=300)
@given(tensors, configs)
def test_any_checkpoint_is_counted(
    tensors: dict[str, tuple[tuple[int, ...], str]], config: dict[str, Any]
) -> None:
    sizes = {name: shape for name, (shape, _) in tensors.items()}
    # Longer names first: the number type is found by the end of a name.
    dtypes = {name: tensors[name][1] for name in sorted(tensors, key=len, reverse=True)}
    anatomy = counted(sizes, config, dtypes=dtypes)
    assert sums_that_do_not_add_up(anatomy) == ""
    assert anatomy.unknown if anatomy.total is None else anatomy.total >= 0
