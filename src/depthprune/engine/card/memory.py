"""How much memory a model takes: its weights, and the most that was in use while it wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

CLEAR_REFS = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")
RESET_PEAK = "5"
"""What Linux takes as: let the highest resident set begin anew (proc(5), clear_refs)."""


@dataclass(frozen=True)
class Peak:
    """The most memory in use while something ran.

    Attributes:
        num_bytes: None where this machine does not tell.
        what: what was counted: `allocated on GPUs` or `resident set of the process`.
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
        device_type: `cuda`: what torch has allocated on all GPUs together. Else the resident set of
            the whole process, Python and libraries included, where Linux tells it.
    """
    if device_type == "cuda":
        return Peak(_gpu_peak(run), "allocated on GPUs")
    is_reset = _reset_resident_peak()
    run()
    return Peak(_resident_peak() if is_reset else None, "resident set of the process")


def _gpu_peak(run: Callable[[], None]) -> int:
    import torch

    devices = range(torch.cuda.device_count())
    for index in devices:
        torch.cuda.reset_peak_memory_stats(index)
    run()
    return sum(torch.cuda.max_memory_allocated(index) for index in devices)


def _reset_resident_peak() -> bool:
    try:
        CLEAR_REFS.write_text(RESET_PEAK)
    except OSError:
        return False
    return True


def _resident_peak() -> int | None:
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    kilobytes = fields.get("VmHWM", "").split()
    return int(kilobytes[0]) * 1024 if kilobytes else None
