"""One call reads a model, sets it beside its original, and keeps what it found as files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from depthprune.base.errors import DepthpruneError, FileError, LayoutError
from depthprune.cutting.execute import execute_cut
from depthprune.cutting.plan import plan_cut
from depthprune.structure.analyses import (
    ModelAnalysis,
    analyze,
    model_name,
    read_model,
    with_zeros,
    write_analysis,
)
from depthprune.structure.compare import label_of
from depthprune.structure.comparison import CountChange
from depthprune.structure.layouts import read_anatomy, read_comparison
from tests.structure.llamas import (
    LAYER,
    OUTSIDE,
    change_layers,
    keep_layers,
    make_state,
    prune_layer,
    save,
)

EIGHT = make_state(8)
TOTAL = OUTSIDE + 8 * LAYER
ANATOMIES = ["model_structure.json", "pruned_model_analysis.json"]
COMPARISONS = ["pruning_comparison.json", "model_comparison.json"]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Return the folder of a model of eight layers."""
    return save(tmp_path / "base", EIGHT)


# One model


def test_a_model_alone_is_counted(base: Path) -> None:
    analysis = analyze(base)
    assert analysis.anatomy.total == TOTAL
    assert [layer.total for layer in analysis.anatomy.layers] == [LAYER] * 8
    assert (analysis.comparison, analysis.files) == (None, ())


def test_a_model_alone_has_two_files_of_one_content(base: Path, tmp_path: Path) -> None:
    analysis = analyze(base, output_dir=tmp_path / "out")
    assert [path.name for path in analysis.files] == ANATOMIES
    assert [read_anatomy(path) for path in analysis.files] == [analysis.anatomy] * 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ANATOMIES


# Beside its original


def test_our_own_cut_lost_its_removed_layers_and_nothing_else(base: Path, tmp_path: Path) -> None:
    execute_cut(plan_cut(base, (2, 5)), tmp_path / "cut")
    comparison = analyze(tmp_path / "cut", base).comparison
    assert comparison is not None
    assert comparison.aligned_by == "provenance"
    assert [layer.index for layer in comparison.layers if layer.removed] == [2, 5]
    assert comparison.total == CountChange(TOTAL, TOTAL - 2 * LAYER)
    assert [label_of(layer) for layer in comparison.layers].count("unchanged") == 6
    assert comparison.strategy == "layer removal"


def test_the_same_is_found_without_any_record(base: Path, tmp_path: Path) -> None:
    execute_cut(plan_cut(base, (2, 5)), tmp_path / "cut")
    told = analyze(tmp_path / "cut", base).comparison
    (tmp_path / "cut" / "depthprune.json").unlink()
    seen = analyze(tmp_path / "cut", base).comparison
    assert told is not None
    assert seen == replace(told, aligned_by="content")


def test_the_weights_of_an_original_are_read_once_for_many(base: Path, tmp_path: Path) -> None:
    original = read_model(base)
    pruned = save(tmp_path / "p", keep_layers(EIGHT, [0, 2, 3]))
    first = analyze(pruned, original).comparison
    shutil.rmtree(base)
    assert analyze(pruned, original).comparison == first


def test_structural_pruning_is_counted_to_the_parameter(base: Path, tmp_path: Path) -> None:
    pruned = prune_layer(prune_layer(EIGHT, 1, heads=2), 6, inner=5)
    comparison = analyze(save(tmp_path / "p", pruned), base).comparison
    assert comparison is not None
    # Half of q, k, v and o; of the MLP 43 of 48 neurons.
    assert comparison.layers[1].attention == CountChange(3072, 1536)
    assert comparison.layers[6].mlp == CountChange(3 * 48 * 32, 3 * 5 * 32)
    assert comparison.total.reduced == 1536 + 3 * 43 * 32
    assert comparison.layer_params.reduced == comparison.total.reduced
    assert (comparison.aligned_by, comparison.strategy) == ("content", "non-uniform")


def test_layers_removed_and_others_pruned(base: Path, tmp_path: Path) -> None:
    smaller = prune_layer(prune_layer(EIGHT, 3, heads=2), 7, inner=40)
    pruned = save(tmp_path / "p", keep_layers(smaller, [0, 3, 4, 5, 6, 7]))
    comparison = analyze(pruned, base).comparison
    assert comparison is not None
    labels = [label_of(layer) for layer in comparison.layers]
    assert labels == ["unchanged", "removed", "removed", "light", *["unchanged"] * 3, "light"]
    assert comparison.layers[3].pruned_index == 1
    assert comparison.strategy == "layer removal"
    assert comparison.evidence["layers_smaller"] == 2


