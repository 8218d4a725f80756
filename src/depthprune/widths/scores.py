"""What each attention group and MLP channel is worth: by weights, inputs or gradients.

The score of a unit is the sum over its weights, divided by their number. Sums are taken in float32
within a tensor and added up in float64. A bias is a weight whose input is 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from depthprune.base.errors import DepthpruneError, ModelError, option
from depthprune.base.language import counted
from depthprune.engine.inputs import Row
from depthprune.importance.proxies.calibration import Calibration
from depthprune.importance.proxies.taylor import summed_gradients
from depthprune.widths.choose import Scores
from depthprune.widths.layout import UNITS, Unit, UnitMap

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from depthprune.checkpoint.stored import StoredTensor

LEAST_SAMPLES = 8
"""Samples below which no unit can be told from another."""


def check_samples(number: int) -> None:
    """Raise DepthpruneError when there are too few samples to score units by."""
    if number < LEAST_SAMPLES:
        raise DepthpruneError(
            f"{counted(number, 'sample is', 'samples are')} too few to tell units apart",
            option="num_samples",
            mend=f"read at least {LEAST_SAMPLES}; 128 and more are usual",
        )


def magnitude_scores(layout: UnitMap, on_block: Callable[[], None]) -> Scores:
    """Return the mean of |w| of every unit, read from the files tensor by tensor."""
    scores = []
    for tensors in layout.blocks:
        values = ((name, _numbers(tensor).abs_()) for name, tensor in tensors.items())
        scores.append(_unit_scores(layout, values))
        on_block()
    return scores


def wanda_scores(layout: UnitMap, calibration: Calibration) -> Scores:
    """Return the mean of |w| * r of every unit: r is the root mean square of the weight's input.

    One pass, and memory for one number of each input beside the model.
    Sun et al. 2024, A Simple and Effective Pruning Approach for Large Language Models,
    arXiv:2306.11695, has the length of the input for r: the same, but for the number of tokens.
    Hidden states grow with depth: the scores of a block are divided by their mean over its weights,
    because raw ones would empty the first MLPs of a model pruned globally.

    Raises:
        ModelError: an input is not finite, or the tokens are not found in it.
    """
    import torch

    scores = []
    inputs = _input_sizes(layout, calibration)
    for block, module in enumerate(calibration.blocks):
        values = []
        for name, weight in _parameters(layout, module, block):
            size = inputs[block].get(name)
            found = weight.detach().float().abs().cpu()
            if size is not None and weight.dim() == 2:
                found = found * (size[:, None] if layout.family.inputs_first else size)
            if not torch.isfinite(found).all():
                raise ModelError(
                    f"the inputs of block {block} overflow",
                    mend=f"compute with {option('dtype', 'float32')} or bfloat16",
                )
            values.append((name, found))
        scores.append(_relative(layout, _unit_scores(layout, values)))
    return scores


def taylor_scores(layout: UnitMap, calibration: Calibration) -> Scores:
    """Return the mean of |w * dL/dw| of every unit, L the loss per reference token.

    Gradients of batches are added up before the absolute value is taken. Those that do not fit into
    memory at once are taken for some blocks at a time, see `proxies.taylor`.

    Raises:
        ModelError: a gradient is not finite, or the weights have none.
    """
    names = [
        [name for name, _ in _parameters(layout, module, block)]
        for block, module in enumerate(calibration.blocks)
    ]
    parameters = [
        [weight for _, weight in _parameters(layout, module, block)]
        for block, module in enumerate(calibration.blocks)
    ]
    found: dict[int, Mapping[Unit, NDArray[np.float64]]] = {}
    for block, pairs in summed_gradients(calibration, parameters):
        values = (
            (name, (weight.detach().float() * gradient).abs_().cpu())
            for name, (weight, gradient) in zip(names[block], pairs, strict=True)
        )
        found[block] = _unit_scores(layout, values)
    return [found[block] for block in range(len(parameters))]


SCORED = {
    "wanda": wanda_scores,
    **dict.fromkeys(("taylor", "hgsp", "llm-pruner"), taylor_scores),
}
"""The methods that read samples."""


def mean_scores(found: Sequence[Scores]) -> Scores:
    """Return the mean over data sets, each of which counts alike."""
    return [
        {unit: np.mean([one[block][unit] for one in found], axis=0) for unit in UNITS}
        for block in range(len(found[0]))
    ]


def _unit_scores(
    layout: UnitMap,
    values: Iterator[tuple[str, torch.Tensor]] | Sequence[tuple[str, torch.Tensor]],
) -> dict[Unit, NDArray[np.float64]]:
    """Return the scores of a block's units out of those of its weights, tensor by tensor."""
    sums: dict[Unit, NDArray[np.float64]] = {unit: np.zeros(layout.count(unit)) for unit in UNITS}
    for name, value in values:
        count, unit, table = layout.slices(name)
        axis = layout.family.tensors[name][0]
        shape = (*value.shape[:axis], count, -1, *value.shape[axis + 1 :])
        parts = value.reshape(shape).movedim(axis, 0).flatten(1)
        slices = parts.sum(dim=1).double().cpu().numpy()
        sums[unit] += slices[table].sum(axis=1)
    return {unit: sums[unit] / max(layout.parameters[unit], 1) for unit in UNITS}


