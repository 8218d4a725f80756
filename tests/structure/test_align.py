"""Layers of a pruned model are found in the original, and it is said how, and how surely."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from depthprune.base.errors import AnalysisError
from depthprune.cutting.execute import execute_cut
from depthprune.cutting.plan import plan_cut
from depthprune.structure.align import DOUBTS, Alignment, Doubt, align
from depthprune.structure.analyses import read_model
from depthprune.structure.anatomy import Anatomy
from depthprune.structure.samples import ReadModel
from tests.structure.llamas import (
    State,
    change_layers,
    keep_layers,
    made_up,
    make_state,
    prune_layer,
    read,
)

EIGHT = make_state(8)
KEPT = (0, 2, 3, 6, 7)


@pytest.fixture
def base(tmp_path: Path) -> ReadModel:
    """Return a model of eight layers that all differ."""
    return read(tmp_path / "base", EIGHT)


def saying(model: ReadModel, record: dict[str, Any]) -> ReadModel:
    """Return the model with a record of where it comes from."""
    assert model.checkpoint is not None
    return replace(model, checkpoint=replace(model.checkpoint, provenance=record))


def sized(original: Anatomy, pruned: Anatomy) -> Alignment:
    """Return the alignment of models of which only sizes are known."""
    return align(ReadModel(original), ReadModel(pruned))


def doubts(alignment: Alignment) -> list[str]:
    return [doubt.kind for doubt in alignment.doubts]


# What the checkpoint says


def test_our_own_cut_says_where_its_layers_come_from(base: ReadModel, tmp_path: Path) -> None:
    execute_cut(plan_cut(tmp_path / "base", (1, 4, 5)), tmp_path / "cut")
    alignment = align(base, read_model(tmp_path / "cut"))
    assert alignment == Alignment(KEPT, "provenance")


def test_without_its_record_the_weights_tell_the_same(base: ReadModel, tmp_path: Path) -> None:
    execute_cut(plan_cut(tmp_path / "base", (1, 4, 5)), tmp_path / "cut")
    (tmp_path / "cut" / "depthprune.json").unlink()
    assert align(base, read_model(tmp_path / "cut")) == Alignment(KEPT, "content")


def test_a_record_needs_no_weights_of_the_original(base: ReadModel, tmp_path: Path) -> None:
    pruned = saying(read(tmp_path / "p", keep_layers(EIGHT, KEPT)), {"removed": [1, 4, 5]})
    assert align(replace(base, checkpoint=None), pruned) == Alignment(KEPT, "provenance")


def test_weights_that_disprove_a_record_are_followed(base: ReadModel, tmp_path: Path) -> None:
    pruned = saying(read(tmp_path / "p", keep_layers(EIGHT, KEPT)), {"removed": [1, 2, 3]})
    alignment = align(base, pruned)
    assert (alignment.indices, alignment.by) == (KEPT, "content")
    assert doubts(alignment) == ["record contradicted"]


def test_a_record_of_another_number_of_layers_is_told(base: ReadModel, tmp_path: Path) -> None:
    pruned = saying(read(tmp_path / "p", keep_layers(EIGHT, KEPT)), {"removed": [1]})
    alignment = align(base, pruned)
    assert (alignment.indices, alignment.by) == (KEPT, "content")
    assert doubts(alignment) == ["record unfit"]


# Equal weights


def test_layers_that_lost_heads_and_neurons_are_known(base: ReadModel, tmp_path: Path) -> None:
    pruned = keep_layers(prune_layer(prune_layer(EIGHT, 2, heads=2), 6, inner=5), KEPT)
    assert align(base, read(tmp_path / "p", pruned)) == Alignment(KEPT, "content")


def test_layers_of_equal_norms_are_known_by_what_is_left_of_their_rows(tmp_path: Path) -> None:
    """Every tensor of every layer is smaller, but for norms that are all ones."""
    alike = {
        name: torch.ones_like(tensor) if "norm" in name else tensor
        for name, tensor in EIGHT.items()
    }
    pruned = alike
    for layer in range(8):
        pruned = prune_layer(pruned, layer, heads=2, inner=20)
    alignment = align(read(tmp_path / "o", alike), read(tmp_path / "p", keep_layers(pruned, KEPT)))
    assert alignment == Alignment(KEPT, "content")


def test_all_layers_there_are_found_where_they_were(base: ReadModel, tmp_path: Path) -> None:
    pruned = prune_layer(EIGHT, 4, heads=2, inner=9)
    assert align(base, read(tmp_path / "p", pruned)) == Alignment(tuple(range(8)), "content")


def test_layers_in_another_order_are_found_all_the_same(base: ReadModel, tmp_path: Path) -> None:
    alignment = align(base, read(tmp_path / "p", keep_layers(EIGHT, [0, 3, 2, 7])))
    assert (alignment.indices, alignment.by) == ((0, 3, 2, 7), "content")
    assert doubts(alignment) == ["reordered"]


def test_layers_that_hold_nothing_stand_between_their_neighbours(
    base: ReadModel, tmp_path: Path
) -> None:
    emptied = {name: tensor for name, tensor in EIGHT.items() if ".layers.3." not in name}
    pruned = read(tmp_path / "p", emptied, num_hidden_layers=8)
    assert len(pruned.anatomy.layers) == 8
    assert align(base, pruned) == Alignment(tuple(range(8)), "content")


# Weights that changed


def trained_on(state: State, amount: float) -> State:
    source = torch.Generator().manual_seed(5)
    return change_layers(
        state, lambda tensor: tensor + amount * torch.randn(tensor.shape, generator=source)
    )


def test_layers_that_were_trained_on_are_matched_to_the_nearest(
    base: ReadModel, tmp_path: Path
) -> None:
    pruned = read(tmp_path / "p", trained_on(keep_layers(EIGHT, KEPT), 0.02))
    assert align(base, pruned) == Alignment(KEPT, "best match")


def test_another_number_type_is_matched_to_the_nearest(base: ReadModel, tmp_path: Path) -> None:
    half = change_layers(keep_layers(EIGHT, KEPT), torch.Tensor.half)
    assert align(base, read(tmp_path / "p", half)) == Alignment(KEPT, "best match")


def test_some_layers_trained_on_and_others_as_they_were(base: ReadModel, tmp_path: Path) -> None:
    trained = trained_on(EIGHT, 0.02)
    third = {name: tensor for name, tensor in trained.items() if ".layers.3." in name}
    pruned = read(tmp_path / "p", keep_layers(EIGHT | third, KEPT))
    assert align(base, pruned) == Alignment(KEPT, "best match")


def test_weights_of_another_model_are_no_match(base: ReadModel, tmp_path: Path) -> None:
    alignment = align(base, read(tmp_path / "p", make_state(5, seed=1)))
    assert not alignment.known
    assert doubts(alignment) == ["weights alike", "unknown"]


# Weights that tell nothing


def test_equal_layers_are_not_claimed_to_be_known(tmp_path: Path) -> None:
    alike = change_layers(EIGHT, torch.zeros_like)
    pruned = read(tmp_path / "p", keep_layers(alike, range(5)))
    alignment = align(read(tmp_path / "base", alike), pruned)
    assert alignment == Alignment(
        tuple(range(5)),
        "position",
        known=False,
        doubts=(Doubt("weights alike"), Doubt("unknown", number=3)),
    )


def test_equal_layers_of_a_record_are_known_by_it(tmp_path: Path) -> None:
    alike = change_layers(EIGHT, torch.zeros_like)
    pruned = saying(read(tmp_path / "p", keep_layers(alike, KEPT)), {"removed": [1, 4, 5]})
    assert align(read(tmp_path / "base", alike), pruned) == Alignment(KEPT, "provenance")


def test_one_of_two_equal_layers_is_told_to_be_either(tmp_path: Path) -> None:
    twins = keep_layers(EIGHT, [0, 1, 2, 2, 4, 5])
    pruned = read(tmp_path / "p", keep_layers(twins, [0, 1, 3, 4, 5]))
    alignment = align(read(tmp_path / "base", twins), pruned)
    assert (alignment.indices, alignment.by) == ((0, 1, 2, 4, 5), "best match")
    assert alignment.doubts == (Doubt("could be others", (2,)),)


def test_all_equal_layers_there_stand_where_they_were(tmp_path: Path) -> None:
    alike = change_layers(EIGHT, torch.zeros_like)
    model = read(tmp_path / "base", alike)
    assert align(model, model) == Alignment(tuple(range(8)), "position")


def test_copies_in_the_place_of_other_layers_are_told(base: ReadModel, tmp_path: Path) -> None:
    alignment = align(base, read(tmp_path / "p", keep_layers(EIGHT, [0, 1, 2, 3, 3, 3, 6, 7])))
    assert (alignment.indices, alignment.by) == (tuple(range(8)), "position")
    assert alignment.doubts == (Doubt("copies", (4, 5)),)


# No weights at hand


def test_numbers_that_were_left_out_tell_which_layers_are_gone() -> None:
    pruned = made_up(9, 9, 9)
    layers = tuple(
        replace(layer, index=index) for layer, index in zip(pruned.layers, (0, 2, 4), strict=True)
    )
    alignment = sized(made_up(9, 9, 9, 9, 9), replace(pruned, layers=layers))
    assert alignment == Alignment((0, 2, 4), "position")


def test_layers_counted_from_one_stand_where_they_were() -> None:
    model = made_up(9, 9, 9)
    shifted = replace(model, layers=tuple(replace(x, index=x.index + 1) for x in model.layers))
    assert sized(model, shifted) == Alignment((0, 1, 2), "position")


def test_numbers_that_the_original_does_not_have_tell_nothing() -> None:
    pruned = made_up(9, 9)
    layers = tuple(
        replace(layer, index=index) for layer, index in zip(pruned.layers, (0, 7), strict=True)
    )
    assert not sized(made_up(9, 9, 9), replace(pruned, layers=layers)).known


def test_layers_of_different_sizes_are_known_by_them() -> None:
    alignment = sized(made_up(10, 20, 30, 40), made_up(10, 28, 40))
    assert (alignment.indices, alignment.by) == ((0, 2, 3), "best match")
    assert doubts(alignment) == ["no original weights"]


def test_a_layer_cannot_have_grown() -> None:
    assert sized(made_up(10, 20, 30, 40), made_up(10, 11, 31)).indices == (0, 1, 3)


def test_sizes_tell_where_they_differ_and_doubt_where_not() -> None:
    alignment = sized(made_up(10, 10, 30, 40, 50), made_up(10, 30, 40, 50))
    assert (alignment.indices, alignment.by) == ((0, 2, 3, 4), "best match")
    assert alignment.doubts[-1] == Doubt("could be others", (0,))


def test_equal_sizes_tell_nothing() -> None:
    alignment = sized(made_up(*[9] * 32), made_up(*[9] * 25))
    assert (alignment.by, alignment.known) == ("position", False)
    assert alignment.doubts[-1] == Doubt("unknown", number=7)


def test_a_model_without_layers_has_nothing_to_align() -> None:
    assert sized(made_up(), made_up()) == Alignment((), "position")


def test_all_layers_gone_leave_nothing_to_align() -> None:
    assert sized(made_up(1, 2), made_up()) == Alignment((), "position")


# Mistakes and words


def test_more_layers_without_weights_are_taken_from_the_end() -> None:
    found = sized(made_up(9, name="small"), made_up(9, 9, name="large"))
    assert (found.indices, dict(found.added)) == ((0,), {1: None})
    assert [doubt.kind for doubt in found.doubts] == ["added"]


def test_layers_beside_an_original_without_any_are_refused() -> None:
    with pytest.raises(AnalysisError, match="its original none") as error:
        sized(made_up(name="small"), made_up(9, name="large"))
    assert "compare_with" in (error.value.mend or "")


def test_every_doubt_can_be_told() -> None:
    for kind in DOUBTS:
        text = str(Doubt(kind, (3, 4), 2))
        assert "{" not in text
    assert str(Doubt("could be others", (3, 4))).endswith("3, 4")


# Another model


def test_layers_that_hold_more_than_the_original_are_told() -> None:
    assert doubts(sized(made_up((4, 6), (4, 6)), made_up((4, 6), (3, 7)))) == ["grown"]
    assert doubts(sized(made_up((4, 6), (4, 6)), made_up((4, 6), (4, 5)))) == []
