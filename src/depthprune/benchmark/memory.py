"""How much memory a model takes: its weights, and the most that was in use while it wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Peak:
    """The most memory in use while something ran.

    Attributes:
        num_bytes: None on a processor: the memory of a process is that of Python and its libraries.
        what: what was counted.
    """

    num_bytes: int | None
    what: str


def weight_bytes(model: nn.Module) -> int:
    """Return the bytes of all parameters and buffers; what is shared counts once."""
    return sum(
        {
            id(tensor): tensor.nbytes for tensor in chain(model.parameters(), model.buffers())
        }.values()
    )


def peak_while(run: Callable[[], None], device_type: str) -> Peak:
    """Run something; return the most memory that was in use meanwhile, weights included.

    Args:
        run: what is watched.
        device_type: `cuda`: what torch has allocated on all GPUs together; elsewhere nothing runs.
    """
    return Peak(_gpu_peak(run) if device_type == "cuda" else None, "allocated on GPUs")


def _gpu_peak(run: Callable[[], None]) -> int:
    import torch

    devices = range(torch.cuda.device_count())
    for index in devices:
        torch.cuda.reset_peak_memory_stats(index)
    run()
    return sum(torch.cuda.max_memory_allocated(index) for index in devices)