class ZeroAttention(nn.Module):
    """Stands where an attention was removed."""


class Block(nn.Module):
    """A layer as in a Llama."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.self_attn = attention
        self.mlp = nn.Module()
        for name in ("gate_proj", "up_proj"):
            setattr(self.mlp, name, nn.Linear(32, 48, bias=False))
        self.mlp.down_proj = nn.Linear(48, 32, bias=False)


class Attention(nn.Module):
    """An attention as in a Llama."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(32, 32, bias=False))


def pickled(path: Path, without: Collection[int]) -> Path:
    """Write a pickled module whose layers have attention unless `without` names them."""
    torch.manual_seed(0)
    blocks = [Block(Attention()) for _ in range(4)]
    for index in without:
        blocks[index].self_attn = ZeroAttention()
    model = nn.Module()
    model.model = nn.Module()
    model.model.layers = nn.ModuleList(blocks)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model": model}, path)
    return path


def test_zeroed_attention_of_a_pickled_module_is_removed_from_its_layers(tmp_path: Path) -> None:
    whole = pickled(tmp_path / "whole" / "pruned_model.bin", [])
    pruned = pickled(tmp_path / "HGSP" / "pruned_model.bin", [1, 2])
    analysis = analyze(pruned, whole)
    comparison = analysis.comparison
    assert comparison is not None
    assert [layer.index for layer in comparison.layers if layer.attention_removed] == [1, 2]
    assert not any(layer.removed or layer.is_zero for layer in comparison.layers)
    assert comparison.layers[1].attention == CountChange(4 * 32 * 32, 0)
    assert analysis.anatomy.name == "HGSP"
    assert analysis.anatomy.layers[1].attention.type == "ZeroAttention"
    assert comparison.evidence["attention_removed"] == 2


def test_sliced_models_are_recognised(base: Path, tmp_path: Path) -> None:
    sliced = {
        name: tensor[tuple(slice(0, 24 if size == 32 else size) for size in tensor.shape)].clone()
        for name, tensor in EIGHT.items()
        if "norm" not in name
    }
    for index in range(8):
        for shortcut in ("attn", "mlp"):
            sliced[f"model.layers.{index}.{shortcut}_shortcut_Q"] = torch.rand(24, 24)
    comparison = analyze(save(tmp_path / "p", sliced), base).comparison
    assert comparison is not None
    assert comparison.strategy == "sliced"
    assert comparison.evidence["hidden_size_original"] == 32
    assert comparison.evidence["hidden_size_pruned"] == 24


def test_the_original_may_be_an_analysis_of_it(base: Path, tmp_path: Path) -> None:
    pruned = save(tmp_path / "p", prune_layer(EIGHT, 1, heads=2))
    first = analyze(pruned, base, tmp_path / "out")
    again = analyze(pruned, tmp_path / "out" / "original_model_analysis.json")
    assert first.comparison is not None
    assert again.comparison == replace(first.comparison, aligned_by="position")


def test_an_original_that_was_read_once_serves_many(base: Path, tmp_path: Path) -> None:
    original = read_model(base, name="the base")
    for index in (1, 2):
        execute_cut(plan_cut(base, (index,)), tmp_path / str(index))
        comparison = analyze(tmp_path / str(index), original).comparison
        assert comparison is not None
        assert comparison.original_name == "the base"
        assert comparison.layers[index].removed


# Files


def test_every_file_can_be_read_back(base: Path, tmp_path: Path) -> None:
    pruned = save(tmp_path / "p", keep_layers(prune_layer(EIGHT, 3, heads=2), [0, 3, 4]))
    analysis = analyze(pruned, base, tmp_path / "out", count_zeros=True)
    files = [*ANATOMIES, "original_model_analysis.json", *COMPARISONS]
    assert [path.name for path in analysis.files] == files
    for name in ANATOMIES:
        assert read_anatomy(tmp_path / "out" / name) == analysis.anatomy
    assert read_anatomy(tmp_path / "out" / "original_model_analysis.json") == analysis.original
    for name in COMPARISONS:
        assert read_comparison(tmp_path / "out" / name) == analysis.comparison


def test_the_documented_fields_come_first(base: Path, tmp_path: Path) -> None:
    execute_cut(plan_cut(base, (2,)), tmp_path / "cut")
    analyze(tmp_path / "cut", base, tmp_path / "out")
    document = json.loads((tmp_path / "out" / "model_comparison.json").read_text())
    assert list(document)[:5] == [
        "original_name", "pruned_name", "total_params", "layer_params", "layers",
    ]  # fmt: skip
    assert document["removed_layers"] == [2]
    assert document["layers"][2]["total"] == {
        "original": LAYER, "pruned": 0, "reduced": LAYER, "reduction_ratio": 1.0,
    }  # fmt: skip


