"""A linear map in place of each removed run, folded into the MLP of the block before it.

For removed blocks i..j, let M be what the MLP of block i-1 adds, O the output of block i-1 and L
that of block j, at the tokens of the calibration samples (one row each). The map A minimises
|L - O - M A|^2 + r |A|^2 with r a thousandth of the mean square of a column of M; then the block
adds M (I + A) in place of M: its last weight changes, and nothing else. This is ReplaceMe
(Shopkhoev et al., ReplaceMe: Network Simplification via Depth Pruning and Transformer Block
Linearization, 2025, arXiv:2505.02819), with its sums taken in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import DepthpruneError, ModelError, RemovalError
from depthprune.base.language import counted
from depthprune.base.removal import Removal, format_removal
from depthprune.engine.inputs import Row, lengths
from depthprune.healing import Positions
from depthprune.importance.proxies.activations import watched
from depthprune.importance.proxies.calibration import Calibration

if TYPE_CHECKING:
    import torch
    from torch import nn

RIDGE = 1e-3
"""Of the mean of the diagonal of M'M: what is added to it."""

HELD_OUT = 5
"""Every so many samples judge, and the others are fitted to."""

LAST_WEIGHTS = ("down_proj", "fc2", "c_proj", "w2", "dense_4h_to_h")
"""What the last weight of an MLP is called."""

TOLERANCE = 1e-2
"""Share of what an MLP adds by which a block's output may differ from the rest plus that."""


@dataclass(frozen=True)
class HealedRun:
    """A linear map in place of one run of removed blocks.

    Attributes:
        block: whose last MLP weight holds it, by its index in the whole model.
        run: the removed blocks.
        weight: its name below the block, e.g. `mlp.down_proj.weight`.
        positions: of the tokens that it was fitted to: all, or answers.
        num_tokens: how many.
        error: share of what the run adds that is missing with the map, at answers of the samples
            held out; without the map it is 1.
        values: the new weight, and the new bias where there is one, by name below the block.
    """

    block: int
    run: Removal
    weight: str
    positions: str
    num_tokens: int
    error: float
    values: dict[str, torch.Tensor] = field(repr=False, compare=False)


def runs_of(removal: Removal) -> list[Removal]:
    """Return the removed blocks as runs of neighbours.

    Raises:
        RemovalError: the first block is removed: none before it could hold a map.
    """
    runs: list[list[int]] = []
    for block in removal:
        if runs and runs[-1][-1] == block - 1:
            runs[-1].append(block)
        else:
            runs.append([block])
    if runs and runs[0][0] == 0:
        raise RemovalError(
            "block 0 is removed, and no block before it can hold a linear map",
            option="heal",
            mend="keep block 0, or cut without healing",
        )
    return [tuple(run) for run in runs]


def fit(
    calibrations: Sequence[Calibration], removal: Removal, positions: Positions = "auto"
) -> list[HealedRun]:
    """Return the best linear map in place of each run of removed blocks.

    One pass of the whole model over the samples serves all runs. For each run and choice of
    positions two sums of the size hidden x hidden are kept, and two of the samples held out.

    Args:
        calibrations: of one model: the samples of each task.
        removal: the blocks that go.
        positions: of the tokens to fit to.

    Raises:
        RemovalError: block 0 is removed.
        ModelError: the last weight of a block's MLP is not found, or its output passes through
            something else (a norm, experts) before it is added.
        DepthpruneError: there are fewer tokens than twice the hidden size.
    """
    runs = runs_of(removal)
    blocks = calibrations[0].blocks
    before = {run: run[0] - 1 for run in runs}
    weights = {run: last_weight(blocks[place], place) for run, place in before.items()}
    kinds: tuple[Positions, ...] = ("all", "answers") if positions == "auto" else (positions,)
    sums = {(run, kind): _Sums() for run in runs for kind in (*kinds, "held out")}
    unchecked = set(runs)
    for calibration in calibrations:

        def read(
            inputs: dict[str, Any], rows: Sequence[Row], one: Calibration = calibration
        ) -> None:
            masks = _masks(inputs, rows, kinds)
            for run in list(unchecked):
                _check_last(one, inputs, before[run], weights[run][1])
                unchecked.discard(run)
            with _taken(one, inputs, runs, weights) as taken:
                for run in runs:
                    added, output, wanted = taken[run]
                    for kind, mask in masks.items():
                        sums[run, kind].add(added[mask], (wanted - output)[mask])

        calibration.read(read)
    return [
        _healed(run, weights[run], {kind: sums[run, kind] for kind in (*kinds, "held out")})
        for run in runs
    ]


