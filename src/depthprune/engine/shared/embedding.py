"""What goes into the first block for tokens of an answer."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from depthprune.engine.shared.unshareable import Unshareable
from depthprune.engine.shared.wiring import Wiring

if TYPE_CHECKING:
    import torch


class Embedding:
    """Turns tokens at given positions into what the model gives its first block.

    Most models look tokens up in a table and do nothing else; where that is not so (learned
    positions, scales), the model itself is run, without its blocks.

    Args:
        wiring: of the model.
        hidden: what the first block was given for `ids`, (rows, length, size).
        ids: tokens, (rows, length).
        mask: which of them are no padding, (rows, length).

    Raises:
        Unshareable: what the first block is given depends on something else.
    """

    def __init__(
        self, wiring: Wiring, hidden: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor
    ) -> None:
        import torch

        self._wiring = wiring
        self._table = wiring.model.get_input_embeddings()
        self._takes_positions = "position_ids" in inspect.signature(wiring.model.forward).parameters
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        words = mask.bool()
        self._is_table = torch.equal(self._table(ids)[words], hidden[words])
        if not torch.equal(self(ids, positions)[words], hidden[words]):
            raise Unshareable("what its first block is given depends on more than the token")

    def __call__(self, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Return what the first block is given, (rows, length, size)."""
        if self._is_table:
            found: torch.Tensor = self._table(tokens)
            return found
        options: dict[str, Any] = {"position_ids": positions} if self._takes_positions else {}
        return self._wiring.entrance(
            lambda: self._wiring.model(input_ids=tokens, use_cache=False, **options)
        )
