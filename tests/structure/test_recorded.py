"""What a checkpoint says of its layers is taken when it fits the two models, and only then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from depthprune.structure.origin import has_record, recorded_layers
from depthprune.structure.tensors import Checkpoint


def checkpoint(
    provenance: dict[str, Any] | None = None, config: dict[str, Any] | None = None
) -> Checkpoint:
    return Checkpoint(Path("model"), {}, config=config or {}, provenance=provenance)


def cut(kept: list[int], num_blocks: int, source: Any = None, part: str = "text") -> dict[str, Any]:
    """Return a record as `depthprune cut` writes it."""
    return {
        "part": part,
        "original_indices": kept,
        "source": {"num_blocks": num_blocks, "made_by_depthprune": source},
    }


def test_a_cut_says_which_blocks_it_holds() -> None:
    record = cut([0, 2, 3, 5], 6)
    assert recorded_layers(checkpoint(record), 6, 4) == ((0, 2, 3, 5), "provenance")


def test_a_cut_of_a_cut_is_followed_to_the_original() -> None:
    first = cut([0, 2, 3, 5], 6)
    assert recorded_layers(checkpoint(cut([0, 1, 3], 4, first)), 6, 3) == ((0, 2, 5), "provenance")


def test_a_cut_of_a_cut_may_be_set_beside_the_first_cut() -> None:
    record = cut([0, 1, 3], 4, cut([0, 2, 3, 5], 6))
    assert recorded_layers(checkpoint(record), 4, 3) == ((0, 1, 3), "provenance")


def test_a_list_of_removed_layers_is_enough() -> None:
    assert recorded_layers(checkpoint({"removed": [1, 4]}), 6, 4) == ((0, 2, 3, 5), "provenance")


def test_a_list_that_was_found_in_the_configuration_is_called_so() -> None:
    record = {"removed": [1, 4], "read_from": "config"}
    assert recorded_layers(checkpoint(record), 6, 4) == ((0, 2, 3, 5), "config")


@pytest.mark.parametrize(
    "config",
    [
        {"pruned_layers": [4, 1]},
        {"kept_layers": [0, 2, 3, 5]},
        {"text_config": {"removed_layers": [1, 4]}},
    ],
)
def test_the_configuration_may_say_it(config: dict[str, Any]) -> None:
    assert recorded_layers(checkpoint(config=config), 6, 4) == ((0, 2, 3, 5), "config")


@pytest.mark.parametrize(
    "record",
    [
        None,
        {},
        "text",
        {"removed": []},
        {"removed": "1, 4"},
        {"removed": [1.0, 4.0]},
        {"removed": [True, False]},
        {"removed": [1]},
        {"removed": [1, 1]},
        {"removed": [-1, 4]},
        {"removed": [1, 6]},
        {"removed": [1, 4], "source": {"num_blocks": 8}},
        {"removed": [1, 4], "source": {"num_blocks": "six"}},
        {"original_indices": [0, 2, 3]},
        {"original_indices": [0, 3, 2, 5]},
        {"original_indices": [0, 2, 3, 9]},
        cut([0, 2, 3, 5], 6, part="vision"),
        cut([0, 1, 2, 9], 10, cut([0, 1], 6)),
        cut([0, 2, 3, 5], 9, cut([0, 2], 5)),
    ],
)
def test_what_does_not_fit_is_no_record(record: Any) -> None:
    assert recorded_layers(checkpoint(record), 6, 4) is None


def test_a_chain_that_never_ends_is_given_up() -> None:
    endless: dict[str, Any] = {"original_indices": [0, 1, 2, 3], "source": {"num_blocks": 4}}
    endless["source"]["made_by_depthprune"] = endless
    assert recorded_layers(checkpoint(endless), 6, 4) is None


def test_a_record_that_does_not_fit_is_still_there() -> None:
    assert has_record(checkpoint({"removed": [1, 2, 3]}))
    assert has_record(checkpoint(config={"pruned_layers": [7]}))
    assert not has_record(checkpoint({"removed": []}, {"num_hidden_layers": 4}))


def numbered(*numbers: int, stack: str = "model.layers") -> dict[str, dict[str, int]]:
    """Return what layers of a pickled module say of themselves."""
    return {
        f"{stack}.{place}.self_attn": {"layer_idx": number, "head_dim": 8}
        for place, number in enumerate(numbers)
    }


def pickled(attributes: dict[str, dict[str, int]]) -> Checkpoint:
    return Checkpoint(Path("model.bin"), {}, attributes=attributes)


def test_layers_of_a_pickled_module_may_still_have_the_numbers_they_were_built_with() -> None:
    found = recorded_layers(pickled(numbered(0, 2, 3, 5)), 6, 4)
    assert found == ((0, 2, 3, 5), "provenance")


@pytest.mark.parametrize(
    "attributes",
    [
        numbered(0, 1, 2, 3),  # renumbered, or the first four: who knows
        numbered(0, 3, 2, 5),
        numbered(0, 2, 2, 5),
        numbered(0, 2, 3, 6),
        numbered(-1, 2, 3, 5),
        numbered(0, 2, 3),
        numbered(0, 2, 3, 5) | {"model.layers.1.mlp": {"layer_idx": 1}},
        numbered(0, 2, 3, 5) | numbered(0, 1, 2, 5, stack="vision.layers"),
        {"model": {"layer_idx": 3}},
    ],
)
def test_numbers_that_tell_nothing_are_no_record(attributes: dict[str, dict[str, int]]) -> None:
    assert recorded_layers(pickled(attributes), 6, 4) is None
    assert not has_record(pickled(attributes))


def test_a_cut_of_a_tower_is_no_record_of_the_text_layers() -> None:
    assert not has_record(checkpoint(cut([0, 2], 3, part="vision")))
    assert has_record(checkpoint(cut([0, 2], 3)))
