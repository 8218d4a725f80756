"""How a model calls its blocks: found out once, on a few tokens, so that they can be run apart.

No architecture is known by name. The model is run with blocks that only note what they are given;
from batches of two sizes, with padding and without, follows what every dimension of every tensor
counts. What does not fit the picture raises `NotShareable`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from depthprune.engine.shared.block_calls import (
    CACHE,
    BlockCall,
    Dims,
    NotShareable,
    Output,
    Place,
    Slot,
    fill,
    find_dims,
    observe_calls,
    observe_outputs,
    run_with_hidden,
    template_of,
    tensors_in,
)

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass
class Statistics:
    """What a `SharedEvaluator` has done since it was made.

    Attributes:
        block_calls: calls of blocks; those for keys and values alone are left out.
        block_tokens: rows times length over these calls, padding included.
        nodes: hidden states of batches that blocks led to, in first passes.
        nodes_known: those that had not to be computed again, because they were kept.
        real_tokens: tokens of prompts and drafts that went into the first block of a schedule.
        padding_tokens: padding that went with them.
        common_tokens: those of the real tokens that were read with another row, which begins alike.
        drafts_offered: answers (of one sample without some blocks) that began with a draft.
        drafts_accepted: those of them that the draft predicted completely.
        answers: all answers that were generated.
        decoded: answers that needed more than the first pass.
        rounds: passes over unfinished answers.
        peak_states: hidden states of a batch held at a time, at most.
        prefix_states: batches whose inputs went through vision tower and embeddings.
        fallbacks: removals that were evaluated by the reference, a split each.
    """

    block_calls: int = 0
    block_tokens: int = 0
    nodes: int = 0
    nodes_known: int = 0
    real_tokens: int = 0
    padding_tokens: int = 0
    common_tokens: int = 0
    drafts_offered: int = 0
    drafts_accepted: int = 0
    answers: int = 0
    decoded: int = 0
    rounds: int = 0
    peak_states: int = 0
    prefix_states: int = 0
    fallbacks: int = 0

    def add(self, **counts: int) -> None:
        """Add to some of the counts."""
        for name, count in counts.items():
            setattr(self, name, getattr(self, name) + count)


Run = Callable[[Mapping[str, Any]], Any]
"""Runs the model once over the given inputs, in the way in which it will be run later."""

SIZES = ((2, 5), (3, 7))
"""Rows and length of the batches that are tried: numbers that are hardly a model's own."""


@dataclass(frozen=True)
class TracedBlocks:
    """The blocks of a model and what they are given.

    Attributes:
        model: that the blocks belong to.
        blocks: of the stack, in order.
        outputs: what each block returns.
        slots: what the dimensions of each tensor count that blocks are given.
        places: where each of these tensors stands.
        templates: the arguments of each block, with slots in place of tensors.
        work: counts the calls.
    """

    model: Any
    blocks: tuple[nn.Module, ...]
    outputs: tuple[Output, ...]
    slots: tuple[Dims, ...]
    places: tuple[tuple[Place, ...], ...]
    templates: tuple[dict[str, Any], ...]
    work: Statistics

    def call(
        self, block: int, hidden: torch.Tensor, tensors: Sequence[Any], cache: Any
    ) -> torch.Tensor:
        """Run one block; `tensors` go into its slots, `cache` in place of the cache."""
        output = self.blocks[block](hidden, **fill(self.templates[block], tensors, cache))
        # Not counted: calls that end with their keys and values.
        self.work.add(block_calls=1, block_tokens=hidden.shape[0] * hidden.shape[1])
        result: torch.Tensor = self.outputs[block].unwrap(output)
        return result

    def observe(self, run: Callable[[], Any]) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
        """Run the model without its blocks; return what the first is given, and all slots.

        Raises:
            NotShareable: blocks are called in another way than on the tokens tried at first.
        """
        calls = observe_calls(self.blocks, self.outputs, run)
        found = _tensors(calls)
        tensors = []
        for places, dims in zip(self.places, self.slots, strict=True):
            tensor = found.get(places[0])
            if any(found.get(place) is not tensor for place in places):
                raise NotShareable("blocks are given other tensors than on a few tokens")
            if tensor is None and not dims.causal_if_none:
                raise NotShareable("blocks are given fewer tensors than on a few tokens")
            tensors.append(tensor)
        known = {place for places in self.places for place in places}
        if any(value is not None and place not in known for place, value in found.items()):
            raise NotShareable("blocks are given more tensors than on a few tokens")
        return calls[0].hidden, tensors

    def entrance(self, run: Callable[[], Any]) -> torch.Tensor:
        """Run the model without its blocks; return what the first is given."""
        return observe_calls(self.blocks, self.outputs, run)[0].hidden

    def logits(self, hidden: torch.Tensor, token: int) -> torch.Tensor:
        """Return what norm and head make of the last block's output, (rows, length, vocabulary).

        Args:
            hidden: (rows, length, size).
            token: any that stands for a word: the model is run over nothing else.
        """
        import torch

        ids = torch.full(hidden.shape[:2], token, device=hidden.device)

        def run() -> Any:
            return self.model(input_ids=ids, use_cache=False).logits

        found: torch.Tensor = run_with_hidden(self.blocks, self.outputs, hidden, run)
        return found


