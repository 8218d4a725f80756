"""A few kilobytes of each tensor tell layers apart, or say that they do not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from depthprune.structure.samples import (
    SAMPLE_BYTES,
    LayerSamples,
    differences,
    layer_samples,
    same_layers,
)
from tests.structure.llamas import State, change_layers, keep_layers, make_state, prune_layer, read

SIX = make_state(6)


def samples(folder: Path, state: State) -> list[LayerSamples]:
    checkpoint = read(folder, state).checkpoint
    assert checkpoint is not None
    return list(layer_samples(checkpoint).values())


def test_every_layer_is_sampled_by_the_names_below_it(tmp_path: Path) -> None:
    found = samples(tmp_path, SIX)
    assert len(found) == 6
    assert len(found[0]) == 9
    assert found[0].keys() == found[5].keys()
    query = found[2]["0.self_attn.q_proj.weight"]
    expected = SIX["model.layers.2.self_attn.q_proj.weight"].numpy().tobytes()
    assert (query.shape, query.data) == ((32, 32), expected[:SAMPLE_BYTES])


def test_no_more_than_a_sample_is_read_of_a_large_tensor(tmp_path: Path) -> None:
    large = {"model.layers.0.mlp.up_proj.weight": torch.rand(300, 32)}
    assert len(samples(tmp_path, large)[0]["0.mlp.up_proj.weight"].data) == SAMPLE_BYTES


def test_one_expert_of_many_is_sampled(tmp_path: Path) -> None:
    experts = {f"model.layers.0.mlp.experts.{n}.up_proj.weight": torch.rand(4, 4) for n in range(9)}
    assert list(samples(tmp_path, experts)[0]) == ["0.mlp.experts.0.up_proj.weight"]


def test_a_model_without_layers_has_no_samples(tmp_path: Path) -> None:
    assert samples(tmp_path, {"lm_head.weight": torch.rand(4, 4)}) == []


def test_layers_that_were_moved_hold_the_same_bytes(tmp_path: Path) -> None:
    moved = samples(tmp_path / "b", keep_layers(SIX, [1, 3, 4]))
    assert same_layers(samples(tmp_path / "a", SIX), moved) == [1, 3, 4]


def test_pruned_layers_are_known_by_their_norms(tmp_path: Path) -> None:
    pruned = keep_layers(prune_layer(SIX, 3, heads=2, inner=7), [0, 3])
    original = samples(tmp_path / "a", SIX)
    assert same_layers(original, samples(tmp_path / "b", pruned)) == [0, 3]


def test_layers_that_several_could_be_are_not_claimed(tmp_path: Path) -> None:
    twins = keep_layers(SIX, [0, 1, 1, 3])
    original = samples(tmp_path / "a", twins)
    assert same_layers(original, samples(tmp_path / "b", keep_layers(twins, [0, 2, 3]))) == [
        0,
        None,
        3,
    ]


@pytest.mark.parametrize("value", [0.0, 1.0, -2.5])
def test_one_number_repeated_tells_nothing(tmp_path: Path, value: float) -> None:
    alike = change_layers(SIX, lambda tensor: torch.full_like(tensor, value))
    original = samples(tmp_path / "a", alike)
    assert same_layers(original, original) == [None] * 6
    assert differences(original, original) is None


def test_a_layer_in_halves_of_two_layers_is_not_claimed(tmp_path: Path) -> None:
    mixed = dict(keep_layers(SIX, [2]))
    for name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"):
        mixed[f"model.layers.0.{name}.weight"] = SIX[f"model.layers.4.{name}.weight"].clone()
    mixed.pop("model.layers.0.input_layernorm.weight")
    original = samples(tmp_path / "a", SIX)
    assert same_layers(original, samples(tmp_path / "b", mixed)) == [None]


def test_the_difference_is_0_for_the_same_layer_and_near_1_for_others(tmp_path: Path) -> None:
    original = samples(tmp_path, SIX)
    costs = differences(original, original)
    assert costs is not None
    for row, line in enumerate(costs):
        for column, cost in enumerate(line):
            assert cost == 0 if row == column else 0.8 < cost <= 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_number_types_may_differ(tmp_path: Path, dtype: torch.dtype) -> None:
    kept = [0, 2, 5]
    pruned = change_layers(keep_layers(SIX, kept), lambda tensor: tensor.to(dtype))
    original = samples(tmp_path / "a", SIX)
    costs = differences(original, samples(tmp_path / "b", pruned))
    assert costs is not None
    assert [min(range(6), key=line.__getitem__) for line in costs] == kept
    assert max(line[index] for line, index in zip(costs, kept, strict=True)) < 0.01


def test_numbers_that_pruning_set_to_zero_do_not_count_as_different(tmp_path: Path) -> None:
    half = change_layers(SIX, lambda tensor: tensor * (tensor.abs() > tensor.abs().median()))
    costs = differences(samples(tmp_path / "a", SIX), samples(tmp_path / "b", half))
    assert costs is not None
    assert [costs[index][index] for index in range(6)] == [0] * 6


def test_numbers_that_are_none_break_nothing(tmp_path: Path) -> None:
    broken = dict(SIX)
    broken["model.layers.1.mlp.up_proj.weight"] = torch.full((48, 32), float("nan"))
    costs = differences(samples(tmp_path / "a", SIX), samples(tmp_path / "b", broken))
    assert costs is not None
    assert all(0 <= cost <= 1 for line in costs for cost in line)


def test_what_has_nothing_to_compare_is_as_unlike_as_can_be(tmp_path: Path) -> None:
    narrow = {f"model.layers.{index}.mlp.up_proj.weight": torch.rand(5, 3) for index in range(2)}
    mixed = narrow | {"model.layers.2.input_layernorm.weight": SIX["model.norm.weight"]}
    costs = differences(samples(tmp_path / "a", SIX), samples(tmp_path / "b", mixed))
    assert costs is not None
    assert costs[0] == [1.0] * 6
