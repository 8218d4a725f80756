"""Numbers that are made on the host and needed on a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def on_device(numbers: Sequence[Any], device: torch.device) -> torch.Tensor:
    """Return whole numbers as a tensor on a device; the host does not wait for a GPU to take it."""
    import torch

    tensor = torch.tensor(numbers, dtype=torch.long)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