def _relative(
    layout: UnitMap, scores: Mapping[Unit, NDArray[np.float64]]
) -> dict[Unit, NDArray[np.float64]]:
    weights = layout.parameters
    total = sum(float(scores[unit].sum()) * weights[unit] for unit in UNITS)
    number = sum(len(scores[unit]) * weights[unit] for unit in UNITS)
    mean = total / number or 1.0
    return {unit: scores[unit] / mean for unit in UNITS}


_TORCH = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def _numbers(tensor: StoredTensor) -> torch.Tensor:
    """Return the numbers of a tensor that lies in a file, in float32."""
    import torch

    raw = bytearray(b"".join(tensor.pieces()))
    dtype = getattr(torch, _TORCH[tensor.dtype])
    return torch.frombuffer(raw, dtype=dtype).reshape(tensor.shape).float()


def _parameters(layout: UnitMap, module: nn.Module, block: int) -> list[tuple[str, nn.Parameter]]:
    """Return the parameters of a block in memory that lose slices, by their names below it."""
    own = dict(module.named_parameters())
    found = [(name, own[name]) for name in layout.blocks[block] if name in own]
    if len(found) < len(layout.blocks[block]):
        missing = next(name for name in layout.blocks[block] if name not in own)
        raise ModelError(f"block {block} has no {missing} in memory, as its files have")
    return found


def _input_sizes(layout: UnitMap, calibration: Calibration) -> list[dict[str, torch.Tensor]]:
    """Return the root mean square of every number that a weight is multiplied with, by block."""
    import torch

    from depthprune.engine.likelihood import logits_between

    sums: list[dict[str, torch.Tensor]] = [{} for _ in calibration.blocks]
    mask: torch.Tensor | None = None
    tokens = 0

    def watch(block: int, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            state = args[0]
            assert mask is not None
            if state.shape[:2] != mask.shape:
                raise ModelError(
                    f"the input of {name} in block {block} has the shape {tuple(state.shape)}, "
                    f"where {counted(mask.shape[0], 'row')} of "
                    f"{counted(mask.shape[1], 'token')} are read",
                    mend="choose the method magnitude or taylor",
                )
            squares = state[mask.to(state.device)].float().square().sum(dim=0, dtype=torch.float64)
            held = sums[block].get(name)
            sums[block][name] = squares.cpu() if held is None else held + squares.cpu()

        return hook

    def run(inputs: dict[str, Any], rows: Sequence[Row]) -> None:
        nonlocal mask, tokens
        mask = inputs["attention_mask"].bool()
        with torch.inference_mode():
            logits_between(calibration.model, inputs, 0, 1)
        tokens += int(mask.sum())

    with _watching(layout, calibration, watch):
        calibration.read(run)
    return [{name: (total / tokens).sqrt().float() for name, total in one.items()} for one in sums]


@contextmanager
def _watching(
    layout: UnitMap, calibration: Calibration, watch: Callable[[int, str], Callable[..., None]]
) -> Iterator[None]:
    """Call a hook after each linear layer whose weight loses slices."""
    handles = []
    try:
        for block, module in enumerate(calibration.blocks):
            for name in layout.blocks[block]:
                if name.endswith(".weight"):
                    linear = module.get_submodule(name.removesuffix(".weight"))
                    handles.append(linear.register_forward_hook(watch(block, name)))
        yield
    finally:
        for handle in handles:
            handle.remove()
