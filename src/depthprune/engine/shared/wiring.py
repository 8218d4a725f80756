"""How a model calls its blocks: found out once, on a few tokens, so that they can be run apart.

No architecture is known by name. The model is run with blocks that only note what they are given;
from batches of two sizes, with padding and without, follows what every dimension of every tensor
counts. What does not fit the picture raises `Unshareable`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from depthprune.engine.shared.arguments import (
    CACHE,
    Dims,
    Place,
    Slot,
    fill,
    find_dims,
    template_of,
    tensors_in,
)
from depthprune.engine.shared.capture import (
    Call,
    Output,
    observe_calls,
    observe_outputs,
    run_with_hidden,
)
from depthprune.engine.shared.unshareable import Unshareable
from depthprune.engine.shared.work import Work

if TYPE_CHECKING:
    import torch
    from torch import nn

Run = Callable[[Mapping[str, Any]], Any]
"""Runs the model once over the given inputs, in the way in which it will be run later."""

SIZES = ((2, 5), (3, 7))
"""Rows and length of the batches that are tried: numbers that are hardly a model's own."""


@dataclass(frozen=True)
class Wiring:
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
    work: Work

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
            Unshareable: blocks are called in another way than on the tokens tried at first.
        """
        calls = observe_calls(self.blocks, self.outputs, run)
        found = _tensors(calls)
        tensors = []
        for places, dims in zip(self.places, self.slots, strict=True):
            tensor = found.get(places[0])
            if any(found.get(place) is not tensor for place in places):
                raise Unshareable("blocks are given other tensors than on a few tokens")
            if tensor is None and not dims.causal_if_none:
                raise Unshareable("blocks are given fewer tensors than on a few tokens")
            tensors.append(tensor)
        known = {place for places in self.places for place in places}
        if any(value is not None and place not in known for place, value in found.items()):
            raise Unshareable("blocks are given more tensors than on a few tokens")
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


def find_wiring(
    model: Any, blocks: Sequence[nn.Module], run: Run, work: Work, cache_name: str | None = None
) -> Wiring:
    """Find out how `run` makes the model call its blocks.

    Args:
        model: unpruned.
        blocks: the stack's.
        run: see `Run`.
        work: counts the calls of the blocks.
        cache_name: the parameter that takes the cache, where `run` gives none.

    Raises:
        Unshareable: the blocks cannot be run apart from the model.
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
        raise Unshareable("the arguments of its blocks depend on the batch")
    groups: dict[tuple[int, int, int], list[Place]] = {}
    for place, tensor in few.items():
        if (tensor is None) is not (many[place] is None):
            raise Unshareable("the arguments of its blocks depend on the batch")
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
            raise Unshareable("the arguments of its blocks depend on the padding")
        slots.append(replace(dims, causal_if_none=missing))
    if not any(dims.is_mask for dims in slots):
        raise Unshareable("its blocks are given no attention mask")
    placed = {
        place: Slot(index) for index, places in enumerate(groups.values()) for place in places
    }
    templates = [
        tuple(template_of(block, call.arguments, placed) for block, call in enumerate(calls))
        for calls in recordings[:2]
    ]
    if templates[0] != templates[1]:
        raise Unshareable("the arguments of its blocks depend on the batch")
    if not all(CACHE in template.values() for template in templates[0]):
        raise Unshareable("its blocks take no cache")
    return Wiring(
        model,
        tuple(blocks),
        tuple(outputs),
        tuple(slots),
        tuple(map(tuple, groups.values())),
        templates[0],
        work,
    )


def cache_name_of(wiring: Wiring) -> str:
    """Return the parameter that takes the cache."""
    return next(name for name, value in wiring.templates[0].items() if value is CACHE)


def _with_cache(calls: Sequence[Call], name: str | None) -> list[Call]:
    if name is None:
        return list(calls)
    return [
        Call(call.hidden, {**call.arguments, name: CACHE, **_caching(call.arguments)})
        for call in calls
    ]


def _caching(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"use_cache": True} if "use_cache" in arguments else {}


def _tensors(calls: Sequence[Call]) -> dict[Place, torch.Tensor | None]:
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
