"""How many rows go through the model at once: a guess, halved whenever memory runs out."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from depthprune.base.errors import DepthpruneError, option
from depthprune.base.log import logger

if TYPE_CHECKING:
    import torch
    from torch import nn

LARGEST_BATCH = 256
"""More rows than this gain nothing: a step's cost is then in the arithmetic, not in its calls."""

CPU_BATCH = 64
"""On a CPU, for models up to `SMALL_MODEL_BYTES`; in larger ones arithmetic dominates early."""

CPU_BATCH_OF_LARGE_MODELS = 8
SMALL_MODEL_BYTES = 512 * 1024**2

ROWS_PER_GIB = 8
"""Rows that a free GiB of accelerator memory is taken to hold before the first attempt."""

_MEMORY_MESSAGES = ("out of memory", "not enough memory", "can't allocate memory")


def guess_batch_size(model: nn.Module, device: torch.device) -> int:
    """Return how many rows to try first, from the memory that `device` has left.

    The guess needs not be safe: `run_in_batches` halves it where it was too bold.
    """
    free = _free_bytes(device)
    if free is None:
        weights = sum(parameter.nbytes for parameter in model.parameters())
        return CPU_BATCH if weights <= SMALL_MODEL_BYTES else CPU_BATCH_OF_LARGE_MODELS
    return max(1, min(LARGEST_BATCH, free * ROWS_PER_GIB // 1024**3))


def run_in_batches(count: int, size: int, run: Callable[[int, int], None]) -> int:
    """Call `run(start, stop)` over `range(count)` in batches of `size`; return the size that held.

    A batch that runs out of memory is run again in halves, and so are all later ones; batches
    that were done before are not repeated. `run` must leave nothing behind when it fails.

    Raises:
        DepthpruneError: a single row does not fit into memory.
    """
    start = 0
    while start < count:
        stop = min(start + size, count)
        complaint = memory_complaint(partial(run, start, stop))
        if complaint is None:
            start = stop
            continue
        # Only here, outside the except clause: the exception's traceback held the batch's tensors.
        free_memory()
        if stop - start == 1:
            raise no_memory(complaint)
        size = (stop - start) // 2
        logger.warning(
            "out of memory with %d samples at once; going on with %d", stop - start, size
        )
    return size


def no_memory(complaint: str) -> DepthpruneError:
    """Return the error that not even one sample fits."""
    return DepthpruneError(
        "there is not enough memory to evaluate a single sample",
        where=complaint,
        mend=f"free memory, choose a smaller data type ({option('dtype', 'bfloat16')}), spread "
        f"the model over devices ({option('device_map', 'auto')}), or use shorter samples",
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether `error` says that a device, or the machine, has no memory left."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(part in text for part in _MEMORY_MESSAGES)


def free_memory() -> None:
    """Give the memory of dropped tensors back to the devices."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


def memory_complaint(run: Callable[[], None]) -> str | None:
    """Run something; return the first line of the error where memory ran out."""
    try:
        run()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return (str(error).splitlines() or [type(error).__name__])[0]
    return None


def _free_bytes(device: torch.device) -> int | None:
    """Return the free memory of an accelerator, None where that is no use (CPU, unknown)."""
    import torch

    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return None
