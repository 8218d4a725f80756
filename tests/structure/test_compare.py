"""A comparison shows every layer of the original with what is left of it, and exact sums."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from depthprune.structure.align import Alignment, Doubt, align
from depthprune.structure.anatomy import Anatomy, Attention, Layer, Mlp, Sparsity
from depthprune.structure.compare import compare
from depthprune.structure.comparison import CountChange
from depthprune.structure.layouts import read_anatomy, read_comparison
from depthprune.structure.samples import ReadModel
from tests.structure.llamas import made_up, with_layers

COPIES = Path(__file__).with_name("pruned_models")


def test_a_removed_layer_is_there_with_nothing_left_and_its_own_index() -> None:
    original, pruned = made_up(9, 9, 9, 9, name="base"), made_up(9, 9, name="cut")
    comparison = compare(original, pruned, Alignment((0, 3), "content"))
    assert [layer.index for layer in comparison.layers] == [0, 1, 2, 3]
    assert [layer.pruned_index for layer in comparison.layers] == [0, None, None, 1]
    gone = comparison.layers[1]
    assert gone.removed
    assert (gone.total, gone.total.ratio) == (CountChange(20, 0), 1.0)
    assert (gone.attention, gone.mlp, gone.is_zero) == (CountChange(9, 0), CountChange(9, 0), True)
    assert (comparison.aligned_by, comparison.missing_layers) == ("content", 0)
    assert (comparison.original_name, comparison.pruned_name) == ("base", "cut")


def test_sums_are_those_of_the_two_models() -> None:
    original, pruned = made_up(9, 9, 9, 9), made_up(9, 7)
    comparison = compare(original, pruned, Alignment((0, 3), "content"))
    assert comparison.total == CountChange(original.total, pruned.total)
    assert comparison.layer_params == CountChange(80, 36)
    assert sum(layer.total.original for layer in comparison.layers) == 80
    assert sum(layer.total.pruned for layer in comparison.layers) == 36


def test_layers_in_another_order_stand_beside_their_originals() -> None:
    original, pruned = made_up(5, 6, 7), made_up(5, 7, 6)
    comparison = compare(original, pruned, Alignment((0, 2, 1), "content"))
    assert [layer.pruned_index for layer in comparison.layers] == [0, 2, 1]
    assert all(layer.total.reduced == 0 for layer in comparison.layers)


def test_layers_that_are_gone_unknown_where_are_missing() -> None:
    original, pruned = made_up(*[9] * 32), made_up(*[9] * 25)
    comparison = compare(original, pruned, align(ReadModel(original), ReadModel(pruned)))
    assert len(comparison.layers) == 25
    assert not any(layer.removed for layer in comparison.layers)
    assert comparison.missing_layers == 7
    assert comparison.layer_params == CountChange(32 * 20, 25 * 20)
    assert comparison.strategy == "layer removal"
    assert comparison.evidence["layers_removed"] == 7


def test_an_attention_without_anything_left_is_removed_from_a_layer_that_is_not() -> None:
    original = made_up((4, 12), (4, 12))
    without = Layer(1, 14, Attention(0, type="ZeroAttention"), Mlp(12), norm=2)
    pruned = with_layers(original, {1: without})
    layer = compare(original, pruned, Alignment((0, 1), "position")).layers[1]
    assert layer.attention_removed
    assert not (layer.mlp_removed or layer.removed or layer.is_zero)


def test_a_layer_that_a_file_calls_zero_is_zero() -> None:
    original = made_up(4, 4)
    pruned = with_layers(original, {1: Layer(1, 2, Attention(0), Mlp(0), norm=2, is_zero=True)})
    layer = compare(original, pruned, Alignment((0, 1), "position")).layers[1]
    assert layer.is_zero
    assert not layer.removed


def test_sizes_of_mlps_are_compared_as_far_as_they_are_known() -> None:
    sized = [Layer(i, 12, Attention(0), Mlp(12, intermediate_size=6)) for i in range(4)]
    original = with_layers(made_up(6, 6, 6, 6), dict(enumerate(sized)))
    left = {
        1: replace(sized[1], mlp=Mlp(8, intermediate_size=4)),
        2: replace(sized[2], mlp=Mlp(8)),
    }
    pruned = with_layers(original, left)
    pruned = replace(pruned, layers=pruned.layers[:3])
    layers = compare(original, pruned, Alignment((0, 1, 2), "content")).layers
    sizes = [layer.intermediate_size for layer in layers]
    assert sizes == [CountChange(6, 6), CountChange(6, 4), None, CountChange(6, 0)]


def test_an_mlp_without_anything_left_has_size_zero() -> None:
    original = with_layers(
        made_up(6), {0: Layer(0, 20, Attention(8), Mlp(12, intermediate_size=6))}
    )
    pruned = with_layers(original, {0: Layer(0, 8, Attention(8), Mlp(0))})
    layer = compare(original, pruned, Alignment((0,), "position")).layers[0]
    assert layer.intermediate_size == CountChange(6, 0)
    assert layer.mlp_removed


def test_zeros_that_were_counted_are_told() -> None:
    original = made_up(9, 9)
    sparse = replace(original.layers[0], sparsity=Sparsity(5, 20))
    pruned = with_layers(original, {0: sparse})
    layers = compare(original, pruned, Alignment((0, 1), "position")).layers
    assert [layer.sparsity for layer in layers] == [0.25, None]


def test_doubts_become_notes() -> None:
    alignment = Alignment((0,), "best match", doubts=(Doubt("could be others", (0,)),))
    assert compare(made_up(9, 9), made_up(9), alignment).notes == (str(alignment.doubts[0]),)


def test_a_smaller_hidden_size_is_sliced() -> None:
    original, pruned = made_up(9, 9, hidden_size=64), made_up(6, 6, hidden_size=48)
    comparison = compare(original, pruned, Alignment((0, 1), "position"))
    assert comparison.strategy == "sliced"
    assert comparison.evidence["hidden_size_pruned"] == 48


def test_shortcuts_instead_of_norms_are_sliced_too() -> None:
    original = made_up(9, 9)
    shortcuts = {i: Layer(i, 14, Attention(6), Mlp(6), other=2) for i in range(2)}
    comparison = compare(original, with_layers(original, shortcuts), Alignment((0, 1), "position"))
    assert comparison.strategy == "sliced"


# Real models


def llama_3_8b() -> Anatomy:
    layers = tuple(
        Layer(i, 218112000, Attention(41943040), Mlp(176160768, intermediate_size=14336), 8192)
        for i in range(32)
    )
    return Anatomy("Llama-3-8B-Instruct", 8030261248, 525336576, 525336576, layers, norm=4096)


@pytest.mark.parametrize("model", ["HGSP_2000", "layerwise_20"])
def test_every_number_is_that_of_the_old_scripts(model: str) -> None:
    folder = COPIES / "results" / model / "analysis"
    original, pruned = llama_3_8b(), read_anatomy(folder / "pruned_model_analysis.json")
    ours = compare(original, pruned, align(ReadModel(original), ReadModel(pruned)))
    theirs = read_comparison(folder / "model_comparison.json")
    assert (ours.total, ours.layer_params) == (theirs.total, theirs.layer_params)
    assert ours.layers == theirs.layers


def test_the_seven_missing_layers_of_a_real_model_are_told_as_far_as_files_allow() -> None:
    folder = COPIES / "baselines" / "ShortGPT_remove_7" / "analysis"
    original, pruned = llama_3_8b(), read_anatomy(folder / "model_structure.json")
    ours = compare(original, pruned, align(ReadModel(original), ReadModel(pruned)))
    theirs = read_comparison(folder / "pruning_comparison.json")
    assert ours.layers == theirs.layers
    assert ours.missing_layers == theirs.missing_layers == 7
    assert ours.strategy == "layer removal"
