"""One word for what a layer lost, and one for the whole model, each by its numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from depthprune.structure.compare import is_emptied, label_of, lost, strategy_of
from depthprune.structure.comparison import CountChange, LayerComparison, ModelComparison
from depthprune.structure.layouts import read_comparison

COPIES = Path(__file__).with_name("pruned_models")


def layer(
    attention: int = 40,
    mlp: int = 60,
    *,
    index: int = 0,
    removed: bool = False,
    is_zero: bool = False,
    sparsity: float | None = None,
) -> LayerComparison:
    """Return a layer of 100 parameters with so many left in its attention and MLP."""
    return LayerComparison(
        index=index,
        pruned_index=None if removed else index,
        total=CountChange(100, attention + mlp),
        attention=CountChange(40, attention),
        mlp=CountChange(60, mlp),
        is_zero=is_zero,
        sparsity=sparsity,
    )


GONE = layer(0, 0, removed=True, is_zero=True)


def comparison(*layers: LayerComparison, missing: int = 0, outside: int = 0) -> ModelComparison:
    """Return the layers with their sums; `outside` is what was lost beside them, of 1000."""
    before = sum(one.total.original for one in layers) + 100 * missing
    after = sum(one.total.pruned for one in layers)
    return ModelComparison(
        original_name="base",
        pruned_name="pruned",
        total=CountChange(1000 + before, 1000 - outside + after),
        layer_params=CountChange(before, after),
        layers=layers,
        missing_layers=missing,
    )


# One layer


@pytest.mark.parametrize(
    ("left", "label"),
    [
        (100, "unchanged"),
        (99, "light"),
        (81, "light"),
        (80, "moderate"),
        (20, "moderate"),
        (19, "heavy"),
        (1, "heavy"),
        (0, "zero"),
        (103, "unchanged"),
    ],
)
def test_the_label_goes_by_the_share_that_is_gone(left: int, label: str) -> None:
    assert label_of(layer(min(left, 40), max(left - 40, 0))) == label


def test_a_layer_that_is_gone_is_removed_not_zero() -> None:
    assert label_of(GONE) == "removed"
    assert not is_emptied(GONE)


def test_a_layer_that_a_file_calls_zero_is_zero() -> None:
    assert label_of(layer(40, 60, is_zero=True)) == "zero"


def test_only_norms_left_is_zero() -> None:
    norms = replace(
        layer(), total=CountChange(102, 2), attention=CountChange(40, 0), mlp=CountChange(60, 0)
    )
    assert label_of(norms) == "zero"


def test_attention_removed_alone_is_not_zero() -> None:
    assert label_of(layer(0, 60)) == "moderate"


def test_a_mixer_that_is_neither_keeps_a_layer_from_being_zero() -> None:
    mixer = LayerComparison(0, 0, CountChange(100, 70), CountChange(0, 0), CountChange(30, 0))
    assert label_of(mixer) == "moderate"


def test_zeros_count_as_gone_when_there_are_many() -> None:
    assert label_of(layer(sparsity=0.5)) == "moderate"
    assert lost(layer(20, 30, sparsity=0.5)) == pytest.approx(0.75)
    assert label_of(layer(sparsity=0.001)) == "unchanged"


def test_all_weights_zero_is_a_zero_layer() -> None:
    norms = replace(layer(sparsity=100 / 102), total=CountChange(102, 102))
    assert label_of(norms) == "zero"
    assert label_of(replace(norms, sparsity=98 / 102)) == "heavy"


def test_a_layer_of_nothing_lost_nothing() -> None:
    nothing = LayerComparison(0, 0, CountChange(0, 0), CountChange(0, 0), CountChange(0, 0))
    assert label_of(nothing) == "unchanged"


# The whole model


def test_nothing_lost_is_unchanged() -> None:
    strategy, evidence = strategy_of(comparison(layer(), layer()))
    assert strategy == "unchanged"
    assert evidence["ratio_max"] == 0


def test_layers_gone_are_layer_removal() -> None:
    strategy, evidence = strategy_of(comparison(layer(), GONE, layer(), GONE))
    assert strategy == "layer removal"
    assert evidence["layers_removed"] == 2
    assert evidence["lost_by_removal"] == 0.5
    assert (evidence["ratio_mean"], evidence["ratio_std"]) == (0.5, 0.5)


def test_layers_emptied_are_layer_removal() -> None:
    strategy, evidence = strategy_of(comparison(layer(), layer(0, 0), layer()))
    assert strategy == "layer removal"
    assert (evidence["layers_removed"], evidence["layers_emptied"]) == (0, 1)


def test_layers_of_zeros_are_layer_removal() -> None:
    strategy, evidence = strategy_of(comparison(layer(sparsity=0.0), layer(sparsity=1.0)))
    assert strategy == "layer removal"
    assert (evidence["lost_by_removal"], evidence["lost_by_zeros"]) == (0.5, 0.0)


def test_missing_layers_are_layer_removal() -> None:
    strategy, evidence = strategy_of(comparison(layer(), layer(), layer(), missing=1))
    assert strategy == "layer removal"
    assert (evidence["layers"], evidence["layers_removed"]) == (4, 1)
    assert evidence["lost_by_removal"] == 0.25


def test_any_number_of_missing_layers_is_not_listed() -> None:
    _, evidence = strategy_of(comparison(layer(), layer(), missing=10**18))
    assert (evidence["ratio_mean"], evidence["ratio_min"], evidence["ratio_max"]) == (1.0, 0.0, 1.0)
    _, few = strategy_of(comparison(layer(), layer(), missing=2))
    assert (few["ratio_mean"], few["ratio_std"]) == (0.5, 0.5)


def test_the_same_share_of_every_layer_is_uniform() -> None:
    strategy, evidence = strategy_of(comparison(layer(30, 45), layer(30, 44), layer(32, 45)))
    assert strategy == "uniform"
    assert (evidence["smaller_ratio_min"], evidence["smaller_ratio_max"]) == (0.23, 0.26)


def test_first_and_last_layers_may_be_spared_in_a_uniform_pruning() -> None:
    few = [layer()] + [layer(30, 45)] * 4 + [layer()]
    assert strategy_of(comparison(*few))[0] == "uniform"


def test_most_layers_spared_is_not_uniform() -> None:
    assert strategy_of(comparison(layer(), layer(), layer(30, 45)))[0] == "non-uniform"


def test_different_shares_are_non_uniform() -> None:
    strategy, evidence = strategy_of(comparison(layer(30, 45), layer(10, 10)))
    assert strategy == "non-uniform"
    assert evidence["layers_smaller"] == 2


def test_zeros_are_unstructured() -> None:
    strategy, evidence = strategy_of(comparison(layer(sparsity=0.5), layer(sparsity=0.5)))
    assert strategy == "unstructured"
    assert evidence["lost_by_zeros"] == 0.5


def test_zeros_that_were_not_counted_are_no_evidence() -> None:
    assert "lost_by_zeros" not in strategy_of(comparison(layer()))[1]


def test_of_several_ways_the_one_that_took_most_counts() -> None:
    assert strategy_of(comparison(GONE, layer(20, 30), layer()))[0] == "layer removal"
    assert strategy_of(comparison(GONE, *[layer(20, 30)] * 3))[0] == "uniform"
    mixed = [layer(20, 30, sparsity=0.1)] * 2
    assert strategy_of(comparison(*mixed))[0] == "uniform"
    assert strategy_of(comparison(*[layer(40, 50, sparsity=0.5)] * 2))[0] == "unstructured"


def test_sliced_comes_before_all_others() -> None:
    smaller = CountChange(64, 48)
    strategy, evidence = strategy_of(comparison(GONE, layer()), hidden_size=smaller)
    assert strategy == "sliced"
    assert (evidence["hidden_size_original"], evidence["hidden_size_pruned"]) == (64, 48)
    assert strategy_of(comparison(layer(30, 45)), sliced=True)[0] == "sliced"
    assert strategy_of(comparison(layer(30, 45)), hidden_size=CountChange(64, 64))[0] == "uniform"


def test_loss_outside_the_layers_alone_is_non_uniform() -> None:
    strategy, evidence = strategy_of(comparison(layer(), outside=100))
    assert strategy == "non-uniform"
    assert evidence["lost_outside_layers"] == pytest.approx(100 / 1100)


def test_parts_that_are_removed_are_counted() -> None:
    evidence = strategy_of(comparison(layer(0, 60), layer(40, 0), GONE))[1]
    assert (evidence["attention_removed"], evidence["mlp_removed"]) == (1, 1)


def test_a_model_that_grew_lost_nothing() -> None:
    assert strategy_of(comparison(layer(44, 60)))[0] == "unchanged"


def test_a_model_without_layers_is_unchanged() -> None:
    strategy, evidence = strategy_of(comparison())
    assert (strategy, evidence["layers"]) == ("unchanged", 0)


def test_evidence_can_be_kept_as_json() -> None:
    full = comparison(GONE, layer(20, 30, sparsity=0.3), layer(0, 0))
    evidence = strategy_of(full, hidden_size=CountChange(8, 8))[1]
    assert json.loads(json.dumps(evidence)) == evidence


# Real models


@pytest.mark.parametrize(
    ("file", "strategy"),
    [
        ("baselines/ShortGPT_remove_7/analysis/pruning_comparison.json", "layer removal"),
        ("results/HGSP_2000/analysis/pruning_comparison.json", "non-uniform"),
        ("results/layerwise_20/analysis/model_comparison.json", "non-uniform"),
    ],
)
def test_strategies_of_real_models(file: str, strategy: str) -> None:
    assert strategy_of(read_comparison(COPIES / file))[0] == strategy


def test_real_layers_without_attention_are_found() -> None:
    found = read_comparison(COPIES / "results/HGSP_2000/analysis/pruning_comparison.json")
    assert [one.index for one in found.layers if one.attention_removed] == [11, 12, 25]
    labels = {one.index: label_of(one) for one in found.layers}
    heavy = [index for index, label in labels.items() if label == "heavy"]
    assert heavy == [9, 10, 11, 12, 25, 26]
    assert strategy_of(found)[1]["attention_removed"] == 3