class _Sums:
    """M'M, M'R and |R|^2 over tokens, in float64; R is what a map should add."""

    def __init__(self) -> None:
        self.square: Any = 0.0
        self.cross: Any = 0.0
        self.total = 0.0
        self.count = 0

    def add(self, added: torch.Tensor, missing: torch.Tensor) -> None:
        """Take the tokens of a batch, shape (tokens, hidden)."""
        added, missing = added.double(), missing.double()
        self.square = self.square + added.T @ added
        self.cross = self.cross + added.T @ missing
        self.total += float(missing.square().sum())
        self.count += len(added)

    def solution(self) -> torch.Tensor:
        """Return the map A."""
        import torch

        ridge = RIDGE * self.square.diagonal().mean().clamp_min(1e-30)
        identity = torch.eye(len(self.square), dtype=torch.float64, device=self.square.device)
        found: torch.Tensor = torch.linalg.solve(self.square + ridge * identity, self.cross)
        return found

    def error(self, found: torch.Tensor) -> float:
        """Return the share of |R|^2 that a map leaves."""
        left = self.total - 2 * (found * self.cross).sum() + (found * (self.square @ found)).sum()
        return float(left) / max(self.total, 1e-30)


def _healed(run: Removal, found: tuple[str, Any], sums: dict[str, _Sums]) -> HealedRun:
    name, module = found
    judge = sums.pop("held out")
    width = len(next(iter(sums.values())).square) if judge.count else 0
    fitted = {}
    for kind, one in sums.items():
        if one.count < 2 * width or not judge.count:
            continue
        solution = one.solution()
        fitted[kind] = judge.error(solution), solution
    if not fitted:
        most = max(one.count for one in sums.values())
        raise DepthpruneError(
            f"{counted(most, 'token')} are too few for a linear map of hidden size {width}: "
            f"{2 * width} are the fewest",
            option="num_samples",
            mend="give more samples, or fit to all positions",
        )
    kind = min(fitted, key=lambda one: fitted[one][0])
    error, solution = fitted[kind]
    values = {}
    for part, value in (("weight", module.weight), ("bias", getattr(module, "bias", None))):
        if value is not None:
            given = value.detach().double()
            # GPT-2 keeps its weights with the inputs first; so is a bias.
            inputs_first = part == "bias" or type(module).__name__ == "Conv1D"
            change = given @ solution if inputs_first else solution.T @ given
            values[f"{name}.{part}"] = (given + change).to(value.dtype)
    return HealedRun(
        run[0] - 1,
        run,
        f"{name}.weight",
        kind,
        sums[kind].count,
        error,
        values,
    )


def last_weight(block: nn.Module, place: int) -> tuple[str, Any]:
    """Return the last weight of a block's MLP: its name below the block, and its module.

    Raises:
        ModelError: there is none, or several (experts).
    """
    found = [
        (name, module)
        for name, module in block.named_modules()
        if name.rpartition(".")[2] in LAST_WEIGHTS
        and "attn" not in name
        and "attention" not in name
        and getattr(module, "weight", None) is not None
    ]
    if (
        len(found) != 1
        or found[0][1].weight.dim() != 2
        or not found[0][1].weight.is_floating_point()
    ):
        raise ModelError(
            f"block {place} has {counted(len(found), 'weight')} that could be the last of its MLP, "
            f"not one (looked for: {', '.join(LAST_WEIGHTS)})",
            where=type(block).__name__,
            mend="cut without healing; experts and quantised weights cannot hold a linear map",
        )
    return found[0]


