"""What blocks take for the cache of keys and values: it keeps, replaces or withholds them.

None of them is one of transformers' caches, which are as deep as the model, and of which those of
sliding windows forget what a rejected draft would still need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from depthprune.engine.shared.unshareable import Unshareable

if TYPE_CHECKING:
    import torch


class Recording:
    """Keeps the keys and values of one call of a block, each (rows, heads, length, size)."""

    def __init__(self) -> None:
        self.keys: torch.Tensor | None = None
        self.values: torch.Tensor | None = None

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take the new keys and values; return all that attention sees."""
        if self.keys is not None:
            raise Unshareable("a block attends more than once")
        self.keys, self.values = keys, values
        return keys, values


class KeysKnown(Exception):
    """Leaves a block as soon as its keys and values are known."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__("keys and values are known")
        self.keys, self.values = keys, values


class KeysOnly(Recording):
    """Keeps the keys and values, and ends the call."""

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        raise KeysKnown(*super().update(keys, values))


class Known:
    """Gives keys and values that are known already in place of new ones."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        self._known = keys, values

    def update(self, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return self._known


class Growing:
    """Writes new keys and values into buffers, each row at columns of its own.

    Args:
        keys, values: buffers, (rows, heads, columns, size).
        rows: 0, 1, 2..., of shape (rows, 1).
        columns: where the new ones belong, (rows, new).
        extent: how many columns attention sees.
    """

    def __init__(
        self,
        keys: torch.Tensor,
        values: torch.Tensor,
        rows: torch.Tensor,
        columns: torch.Tensor,
        extent: int,
    ) -> None:
        self._keys, self._values = keys, values
        self._rows, self._columns, self._extent = rows, columns, extent

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        # The dimension of the heads stands between the two that are indexed: it comes last.
        self._keys.transpose(1, 2)[self._rows, self._columns] = keys.transpose(1, 2)
        self._values.transpose(1, 2)[self._rows, self._columns] = values.transpose(1, 2)
        return self._keys[:, :, : self._extent], self._values[:, :, : self._extent]