def trace_blocks(
    model: Any,
    blocks: Sequence[nn.Module],
    run: Run,
    work: Statistics,
    cache_name: str | None = None,
) -> TracedBlocks:
    """Find out how `run` makes the model call its blocks.

    Args:
        model: unpruned.
        blocks: the stack's.
        run: see `Run`.
        work: counts the calls of the blocks.
        cache_name: the parameter that takes the cache, where `run` gives none.

    Raises:
        NotShareable: the blocks cannot be run apart from the model.
    """
    small, large = (_some_inputs(model, *size, padded=True) for size in SIZES)
    whole = _some_inputs(model, *SIZES[0], padded=False)
    outputs = observe_outputs(blocks, lambda: run(small))
    recordings = [
        _with_cache(observe_calls(blocks, outputs, lambda inputs=inputs: run(inputs)), cache_name)  # type: ignore[misc]
        for inputs in (small, large, whole)
    ]
    few, many, unpadded = map(_tensors, recordings)
    if few.keys() != many.keys():
        raise NotShareable("the arguments of its blocks depend on the batch")
    groups: dict[tuple[int, int, int], list[Place]] = {}
    for place, tensor in few.items():
        if (tensor is None) is not (many[place] is None):
            raise NotShareable("the arguments of its blocks depend on the batch")
        if tensor is not None:
            key = id(tensor), id(many[place]), id(unpadded.get(place))
            groups.setdefault(key, []).append(place)
    slots = []
    for places in groups.values():
        before, after = few[places[0]], many[places[0]]
        assert before is not None and after is not None
        dims = find_dims(tuple(before.shape), tuple(after.shape), SIZES)
        missing = unpadded.get(places[0]) is None
        if missing and not dims.is_mask:
            raise NotShareable("the arguments of its blocks depend on the padding")
        slots.append(replace(dims, causal_if_none=missing))
    if not any(dims.is_mask for dims in slots):
        raise NotShareable("its blocks are given no attention mask")
    placed = {
        place: Slot(index) for index, places in enumerate(groups.values()) for place in places
    }
    templates = [
        tuple(template_of(block, call.arguments, placed) for block, call in enumerate(calls))
        for calls in recordings[:2]
    ]
    if templates[0] != templates[1]:
        raise NotShareable("the arguments of its blocks depend on the batch")
    if not all(CACHE in template.values() for template in templates[0]):
        raise NotShareable("its blocks take no cache")
    return TracedBlocks(
        model,
        tuple(blocks),
        tuple(outputs),
        tuple(slots),
        tuple(map(tuple, groups.values())),
        templates[0],
        work,
    )


def cache_name_of(traced: TracedBlocks) -> str:
    """Return the parameter that takes the cache."""
    return next(name for name, value in traced.templates[0].items() if value is CACHE)


def _with_cache(calls: Sequence[BlockCall], name: str | None) -> list[BlockCall]:
    if name is None:
        return list(calls)
    return [
        BlockCall(call.hidden, {**call.arguments, name: CACHE, **_caching(call.arguments)})
        for call in calls
    ]


def _caching(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"use_cache": True} if "use_cache" in arguments else {}


def _tensors(calls: Sequence[BlockCall]) -> dict[Place, torch.Tensor | None]:
    return {
        place: tensor
        for block, call in enumerate(calls)
        for place, tensor in tensors_in(block, call.arguments).items()
    }


def _some_inputs(model: Any, rows: int, length: int, *, padded: bool) -> dict[str, Any]:
    import torch

    # Small numbers that are words, or letters, in all vocabularies.
    ids = (torch.arange(rows * length).reshape(rows, length) * 7) % 11 + 3
    mask = torch.ones_like(ids)
    if padded:
        mask[0, :2] = 0
    device = model.get_input_embeddings().weight.device
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}


class Embedding:
    """Turns tokens at given positions into what the model gives its first block.

    Most models look tokens up in a table and do nothing else; where that is not so (learned
    positions, scales), the model itself is run, without its blocks.

    Args:
        traced: the blocks of the model.
        hidden: what the first block was given for `ids`, (rows, length, size).
        ids: tokens, (rows, length).
        mask: which of them are no padding, (rows, length).

    Raises:
        NotShareable: what the first block is given depends on something else.
    """

    def __init__(
        self, traced: TracedBlocks, hidden: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor
    ) -> None:
        import torch

        self._wiring = traced
        self._table = traced.model.get_input_embeddings()
        self._takes_positions = "position_ids" in inspect.signature(traced.model.forward).parameters
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        words = mask.bool()
        self._is_table = torch.equal(self._table(ids)[words], hidden[words])
        if not torch.equal(self(ids, positions)[words], hidden[words]):
            raise NotShareable("what its first block is given depends on more than the token")

    def __call__(self, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Return what the first block is given, (rows, length, size)."""
        if self._is_table:
            found: torch.Tensor = self._table(tokens)
            return found
        options: dict[str, Any] = {"position_ids": positions} if self._takes_positions else {}
        return self._wiring.entrance(
            lambda: self._wiring.model(input_ids=tokens, use_cache=False, **options)
        )
