"""Specification of looking at hidden states: however blocks are called and whatever they return."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from depthprune.base.errors import ModelError
from depthprune.importance.proxies.activations import watched


class Block(nn.Module):
    """Adds 1; returns what its kind says."""

    def __init__(self, kind: str = "tensor") -> None:
        super().__init__()
        self.kind = kind

    def forward(self, hidden_states: torch.Tensor, scale: float = 1.0) -> Any:
        output = hidden_states + scale
        return {
            "tensor": output,
            "tuple": (output, "attention"),
            "list": [output],
            "mapping": {"hidden": output, "attention": None},
            "nothing": None,
        }[self.kind]


class InPlace(nn.Module):
    """Adds 1 to its input itself."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.add_(1)


def seen(block: nn.Module, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
    found: list[tuple[torch.Tensor, torch.Tensor]] = []
    with watched([block], torch.clone, lambda _, *states: found.append(states)):
        block(*args, **kwargs)
    ((before, after),) = found
    return before, after


@pytest.mark.parametrize("kind", ["tensor", "tuple", "list", "mapping"])
def test_outputs_of_every_kind(kind: str) -> None:
    before, after = seen(Block(kind), torch.zeros(2, 3))
    assert (before.sum(), after.sum()) == (0, 6)


def test_inputs_by_position_and_by_name() -> None:
    state = torch.ones(2, 3)
    for before, after in (
        seen(Block(), state),
        seen(Block(), hidden_states=state),
        seen(Block(), scale=1.0, hidden_states=state),
    ):
        assert (before.sum(), after.sum()) == (6, 12)


def test_an_input_by_another_name_is_the_first_argument() -> None:
    class Named(nn.Module):
        def forward(self, x: torch.Tensor, cache: torch.Tensor) -> torch.Tensor:
            return x

    before, _ = seen(Named(), cache=torch.zeros(1), x=torch.ones(1))
    assert before.sum() == 1


def test_a_block_that_works_in_place_does_not_change_what_was_seen() -> None:
    before, after = seen(InPlace(), torch.zeros(2, 3))
    assert (before.sum(), after.sum()) == (0, 6)


def test_blocks_are_told_apart() -> None:
    found = []
    blocks = [Block(), Block("tuple")]
    with watched(blocks, torch.clone, lambda index, *_: found.append(index)):
        blocks[1](blocks[0](torch.zeros(1)))
    assert found == [0, 1]


def test_what_is_not_found_is_an_error_and_no_hook_stays() -> None:
    for block, argument in ((Block("nothing"), torch.zeros(1)), (InPlace(), None)):
        with pytest.raises(ModelError, match="hidden states"):
            seen(block, argument)
        assert not block._forward_hooks
        assert not block._forward_pre_hooks