def test_texts_are_written_beside(base: Path, tmp_path: Path) -> None:
    def texts(analysis: ModelAnalysis) -> dict[str, str]:
        return {"note.txt": f"{analysis.anatomy.total}\n"}

    analysis = analyze(base, output_dir=tmp_path / "out", texts=texts)
    assert analysis.files[-1] == tmp_path / "out" / "note.txt"
    assert analysis.files[-1].read_text() == f"{TOTAL}\n"


def test_other_files_of_the_folder_are_left_alone(base: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.json").write_text("{}")
    write_analysis(analyze(base), tmp_path / "out")
    assert (tmp_path / "out" / "mine.json").read_text() == "{}"


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError) as error:
        analyze(tmp_path / "absent", output_dir=tmp_path / "file" / "out")
    assert "file" in str(error.value)


# Zeros


def test_zeros_are_counted_and_named(base: Path, tmp_path: Path) -> None:
    def two_of_four(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.ndim < 2:
            return tensor
        return tensor * torch.tensor([1.0, 0.0, 0.0, 1.0]).repeat(tensor.shape[1] // 4)

    pruned = save(tmp_path / "p", change_layers(EIGHT, two_of_four))
    analysis = analyze(pruned, base, count_zeros=True)
    assert analysis.anatomy.sparsity is not None
    assert analysis.anatomy.sparsity.zeros == 8 * (LAYER - 64) // 2
    assert analysis.anatomy.sparsity.pattern == "2:4"
    assert analysis.comparison is not None
    assert analysis.comparison.strategy == "unstructured"
    assert analysis.comparison.total.reduced == 0
    assert label_of(analysis.comparison.layers[0]) == "moderate"


def test_zeros_are_not_counted_unless_asked_for(base: Path) -> None:
    assert analyze(base).anatomy.sparsity is None


def test_counting_zeros_tells_how_many_bytes_are_done(base: Path) -> None:
    done: list[int] = []
    model = with_zeros(read_model(base), done.append)
    assert sum(done) == model.anatomy.bytes


def test_an_analysis_file_has_no_zeros_to_count(base: Path, tmp_path: Path) -> None:
    analyze(base, output_dir=tmp_path / "out")
    with pytest.raises(DepthpruneError) as error:
        analyze(tmp_path / "out" / "model_structure.json", count_zeros=True)
    assert "no weights" in error.value.what


# Names and mistakes


def test_a_model_is_called_after_its_folder_unless_its_file_has_a_name(tmp_path: Path) -> None:
    folder = tmp_path / "Magnitude_2000"
    (folder / "pruned_model").mkdir(parents=True)
    for file in ("pruned_model.bin", "pytorch_model.bin", "Llama_0.2.pt"):
        (folder / file).touch()
    assert model_name(folder) == "Magnitude_2000"
    assert model_name(f"{folder}/") == "Magnitude_2000"
    assert model_name(folder / "pruned_model.bin") == "Magnitude_2000"
    assert model_name(folder / "pruned_model") == "Magnitude_2000"
    assert model_name(folder / "Llama_0.2.pt") == "Llama_0.2"
    assert model_name("meta-llama/Llama-3-8B") == "meta-llama/Llama-3-8B"


def test_a_name_that_is_given_counts(base: Path, tmp_path: Path) -> None:
    assert analyze(base, name="mine", output_dir=tmp_path / "out").anatomy.name == "mine"
    assert read_model(tmp_path / "out" / "model_structure.json", name="ours").anatomy.name == "ours"


def test_models_given_the_wrong_way_round_are_told(base: Path, tmp_path: Path) -> None:
    execute_cut(plan_cut(base, (2,)), tmp_path / "cut")
    found = analyze(base, tmp_path / "cut").comparison
    assert found is not None
    assert [layer.copy_of for layer in found.added_layers] == [None]
    assert found.total.reduced is not None
    assert found.total.reduced < 0


@pytest.mark.parametrize("content", ["{", "[]", '{"layers": 3}', '{"total_params": NaN}'])
def test_an_original_that_is_no_analysis_is_told(base: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "original.json").write_text(content)
    with pytest.raises((FileError, LayoutError)) as error:
        analyze(base, tmp_path / "original.json")
    assert "original.json" in str(error.value)


def test_a_model_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DepthpruneError):
        analyze(tmp_path / "absent")
    with pytest.raises(DepthpruneError):
        analyze(tmp_path / "absent.json")
