"""Proxies from hidden states: block influence, angular distance, relative magnitude, in one pass.

All sums are taken in float32 and added up in float64; nothing that is kept grows with the number of
samples. A token is a position that the attention mask holds, those of images included; in stacks
other than the text decoder (a vision tower), every position.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from math import isfinite, pi
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import ModelError, TaskError, option
from depthprune.base.language import counted
from depthprune.base.removal import Removal
from depthprune.engine.inputs import Row
from depthprune.engine.likelihood import logits_between
from depthprune.importance.proxies import PROXIES, Proxy, ProxyScores
from depthprune.importance.proxies.calibration import Calibration, Tokens

if TYPE_CHECKING:
    import torch
    from torch import nn


_Take = Callable[["torch.Tensor"], "torch.Tensor"]
"""Copies what is wanted of hidden states."""

_See = Callable[[int, "torch.Tensor", "torch.Tensor"], None]
"""Is given a block's index and what was taken of its input and of its output."""


@contextmanager
def watched(blocks: Sequence[nn.Module], take: _Take, see: _See) -> Iterator[None]:
    """Call `see(block, before, after)` for every block that runs in the body, in their order.

    What is taken of the input is copied before the block runs: some add to it in place. The hooks
    are gone afterwards, also after an exception.

    Raises:
        ModelError: a block's hidden states are not found.
    """
    handles = []
    held: dict[int, torch.Tensor] = {}

    def before(index: int) -> Callable[..., None]:
        def hook(block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            held[index] = take(_input_of(block, args, kwargs))

        return hook

    def after(index: int) -> Callable[..., None]:
        def hook(block: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            taken = take(_output_of(block, output))
            see(index, held.pop(index).to(taken.device), taken)

        return hook

    try:
        for index, block in enumerate(blocks):
            handles.append(block.register_forward_pre_hook(before(index), with_kwargs=True))
            handles.append(block.register_forward_hook(after(index)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _input_of(block: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
    """Return the hidden states that a block is called with: its first argument, however passed."""
    import torch

    if args:
        given = args[0]
    else:
        # Of the class: a library that moves blocks between devices wraps the instance's forward.
        first = list(inspect.signature(type(block).forward).parameters)[1:2]
        given = kwargs.get(first[0] if first else "", kwargs.get("hidden_states"))
    if not isinstance(given, torch.Tensor):
        raise _not_found(block, "what it is called with")
    return given


def _output_of(block: nn.Module, output: Any) -> torch.Tensor:
    """Return the hidden states that a block returns: its output, or the first part of it."""
    import torch

    if isinstance(output, Mapping):
        output = tuple(output.values())
    if isinstance(output, tuple | list) and output:
        output = output[0]
    if not isinstance(output, torch.Tensor):
        raise _not_found(block, "what it returns")
    return output


def _not_found(block: nn.Module, where: str) -> ModelError:
    return ModelError(
        f"the hidden states of {type(block).__name__} are not found in {where}",
        mend="use the proxies taylor and perplexity, or measure the drops (depthprune profile)",
    )


def influence(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Return 1 - cos of the angle between two hidden states, over the last dimension.

    As half the squared distance of the unit vectors: the same number, but exactly 0 for equal
    states, where 1 - cos would be rounding noise.
    """
    return (_unit(after) - _unit(before)).square().sum(dim=-1) / 2


def relative_magnitude(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Return the length of what a block adds, divided by the length of its output."""
    return _length(after - before) / _length(after).clamp_min(_TINY)


def activation_scores(names: Sequence[str], calibration: Calibration) -> dict[str, ProxyScores]:
    """Return the proxies `names` that need hidden states, all from one pass over the samples.

    Args:
        names: of `block_influence`, `angular_distance`, `relative_magnitude`.
        calibration: the samples. In stacks other than the text decoder no token is the last: there
            the angular distance is always at all tokens.

    Raises:
        ModelError: hidden states are not found, or are not numbers.
        TaskError: the samples never run the stack.
    """
    sums: dict[_Place, float] = defaultdict(float)
    counts: dict[_Place, int] = defaultdict(int)

    def run(inputs: dict[str, Any], rows: Sequence[Row]) -> None:
        for place, total, count in _seen_in(calibration, names, inputs, calibration.angular_tokens):
            sums[place] += float(total)
            counts[place] += count

    calibration.read(run)
    means = {place: sums[place] / counts[place] for place in sums}
    _check(means, calibration)
    return {name: _scores(name, means, counts, calibration.num_samples) for name in names}


for _proxy in (
    Proxy(
        "block_influence",
        "mean over tokens of 1 - cos(x, y)",
        "Men et al. 2024, ShortGPT: Layers in Large Language Models are More Redundant "
        "Than You Expect, arXiv:2403.03853",
        "hidden states",
        activation_scores,
    ),
    Proxy(
        "angular_distance",
        "mean over samples of arccos(cos(x, y)) / pi at the last token",
        "Gromov et al. 2024, The Unreasonable Ineffectiveness of the Deeper Layers, "
        "arXiv:2403.17887 (PruneMe)",
        "hidden states",
        activation_scores,
    ),
    Proxy(
        "relative_magnitude",
        "mean over tokens of |y - x| / |y|",
        "Samragh et al. 2023, Weight Subcloning: Direct Initialization of Transformers "
        "Using Larger Pretrained Ones, arXiv:2312.09299",
        "hidden states",
        activation_scores,
    ),
):
    PROXIES.add(_proxy.name)(_proxy)


_Place = tuple[str, Removal]
_Seen = tuple[_Place, "torch.Tensor", int]

_TINY = 1e-30
_PER_TOKEN = {"block_influence": influence, "relative_magnitude": relative_magnitude}


@dataclass
class _Wanted:
    """Which positions of one batch's hidden states are looked at.

    Attributes:
        mask: of the tokens, bool of shape (rows, length); None takes every position.
        ends: the last token of each row, counted over all tokens; None where none is the last.
    """

    mask: torch.Tensor | None
    ends: torch.Tensor | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.mask is not None:
            self.ends = self.mask.sum(dim=1).cumsum(dim=0) - 1

    def take(self, state: torch.Tensor) -> torch.Tensor:
        """Return a float32 copy of the wanted positions, shape (..., positions, width)."""
        import torch

        if self.mask is None:
            return state.to(torch.float32, copy=True).flatten(end_dim=-2)
        if state.shape[-3:-1] != self.mask.shape:
            raise ModelError(
                f"hidden states of shape {tuple(state.shape)} do not fit "
                f"{counted(self.mask.shape[0], 'row')} "
                f"of {counted(self.mask.shape[1], 'token')}",
                mend="use the proxies taylor and perplexity, or measure the drops",
            )
        return state[..., self.mask.to(state.device), :].float()

    def take_last(self, taken: torch.Tensor) -> torch.Tensor:
        """Return the last token of each row, of what `take` returned."""
        return taken if self.ends is None else taken[..., self.ends.to(taken.device), :]


def _seen_in(
    calibration: Calibration, names: Sequence[str], inputs: dict[str, Any], tokens: Tokens
) -> list[_Seen]:
    """Run one batch; return the sums over its positions and how many positions they are over."""
    import torch

    of_text = calibration.stack.part in ("text", "decoder")
    wanted = _Wanted(inputs["attention_mask"].bool() if of_text else None)
    seen: list[_Seen] = []
    points: list[torch.Tensor] = []

    def see(block: int, before: torch.Tensor, after: torch.Tensor) -> None:
        for name, measure in _PER_TOKEN.items():
            if name in names:
                values = measure(before, after)
                seen.append(((name, (block,)), values.sum(), values.numel()))
        if "angular_distance" in names:
            # A stack may run several times in one pass (a vision tower, picture by picture).
            for state in (
                (before, after) if block == calibration.stack.num_blocks - 1 else (before,)
            ):
                point = wanted.take_last(state) if tokens == "last" else state
                points.append(_unit(point).to(points[0].device if points else point.device))
            if block == calibration.stack.num_blocks - 1:
                seen.extend(_angles(points, calibration.stack.num_blocks))
                points.clear()

    with watched(calibration.blocks, wanted.take, see), torch.inference_mode():
        # One position's logits: the model insists on some.
        logits_between(calibration.model, inputs, 0, 1)
    return seen


def _angles(points: Sequence[torch.Tensor], num_blocks: int) -> Iterator[_Seen]:
    """Yield the angles between all pairs of points on the way through the stack."""
    if len(points) != num_blocks + 1:
        raise ModelError(
            "the blocks do not run one after the other, so that runs of blocks have no ends",
            mend="leave the proxy angular_distance out",
        )
    for first, last in combinations(range(num_blocks + 1), 2):
        if last - first < num_blocks or num_blocks == 1:
            values = _angle(points[first], points[last])
            place = ("angular_distance", tuple(range(first, last)))
            yield place, values.sum(), values.numel()


def _scores(
    name: str, means: Mapping[_Place, float], counts: Mapping[_Place, int], num_samples: int
) -> ProxyScores:
    found = {blocks: mean for (proxy, blocks), mean in sorted(means.items()) if proxy == name}
    return ProxyScores(
        name,
        scores={blocks[0]: mean for blocks, mean in found.items() if len(blocks) == 1},
        runs=found if name == "angular_distance" else {},
        num_samples=num_samples,
        num_tokens=max(count for (proxy, _), count in counts.items() if proxy == name),
    )


def _check(means: Mapping[_Place, float], calibration: Calibration) -> None:
    stack = calibration.stack
    idle = set(range(stack.num_blocks)) - {block for _, blocks in means for block in blocks}
    if idle:
        raise TaskError(
            f"block {min(idle)} of {stack.path} never runs on these samples",
            mend="a vision tower needs a task with pictures",
        )
    for (name, blocks), mean in means.items():
        if not isfinite(mean):
            raise ModelError(
                f"{name} of block {blocks[0]} is not a number: its hidden states overflowed",
                mend=f"compute with {option('dtype', 'float32')} or bfloat16",
            )


def _unit(state: torch.Tensor) -> torch.Tensor:
    return state / _length(state).clamp_min(_TINY).unsqueeze(-1)


def _length(state: torch.Tensor) -> torch.Tensor:
    import torch

    length: torch.Tensor = torch.linalg.vector_norm(state, dim=-1)
    return length


def _angle(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return the angle between unit vectors divided by pi.

    Not by arccos, which turns a rounding error of 1e-7 next to 1 into 1e-4 (Kahan, 2006, How Futile
    are Mindless Assessments of Roundoff in Floating-Point Computation?).
    """
    import torch

    return torch.atan2(_length(left - right), _length(left + right)) * (2 / pi)
