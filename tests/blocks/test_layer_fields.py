"""Every per-layer field follows the blocks that stay; the rest of a configuration stays."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import Gemma3Config

from depthprune.base.errors import RemovalError, StackError
from depthprune.blocks.layer_fields import (
    find_layer_fields,
    shorten_config,
    shorten_dict,
    shorten_generation,
)
from depthprune.blocks.layer_rules import Inexpressible, Shortening
from tests import models as tiny

COUNT = "num_hidden_layers"


def shortened(removal: tuple[int, ...] = (1, 3), **fields: Any) -> dict[str, Any]:
    return shorten_dict({COUNT: 6, **fields}, COUNT, removal)


def test_the_count_is_that_of_the_blocks_that_stay() -> None:
    assert shortened() == {COUNT: 4}


@pytest.mark.parametrize("name", ["layer_types", "mlp_layer_types", "layers_block_type"])
def test_lists_of_one_entry_per_block_are_filtered(name: str) -> None:
    assert shortened(**{name: list("abcdef")})[name] == list("acef")


def test_a_pattern_written_as_text_is_filtered() -> None:
    assert shortened(hybrid_override_pattern="M-M*-M")["hybrid_override_pattern"] == "MM-M"


def test_a_list_of_another_length_is_left() -> None:
    assert shortened(intermediate_size=[1, 2])["intermediate_size"] == [1, 2]


def test_a_size_that_is_a_number_is_left() -> None:
    assert shortened(num_attention_heads=6)["num_attention_heads"] == 6


@pytest.mark.parametrize("name", ["mlp_only_layers", "cross_attention_layers", "moe_layers"])
def test_indices_of_blocks_are_renamed_and_those_of_missing_blocks_go(name: str) -> None:
    assert shortened(**{name: [0, 1, 2, 5]})[name] == [0, 1, 3]


def test_a_full_list_of_indices_stays_a_full_list_of_indices() -> None:
    value = shortened(rope_scaling_layers=[0, 1, 2, 3, 4, 5])["rope_scaling_layers"]
    assert value == [0, 1, 2, 3]


def test_an_index_from_the_end_stays_when_its_block_does() -> None:
    assert shortened(full_attn_idxs=[0, -1])["full_attn_idxs"] == [0, -1]


def test_keys_that_are_indices_are_renamed_in_their_type() -> None:
    given_fields = {"1": "a", "2": "b", "5": "c"}
    assert shortened(per_layer_config=given_fields)["per_layer_config"] == {"1": "b", "3": "c"}
    assert shortened(per_layer_config={2: "b"})["per_layer_config"] == {1: "b"}


def test_blocks_counted_from_the_start_are_recounted() -> None:
    assert shortened(first_k_dense_replace=3)["first_k_dense_replace"] == 2


def test_the_last_block_of_a_kind_is_renamed() -> None:
    assert shortened(moe_layer_end_index=4)["moe_layer_end_index"] == 2
    assert shortened(moe_layer_end_index=-1)["moe_layer_end_index"] == -1


def test_blocks_counted_from_the_end_are_recounted() -> None:
    assert shortened(num_kv_shared_layers=3)["num_kv_shared_layers"] == 2


def test_a_scale_by_depth_stays_what_it_was_per_block() -> None:
    scale = shortened(scale_depth=1.4)["scale_depth"]
    assert scale / math.sqrt(4) == pytest.approx(1.4 / math.sqrt(6))


def test_a_pattern_with_repetitions_is_written_out() -> None:
    value = shortened(attention_types=[[["global", "local"], 3]])["attention_types"]
    assert value == [[["global"], 1], [["global"], 1], [["global"], 1], [["local"], 1]]


def test_a_tiled_pattern_is_written_out() -> None:
    value = shortened(block_types=["r", "r", "a"])["block_types"]
    assert value == ["r", "a", "r", "a"]


def test_a_period_is_refitted_when_another_one_marks_the_blocks_that_stay() -> None:
    value = shortened((0, 4), attn_layer_period=4, attn_layer_offset=2)  # block 2 of 1, 2, 3, 5
    period, offset = value["attn_layer_period"], value["attn_layer_offset"]
    assert [index for index in range(4) if index % period == offset] == [1]


def test_a_sparse_step_becomes_a_list_of_dense_blocks() -> None:
    value = shortened(decoder_sparse_step=2, mlp_only_layers=[5])  # sparse: 1, 3
    assert value["decoder_sparse_step"] == 1
    assert value["mlp_only_layers"] == [0, 1, 2, 3]


def test_picture_features_for_a_missing_block_enter_the_next_one() -> None:
    config = {"text_config": {COUNT: 6}, "deepstack_layer_map": [[-1, 0], [-2, 1], [-3, 4]]}
    value = shorten_dict(config, f"text_config.{COUNT}", (1, 3))
    assert value["deepstack_layer_map"] == [[-1, 0], [-2, 1], [-3, 2]]


def in_vision(removal: tuple[int, ...], **fields: Any) -> dict[str, Any]:
    config = {"vision_config": {COUNT: 6}, "text_config": {COUNT: 6}, **fields}
    return shorten_dict(config, f"vision_config.{COUNT}", removal)


@pytest.mark.parametrize(
    ("before", "removal", "after"),
    [
        (6, (0,), 5),  # what the last block gives stays the last
        (-1, (0,), -1),
        (-2, (0,), -2),
        (-2, (5,), 5),  # the state before the missing block is now the last
        (-3, (4,), -2),
        (0, (0,), 0),  # what the first block is given
        (3, (2,), 2),  # a missing block passes its input through
        ([2, 5], (0,), [1, 4]),
        ([1, -2], (2, 3), [1, -2]),
    ],
)
def test_a_hidden_state_of_the_vision_tower_stays_what_it_was(
    before: Any, removal: tuple[int, ...], after: Any
) -> None:
    value = in_vision(removal, vision_feature_layer=before)
    assert value["vision_feature_layer"] == after


def test_blocks_of_the_text_do_not_move_hidden_states_of_the_vision_tower() -> None:
    config = {"vision_config": {COUNT: 6}, "text_config": {COUNT: 6}, "vision_feature_layer": 3}
    assert shorten_dict(config, f"text_config.{COUNT}", (0,))["vision_feature_layer"] == 3


def test_the_output_of_a_missing_block_is_that_of_the_block_before() -> None:
    assert shortened((2,), deepstack_visual_indexes=[0, 2, 5])["deepstack_visual_indexes"] == [
        0,
        1,
        4,
    ]


@pytest.mark.parametrize("removal", [(0,), (1,)])
def test_outputs_that_would_fall_together_or_vanish_are_refused(removal: tuple[int, ...]) -> None:
    with pytest.raises(Inexpressible):
        shortened(removal, deepstack_visual_indexes=[0, 1, 5])


@pytest.mark.parametrize(("removal", "fits"), [((0,), False), ((2,), False), ((3,), True)])
def test_features_of_pictures_enter_after_the_first_blocks(
    removal: tuple[int, ...], fits: bool
) -> None:
    vision = {"depth": 18, "deepstack_visual_indexes": [5, 11, 17, 18]}
    config = {"vision_config": vision, "text_config": {COUNT: 6}}
    if fits:
        assert shorten_dict(config, f"text_config.{COUNT}", removal)["vision_config"] == vision
    else:
        with pytest.raises(Inexpressible, match="first 3 blocks"):
            shorten_dict(config, f"text_config.{COUNT}", removal)


@pytest.mark.parametrize(("removal", "fits"), [((1,), True), ((4,), False), ((1, 4), True)])
def test_an_encoder_that_feeds_back_its_middle_keeps_it(
    removal: tuple[int, ...], fits: bool
) -> None:
    config = {"model_type": "granite_speech_encoder", "num_layers": 6}
    assert find_layer_fields(config, "num_layers") == {}
    if fits:
        shorten_dict(config, "num_layers", removal)
    else:
        with pytest.raises(Inexpressible, match="middle"):
            shorten_dict(config, "num_layers", removal)


def test_blocks_counted_from_one_are_renamed() -> None:
    assert shortened((0,), ple_layer_ids=[1, 3])["ple_layer_ids"] == [2]
    inner = {"linear_attn_config": {"kda_layers": [1, 2, 5], "full_attn_layers": [3, 6]}}
    assert shortened((1,), **inner)["linear_attn_config"] == {
        "kda_layers": [1, 4],
        "full_attn_layers": [2, 5],
    }


def test_entries_of_heads_that_predict_further_tokens_stay_behind_those_of_the_blocks() -> None:
    ratios = [0, 0, 4, 128, 4, 128, 9]
    value = shortened((2,), compress_ratios=ratios, num_nextn_predict_layers=1)
    assert value["compress_ratios"] == [0, 0, 128, 4, 128, 9]


def test_indices_in_a_text_are_renamed() -> None:
    assert shortened((1,), moe_layers_enum="1,3,5")["moe_layers_enum"] == "2,4"


def test_heads_that_align_are_those_of_the_blocks_that_stay() -> None:
    short = Shortening((0, 3, 4, 5), 6)
    data = {"alignment_heads": [[1, 0], [3, 0], [5, 1]], "eos_token_id": 2}
    shorter = shorten_generation(data, "decoder_layers", short)
    assert shorter == {"alignment_heads": [[1, 0], [3, 1]], "eos_token_id": 2}
    assert shorten_generation(data, "encoder_layers", short) == data


def test_the_outputs_of_a_backbone_are_left_to_its_class() -> None:
    value = shortened(stage_names=["stem"], out_features=["stage6"], out_indices=[6])
    assert value == {COUNT: 4}


def test_an_encoders_list_is_left_when_the_decoder_is_shortened() -> None:
    config = {"encoder_layers": 6, "decoder_layers": 6, "attention_window": [4] * 6}
    assert shorten_dict(config, "decoder_layers", (1,))["attention_window"] == [4] * 6
    assert shorten_dict(config, "encoder_layers", (1,))["attention_window"] == [4] * 5


def test_only_the_section_with_the_count_is_shortened() -> None:
    config = {
        "text_config": {COUNT: 6, "layer_types": list("abcdef")},
        "vision_config": {COUNT: 6, "layer_types": list("abcdef")},
    }
    value = shorten_dict(config, f"text_config.{COUNT}", (0,))
    assert value["text_config"] == {COUNT: 5, "layer_types": list("bcdef")}
    assert value["vision_config"] == config["vision_config"]


def test_an_entry_of_a_list_can_be_the_count() -> None:
    assert shorten_dict({"depths": [2, 6]}, "depths[1]", (0,)) == {"depths": [2, 5]}


def test_the_length_of_a_list_can_be_the_count() -> None:
    value = shorten_dict({"layers_block_type": list("abc")}, "layers_block_type", (0,))
    assert value == {"layers_block_type": ["b", "c"]}


def test_the_given_configuration_is_left_as_it_is() -> None:
    config = {COUNT: 6, "layer_types": list("abcdef")}
    before = copy.deepcopy(config)
    shorten_dict(config, COUNT, (1,))
    assert config == before


def test_a_configuration_object_gives_one_of_its_class() -> None:
    config = Gemma3Config(text_config={COUNT: 6, "layer_types": None})
    kinds = config.text_config.layer_types
    value = shorten_config(config, f"text_config.{COUNT}", (5,))
    assert type(value) is Gemma3Config
    assert value.text_config.layer_types == kinds[:5]
    assert config.text_config.num_hidden_layers == 6


def test_the_attention_of_a_configuration_object_is_kept() -> None:
    model = tiny.llama(attn_implementation="eager")
    assert shorten_config(model.config, COUNT, (0,))._attn_implementation == "eager"


def test_the_fields_that_follow_are_listed_with_their_paths() -> None:
    config = {"text_config": {COUNT: 2, "layer_types": ["a", "b"], "num_attention_heads": 4}}
    found = find_layer_fields(config, f"text_config.{COUNT}")
    assert found == {"text_config.layer_types": ["a", "b"]}


@pytest.mark.parametrize("path", ["num_layers", "text_config.num_layers", "name", "depths[7]"])
def test_a_path_that_holds_no_count_is_an_error(path: str) -> None:
    with pytest.raises(StackError):
        shorten_dict({"name": "x", "depths": [2]}, path, (0,))


def test_a_block_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(RemovalError):
        shortened((6,))


@given(st.sets(st.integers(0, 5), max_size=5), st.sets(st.integers(0, 5)))
def test_a_mask_and_the_list_of_its_indices_stay_the_same_thing(
    gone: set[int], marked: set[int]
) -> None:
    mask = [int(block in marked) for block in range(6)]
    value = shortened(tuple(sorted(gone)), no_rope_layers=mask, moe_layers=sorted(marked))
    indices = [index for index, bit in enumerate(value["no_rope_layers"]) if bit]
    assert indices == value["moe_layers"]
