"""Which units go within a budget of parameters: equally many in every block, or the lowest of all.

Units with equal scores go from the first block to the last, groups before channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from depthprune.base.errors import DepthpruneError, ModelError, option
from depthprune.base.language import counted
from depthprune.widths import PruneOptions
from depthprune.widths.layout import UNITS, Unit, UnitMap

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

Scores = Sequence[Mapping[Unit, "NDArray[np.float64]"]]
"""By block and kind of unit, the score of each unit; a higher score is a more important unit."""


@dataclass(frozen=True)
class Kept:
    """The units of one block that stay, ascending."""

    groups: tuple[int, ...]
    channels: tuple[int, ...]


def choose(layout: UnitMap, scores: Scores, total: int, how: PruneOptions) -> tuple[Kept, ...]:
    """Return the units of every block that stay.

    Args:
        layout: of the model.
        scores: of its units.
        total: parameters of the whole model; `how.ratio` of it may go.
        how: the options.

    Raises:
        DepthpruneError: the budget is too small for one unit or too large for what can go, an
            option does not fit the model, or a block would lose all of its units of one kind.
        ModelError: a score is not a finite number.
    """
    for block, of_block in enumerate(scores):
        if not all(np.isfinite(of_block[unit]).all() for unit in UNITS):
            raise ModelError(
                f"scores of block {block} are not finite numbers",
                mend="check the weights (`depthprune structure analyze`), or compute with "
                f"{option('dtype', 'float32')}",
            )
    if how.keep_kv_heads is not None and not how.keep_kv_heads <= layout.groups:
        raise DepthpruneError(
            f"{how.keep_kv_heads} key-value heads cannot stay: "
            + (f"a block has {layout.groups}" if layout.groups else _all_heads(layout)),
            option="keep_kv_heads",
        )
    budget = int(how.ratio * total)
    if how.method == "llm-pruner":
        chosen = _of_inner_blocks(layout, scores, how)
    else:
        chosen = (_uniform if how.widths == "uniform" else _global)(layout, scores, budget, how)
    _check_emptied(chosen, layout)
    return chosen


def _all_heads(layout: UnitMap) -> str:
    return f"all heads of {layout.model_type} stay, because they must fill the hidden size"


def removed_parameters(layout: UnitMap, kept: Sequence[Kept]) -> int:
    """Return how many parameters go."""
    sizes = layout.parameters
    return sum(
        (layout.groups - len(one.groups)) * sizes["groups"]
        + (layout.channels - len(one.channels)) * sizes["channels"]
        for one in kept
    )


def _uniform(layout: UnitMap, scores: Scores, budget: int, how: PruneOptions) -> tuple[Kept, ...]:
    """Remove the most whole channels of every block that the budget leaves beside its groups."""
    sizes, blocks = layout.parameters, len(layout.blocks)
    groups = layout.groups if how.keep_kv_heads is None else how.keep_kv_heads
    left = budget - (layout.groups - groups) * sizes["groups"] * blocks
    if left < 0:
        raise DepthpruneError(
            f"{option('keep_kv_heads', how.keep_kv_heads)} alone removes {budget - left:,} "
            f"parameters, and {option('ratio', how.ratio)} is {budget:,}",
            option="keep_kv_heads",
            mend="keep more of them, or remove a larger share",
        )
    channels = layout.channels - left // (sizes["channels"] * blocks)
    if channels < 1:
        most = layout.channels * sizes["channels"] * blocks
        raise DepthpruneError(
            f"{left:,} parameters are to go from MLP channels, which have {most:,}",
            option="ratio",
            mend=f"remove a smaller share{_or_fewer_heads(layout)}",
        )
    channels = _rounded(channels, how)
    if (groups, channels) == (layout.groups, layout.channels):
        raise _too_little(budget, sizes["channels"] * blocks)
    return tuple(
        Kept(_highest(one["groups"], groups), _highest(one["channels"], channels)) for one in scores
    )


def _or_fewer_heads(layout: UnitMap) -> str:
    return f", or keep fewer key-value heads ({option('keep_kv_heads')})" if layout.groups else ""


def _too_little(budget: int, least: int) -> DepthpruneError:
    return DepthpruneError(
        f"the ratio is {counted(budget, 'parameter')}, and {least:,} is the least that can go",
        option="ratio",
        mend="remove a larger share",
    )


def _rounded(channels: int, how: PruneOptions) -> int:
    """Return how many channels stay of those that the budget leaves."""
    rounded = channels // how.multiple_of * how.multiple_of
    if not rounded:
        raise DepthpruneError(
            f"{counted(channels, 'channel')} of a block would stay, fewer than "
            f"{option('multiple_of', how.multiple_of)}",
            option="multiple_of",
        )
    return rounded


def _highest(scores: NDArray[np.float64], count: int) -> tuple[int, ...]:
    """Return the units with the highest scores; of equal ones, those that come last."""
    order = np.argsort(scores, kind="stable")
    return tuple(sorted(int(unit) for unit in order[len(scores) - count :]))


def _global(layout: UnitMap, scores: Scores, budget: int, how: PruneOptions) -> tuple[Kept, ...]:
    """Remove units in the order of their scores, leaving out those that the budget cannot pay."""
    protected = how.protected(len(scores))
    counts = {unit: layout.count(unit) for unit in UNITS}
    least = {unit: ceil(how.keep_at_least * counts[unit]) for unit in UNITS}
    least["groups"] = max(least["groups"], how.keep_kv_heads or 0)
    candidates = [
        (block, unit, scores[block][unit])
        for block in range(len(scores))
        if block not in protected
        for unit in UNITS
    ]
    places = [(block, unit, index) for block, unit, values in candidates
              for index in range(len(values))]  # fmt: skip
    values = np.concatenate([values for _, _, values in candidates]) if candidates else np.empty(0)
    stays = [{unit: np.ones(counts[unit], dtype=bool) for unit in UNITS} for _ in scores]
    left = [dict(counts) for _ in scores]
    remaining, smallest = budget, layout.parameters["channels"]
    for place in np.argsort(values, kind="stable"):
        block, unit, index = places[place]
        size = layout.parameters[unit]
        if size <= remaining and left[block][unit] > least[unit]:
            stays[block][unit][index] = False
            left[block][unit] -= 1
            remaining -= size
            if remaining < smallest:
                break
    else:
        if remaining == budget and budget < smallest:
            raise _too_little(budget, smallest)
        raise DepthpruneError(
            f"only {budget - remaining:,} of {budget:,} parameters can go",
            option="ratio",
            mend="remove a smaller share, or protect less",
        )
    for block in set(range(len(scores))) - protected:
        if (over := left[block]["channels"] % how.multiple_of) and left[block]["channels"]:
            _rounded(left[block]["channels"], how)
            kept = np.flatnonzero(stays[block]["channels"])
            order = np.argsort(scores[block]["channels"][kept], kind="stable")
            stays[block]["channels"][kept[order[:over]]] = False
    return tuple(
        Kept(*(tuple(np.flatnonzero(one[unit]).tolist()) for unit in UNITS)) for one in stays
    )


def _of_inner_blocks(layout: UnitMap, scores: Scores, how: PruneOptions) -> tuple[Kept, ...]:
    """Remove what LLM-Pruner's published models lack, whatever the ratio: of 8 groups 2."""
    inner = set(range(4, len(scores) - 2)) - how.protected(len(scores))
    if not inner:
        raise DepthpruneError(
            f"llm-pruner prunes blocks 4 to n-3, and of {counted(len(scores), 'block')} none is "
            "left to prune",
            option="method",
            mend=f"choose {option('method', 'taylor')}",
        )
    whole = Kept(tuple(range(layout.groups)), tuple(range(layout.channels)))
    groups = max(layout.groups - layout.groups // 4, how.keep_kv_heads or 0)
    channels = _rounded(layout.channels * 72 // 100, how)
    return tuple(
        Kept(_highest(one["groups"], groups), _highest(one["channels"], channels))
        if block in inner
        else whole
        for block, one in enumerate(scores)
    )


def weighed(scores: Scores, drops: Mapping[int, float], temperature: float) -> Scores:
    """Return scores times (ln(1 + drop))^T of their block; a drop below 0 counts as 0.

    Raises:
        DepthpruneError: a block has no drop, or there are drops of other blocks.
    """
    if set(drops) != set(range(len(scores))):
        differing = sorted(set(drops) ^ set(range(len(scores))))
        raise DepthpruneError(
            f"the study has not measured the drop of every single block of the model: "
            f"{', '.join(map(str, differing[:8]))}",
            option="study",
            mend="measure it: depthprune profile MODEL",
        )
    return [
        {unit: one[unit] * np.log1p(max(drops[block], 0.0)) ** temperature for unit in UNITS}
        for block, one in enumerate(scores)
    ]


def _check_emptied(chosen: Sequence[Kept], layout: UnitMap) -> None:
    for name, unit in (("attention groups", "groups"), ("MLP channels", "channels")):
        whole = layout.groups if unit == "groups" else layout.channels
        empty = [block for block, one in enumerate(chosen) if whole and not getattr(one, unit)]
        if empty:
            named = ", ".join(map(str, empty[:8])) + (", ..." if empty[8:] else "")
            raise DepthpruneError(
                f"{'block' if len(empty) == 1 else 'blocks'} {named} would lose all {name}, and no "
                "such model can be loaded",
                mend=f"keep a share of each block, e.g. {option('keep_at_least', '0.1')}, or "
                f"protect {'it' if len(empty) == 1 else 'them'} with {option('protect_layers')}",
            )


def mask(model: PreTrainedModel, layout: UnitMap, kept: Sequence[Kept]) -> None:
    """Set the weights of all units that go to zero, in memory: as if they were not there."""
    import torch

    from depthprune.blocks.stack import find_stack

    blocks = model.get_submodule(find_stack(model, "text").path)
    for block, one in zip(blocks.children(), kept, strict=True):
        for name in layout.blocks[0]:
            count, unit, table = layout.slices(name)
            gone = np.delete(table, list(getattr(one, unit)), axis=0).ravel()
            axis, weight = layout.family.tensors[name][0], block.get_parameter(name).data
            shape = (*weight.shape[:axis], count, -1, *weight.shape[axis + 1 :])
            weight.view(shape).index_fill_(axis, torch.from_numpy(gone).to(weight.device), 0.0)
