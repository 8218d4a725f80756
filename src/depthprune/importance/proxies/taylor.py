"""The proxy from gradients: by how much the loss would change, to first order, without a block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import ModelError, option
from depthprune.engine.inputs import Row
from depthprune.engine.teacher_forcing import reference_loss
from depthprune.importance.proxies import ProxyScores, proxy
from depthprune.importance.proxies.calibration import Calibration

if TYPE_CHECKING:
    import torch
    from torch import nn

GRADIENT_BYTES = 16 * 1024**3
"""Memory for gradients on a CPU; on a GPU, half of what is free."""


@proxy(
    "taylor",
    "sum over the block's weights w of |w * dL/dw|",
    "Kim et al. 2024, Shortened LLaMA: Depth Pruning for Large Language Models, arXiv:2402.02834",
    "gradients",
)
def taylor_scores(calibration: Calibration) -> ProxyScores:
    """Return, for each block, the sum of |w * dL/dw| over its weights (Shortened LLaMA, eq. 2).

    L is the mean negative log-likelihood of the references' tokens over all samples: gradients of
    batches are added up (in float32) before the absolute value is taken. All parameters of a block
    count, norms and biases too. Gradients that do not fit into memory all at once are taken for
    some blocks at a time, with a pass over the samples for each lot. Neither `requires_grad` nor
    `grad` of any parameter is other than before afterwards.

    Raises:
        ModelError: the weights are quantised, offloaded or shared by several blocks, or a gradient
            is not finite.
    """
    blocks = [list(block.parameters()) for block in calibration.blocks]
    scores = {block: _score(block, pairs) for block, pairs in summed_gradients(calibration, blocks)}
    return ProxyScores(
        "taylor",
        scores,
        num_samples=calibration.num_samples,
        num_tokens=calibration.num_reference_tokens,
    )


def summed_gradients(
    calibration: Calibration, parameters: Sequence[Sequence[nn.Parameter]]
) -> Iterator[tuple[int, list[tuple[nn.Parameter, torch.Tensor]]]]:
    """Yield each block with its parameters and dL/dw of each, in float32, over all samples.

    Args:
        calibration: the samples.
        parameters: those of each block that are wanted.

    Raises:
        ModelError: the weights are quantised or offloaded.
    """
    for each in parameters:
        _check_differentiable(calibration.model, each)
    lots = list(_lots([sum(map(_gradient_bytes, each)) for each in parameters], _room(parameters)))
    for lot in lots:
        wanted = [parameter for block in lot for parameter in parameters[block]]
        gradients = iter(_gradients(calibration, wanted, len(lots)))
        for block in lot:
            yield block, [(parameter, next(gradients)) for parameter in parameters[block]]


def _gradients(
    calibration: Calibration, wanted: Sequence[nn.Parameter], num_lots: int
) -> list[torch.Tensor]:
    import torch

    sums = [torch.zeros_like(parameter, dtype=torch.float32) for parameter in wanted]

    def run(inputs: dict[str, Any], rows: Sequence[Row]) -> None:
        with torch.enable_grad():
            loss = reference_loss(calibration.model, inputs, rows)
            loss = loss / calibration.num_reference_tokens
            # An expert that no token is sent to has no gradient.
            found = torch.autograd.grad(loss, wanted, allow_unused=True)
        for total, gradient in zip(sums, found, strict=True):
            if gradient is not None:
                total.add_(gradient)

    with _only_differentiable(calibration.model, wanted):
        calibration.read(run, whole_logits=True, share=1 / num_lots)
    return sums


def _score(block: int, weights: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> float:
    score = sum(
        float((parameter.detach().float() * gradient).abs().sum())
        for parameter, gradient in weights
    )
    if not isfinite(score):
        raise ModelError(
            f"the gradients of block {block} overflow",
            mend=f"compute with {option('dtype', 'float32')} or bfloat16, or leave the "
            "proxy taylor out",
        )
    return score


@contextmanager
def _only_differentiable(model: nn.Module, wanted: Sequence[nn.Parameter]) -> Iterator[None]:
    """Let gradients flow to these parameters only; afterwards each is as it was."""
    before = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        model.requires_grad_(False)
        for parameter in wanted:
            parameter.requires_grad_(True)
        yield
    finally:
        for parameter, required in before:
            parameter.requires_grad_(required)


def _check_differentiable(model: Any, parameters: Sequence[nn.Parameter]) -> None:
    quantised = getattr(model.config, "quantization_config", None) is not None
    if quantised or not all(parameter.is_floating_point() for parameter in parameters):
        raise ModelError(
            "quantised weights have no gradients",
            mend="load the model without quantisation, or leave the proxy taylor out",
        )
    if any(parameter.is_meta for parameter in parameters):
        raise ModelError(
            "weights that are offloaded to memory or disk have no gradients",
            mend=f"use a device (or several, {option('device_map')}) that holds the model, or "
            "leave the proxy taylor out",
        )


def _gradient_bytes(parameter: nn.Parameter) -> int:
    """Return what a parameter's gradient takes: of one batch, and summed in float32."""
    return parameter.nbytes + 4 * parameter.numel()


def _lots(sizes: Sequence[int], room: int) -> Iterator[list[int]]:
    """Yield the blocks in lots whose gradients fit into `room` bytes; a lot has at least one."""
    lot: list[int] = []
    for block, size in enumerate(sizes):
        if lot and sum(sizes[each] for each in lot) + size > room:
            yield lot
            lot = []
        lot.append(block)
    if lot:
        yield lot


def _room(parameters: Sequence[Sequence[nn.Parameter]]) -> int:
    import torch

    devices = {parameter.device for each in parameters for parameter in each}
    if all(device.type == "cuda" for device in devices):
        return sum(torch.cuda.mem_get_info(device)[0] for device in devices) // 2
    return GRADIENT_BYTES
