"""Layers that were added, experts that are gone, and what only the configuration takes away."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from depthprune.report.sections.structure_words import strategy_lines, what_happened
from depthprune.structure.analyses import analyze, read_model
from depthprune.structure.comparison import AddedLayer, ModelComparison
from depthprune.structure.layouts import read_comparison
from tests.structure.llamas import LAYER, keep_layers, make_state, save

SIX = make_state(6)


def compared(tmp_path: Path, pruned: dict[str, torch.Tensor]) -> ModelComparison:
    folder = save(tmp_path / "pruned", pruned)
    found = analyze(folder, save(tmp_path / "base", SIX), tmp_path / "analysis").comparison
    assert found is not None
    assert read_comparison(tmp_path / "analysis" / "model_comparison.json") == found
    return found


def test_layers_that_stand_twice_are_told_with_their_sum(tmp_path: Path) -> None:
    """As mergekit's passthrough makes a larger model of a smaller one."""
    found = compared(tmp_path, keep_layers(SIX, [0, 1, 2, 3, 2, 3, 4, 5]))
    assert found.added_layers == (AddedLayer(4, LAYER, 2), AddedLayer(5, LAYER, 3))
    assert [layer.pruned_index for layer in found.layers] == [0, 1, 2, 3, 6, 7]
    assert not any(layer.total.reduced for layer in found.layers)
    (line,) = [each for each in strategy_lines(found) if "added" in each]
    expected = f"4 (a copy of 2), 5 (a copy of 3); together {2 * LAYER:,} parameters"
    assert line == f"  added layers: {expected}"


def test_new_layers_are_copies_of_none(tmp_path: Path) -> None:
    new = {
        name.replace(".layers.0.", ".layers.6."): 1 - tensor
        for name, tensor in make_state(1, seed=7).items()
        if ".layers.0." in name
    }
    found = compared(tmp_path, {**SIX, **new})
    assert found.added_layers == (AddedLayer(6, LAYER),)


def experts(count: int) -> dict[str, torch.Tensor]:
    source = torch.Generator().manual_seed(3)
    state = {"model.embed_tokens.weight": torch.randn(16, 8, generator=source)}
    for layer in range(2):
        for expert in range(4):
            for name, shape in (("gate", (6, 8)), ("up", (6, 8)), ("down", (8, 6))):
                weight = torch.randn(shape, generator=source)
                if expert < count:
                    at = f"model.layers.{layer}.mlp.experts.{expert}.{name}_proj.weight"
                    state[at] = weight
    return state


def test_experts_that_are_gone_are_told(tmp_path: Path) -> None:
    pruned = save(tmp_path / "pruned", experts(3))
    found = analyze(pruned, save(tmp_path / "base", experts(4)), tmp_path / "analysis").comparison
    assert found is not None
    change = found.layers[0].experts
    assert change is not None
    assert (change.original, change.pruned) == (4, 3)
    assert "3 of 4 experts" in what_happened(found.layers[0])
    assert "  experts of all layers: 6 of 8 are left" in strategy_lines(found)
    again = read_comparison(tmp_path / "analysis" / "model_comparison.json")
    assert again.layers[0].experts == change


def test_what_only_the_configuration_takes_away_is_named(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", SIX)
    settings = {"drop_attn_list": [2, 3], "drop_mlp_list": [False] * 5 + [True]}
    (folder / "config.json").write_text(json.dumps(settings))
    assert read_model(folder).anatomy.notes == (
        "the configuration leaves out (drop_attn_list) attention of the layers 2, 3",
        "the configuration leaves out (drop_mlp_list) MLP of the layers 5",
    )