def _masks(
    inputs: dict[str, Any], rows: Sequence[Row], kinds: Sequence[Positions]
) -> dict[str, torch.Tensor]:
    """Return which tokens of a batch count, bool of shape (rows, length), by what they are for."""
    import torch

    mask = inputs["attention_mask"].bool()
    answers = torch.zeros_like(mask)
    for place, (row, length) in enumerate(zip(rows, lengths(inputs), strict=True)):
        # Up to the last token: there the model must know that the answer ends.
        answers[place, row.span(length)[0] : length] = True
    judging = torch.tensor([row.index % HELD_OUT == 0 for row in rows], device=mask.device)[:, None]
    chosen = {"all": mask, "answers": answers}
    return {kind: chosen[kind] & ~judging for kind in kinds} | {"held out": answers & judging}


@contextmanager
def _taken(
    calibration: Calibration,
    inputs: dict[str, Any],
    runs: Sequence[Removal],
    weights: dict[Removal, tuple[str, Any]],
) -> Iterator[dict[Removal, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]]:
    """Yield for each run what the MLP before it adds, the output there, and its last block's."""
    import torch

    added: dict[Removal, torch.Tensor] = {}
    outputs: dict[int, torch.Tensor] = {}
    places = sorted({place for run in runs for place in (run[0] - 1, run[-1])})

    def keep(run: Removal) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: torch.Tensor) -> None:
            added[run] = output.detach().clone()

        return hook

    def see(index: int, before: torch.Tensor, after: torch.Tensor) -> None:
        outputs[places[index]] = after

    handles = [weights[run][1].register_forward_hook(keep(run)) for run in runs]
    try:
        watch = watched([calibration.blocks[place] for place in places], torch.clone, see)
        with torch.no_grad(), watch:
            calibration.model(**inputs, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    shape = inputs["attention_mask"].shape
    yield {
        run: tuple(  # type: ignore[misc]
            one.reshape(*shape, -1) for one in (added[run], outputs[run[0] - 1], outputs[run[-1]])
        )
        for run in runs
    }


def _check_last(
    calibration: Calibration, inputs: dict[str, Any], place: int, module: nn.Module
) -> None:
    """Check that what the MLP's last weight gives is added to the block's output as it is.

    Raises:
        ModelError: it is not.
    """
    import torch

    block = calibration.blocks[place]
    found: list[tuple[torch.Tensor, torch.Tensor]] = []
    for zeroed in (False, True):
        added: list[torch.Tensor] = []
        outputs: list[torch.Tensor] = []
        handle = module.register_forward_hook(partial(_keep, added, zeroed))
        try:
            with torch.no_grad(), watched([block], torch.clone, partial(_keep_output, outputs)):
                calibration.model(**inputs, use_cache=False)
        finally:
            handle.remove()
        found.append((outputs[0], added[0]))
    (output, given), (rest, _) = found
    difference = (output - rest).reshape(given.shape).float() - given.float()
    rounding = 4 * torch.finfo(output.dtype).eps * float(output.float().abs().max())
    if float(difference.abs().max()) > TOLERANCE * float(given.float().abs().max()) + rounding:
        raise ModelError(
            f"what the MLP of block {place} computes passes through a norm or something else "
            "before it is added, so that no linear map can be folded into its last weight",
            where=type(block).__name__,
            mend="cut without healing",
        )


def _keep(
    kept: list[torch.Tensor], zeroed: bool, module: nn.Module, args: Any, output: torch.Tensor
) -> torch.Tensor | None:
    import torch

    kept.append(output.detach().clone())
    return torch.zeros_like(output) if zeroed else None


def _keep_output(
    kept: list[torch.Tensor], block: int, before: torch.Tensor, after: torch.Tensor
) -> None:
    kept.append(after)


def described(healed: HealedRun) -> str:
    """Return a run in one line of plain English, for the model card."""
    run = f"block{'s' * (len(healed.run) > 1)} {format_removal(healed.run, ', ')}"
    return (
        f"{run}: a linear map in {healed.weight} of block {healed.block}, fitted to "
        f"{healed.num_tokens} tokens ({healed.positions}); {healed.error:.0%} of what the blocks "
        "add is missing on samples held out"
    )
