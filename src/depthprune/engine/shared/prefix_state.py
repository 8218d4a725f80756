"""The prefix state: all that happens to a batch before the first block, once for all removals.

Embeddings, vision tower and projector run here, and what the model gives to its blocks (masks,
angles of positions) is kept for the prompt and for every position of an answer: neither depends on
what the answer says.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from depthprune.base.language import counted
from depthprune.base.log import logger
from depthprune.engine.inputs import Side
from depthprune.engine.shared.block_calls import Dims, NotShareable
from depthprune.engine.shared.block_tracing import TracedBlocks

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PrefixState:
    """What the blocks are given for B rows.

    Attributes:
        hidden: what goes into the first block for the prompts, (B, P, size).
        tensors: what goes into `TracedBlocks.slots`, for P + A positions; a mask may be None.
        lengths: how many tokens each prompt has, padding left out.
        ahead: A, the positions that may follow a prompt.
        side: where padding stands.
        common: how many tokens all rows begin with, alike in all that the blocks are given.
    """

    hidden: torch.Tensor
    tensors: tuple[torch.Tensor | None, ...]
    lengths: tuple[int, ...]
    ahead: int
    side: Side
    common: int = 0

    @property
    def prompt(self) -> int:
        """P, the length of the prompts with their padding."""
        return self.hidden.shape[1]

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.hidden.device

    def num_bytes(self) -> int:
        """How much memory the tensors take."""
        return sum(tensor.nbytes for tensor in self.named().values())

    def named(self) -> dict[str, torch.Tensor]:
        """Return all tensors by names of their own."""
        return {"hidden": self.hidden} | {
            str(slot): tensor for slot, tensor in enumerate(self.tensors) if tensor is not None
        }

    def with_tensors(self, named: Mapping[str, torch.Tensor]) -> PrefixState:
        """Return this prefix state with the data of `named`, or with none where that is missing."""
        hidden = named.get("hidden", self.hidden[:0])
        tensors = tuple(named.get(str(slot)) for slot in range(len(self.tensors)))
        return replace(self, hidden=hidden, tensors=tensors)


def make_prefix_state(
    traced: TracedBlocks,
    run: Callable[[Mapping[str, Any]], Any],
    inputs: Mapping[str, Any],
    ahead: int,
    filler: int,
    side: Side = "left",
) -> PrefixState:
    """Run what comes before the blocks.

    Args:
        traced: the blocks of the model.
        run: the model over the inputs, as when the blocks were traced.
        inputs: of a batch, on the model's device.
        ahead: how many positions may follow a prompt.
        filler: a token that stands for a word at these positions.
        side: where the inputs are padded.

    Raises:
        NotShareable: this batch is treated in another way than a few tokens.
    """
    lengths = inputs["attention_mask"].sum(dim=1).tolist()
    turn = _turn(traced.model)
    if turn is not None and min(lengths) <= turn < max(lengths) + ahead:
        raise NotShareable(f"its angles of positions are others beyond {counted(turn, 'token')}")
    longer = _extend(inputs, ahead, filler)
    hidden, tensors = traced.observe(lambda: run(longer))
    prompt = inputs["input_ids"].shape[1]
    if hidden.shape[:2] != longer["input_ids"].shape:
        raise NotShareable("its blocks see more or fewer positions than there are tokens")
    return PrefixState(hidden[:, :prompt].clone(), tuple(tensors), tuple(lengths), ahead, side)


def rows_of(prefix: PrefixState, slots: Sequence[Dims], start: int, stop: int) -> PrefixState:
    """Return the state of rows `start` to `stop` (excluded), without padding that all have."""
    lengths = prefix.lengths[start:stop]
    size = max(lengths)
    first = prefix.prompt - size if prefix.side == "left" else 0
    tensors = [
        None if tensor is None else _part(tensor, dims, start, stop, first, size + prefix.ahead)
        for tensor, dims in zip(prefix.tensors, slots, strict=True)
    ]
    if min(lengths) == size:
        tensors = [
            None if dims.causal_if_none and _is_causal(tensor) else tensor
            for tensor, dims in zip(tensors, slots, strict=True)
        ]
    hidden = prefix.hidden[start:stop, first : first + size]
    return replace(prefix, hidden=hidden, tensors=tuple(tensors), lengths=lengths)


def _turn(model: Any) -> int | None:
    """Return the length beyond which all angles of positions are others; None where none are."""
    config = model.config.get_text_config(decoder=True)
    rope = getattr(config, "rope_parameters", None) or {}
    # One for all blocks, or one for each type of them.
    for each in (rope, *rope.values()):
        if isinstance(each, dict) and each.get("rope_type") == "longrope":
            own = each.get("original_max_position_embeddings")
            turn = own or getattr(config, "original_max_position_embeddings", None)
            return int(turn or config.max_position_embeddings)
    return None


def _extend(inputs: Mapping[str, Any], ahead: int, filler: int) -> dict[str, Any]:
    """Let `ahead` tokens follow every row."""
    from torch.nn.functional import pad

    shape = inputs["input_ids"].shape
    fills = {"input_ids": filler, "attention_mask": 1}
    return {
        name: pad(value, (0, ahead), value=fills.get(name, 0))
        if ahead and getattr(value, "shape", None) == shape
        else value
        for name, value in inputs.items()
    }


def _part(
    tensor: torch.Tensor, dims: Dims, start: int, stop: int, first: int, size: int
) -> torch.Tensor:
    if dims.rows is not None and not dims.alike:
        tensor = tensor.narrow(dims.rows, start, stop - start)
    for dim in dims.lengths:
        tensor = tensor.narrow(dim, first, size)
    return tensor


def _is_causal(mask: torch.Tensor | None) -> bool:
    """Return whether a mask says nothing more than that no token sees later ones."""
    import torch

    if mask is None:
        return True
    return mask.dtype is torch.bool and bool((mask == causal_mask(mask.shape[-1], mask)).all())


def causal_mask(length: int, like: torch.Tensor) -> torch.Tensor:
    """Return the mask under which a token sees itself and earlier ones, (1, 1, length, length)."""
    import torch

    ones = torch.ones(length, length, dtype=torch.bool, device=like.device)
    return ones.tril()[None, None]


Key = tuple[int, int, int, int]
"""Number of the split's memory, of the group, first and last row."""


class PrefixStore:
    """Keeps prefix states; those used longest ago go to disk first.

    Args:
        room: how many bytes may be kept in memory.
        disk_room: how many bytes may be kept in files, in a temporary folder of this store that is
            removed with it.
    """

    def __init__(self, room: int, disk_room: int) -> None:
        self._room = room
        self._disk_room = disk_room
        self._kept: dict[Key, PrefixState] = {}
        self._spilled: dict[Key, tuple[Path, PrefixState, int]] = {}
        self._folder: Path | None = None
        self._number = 0

    def get(self, key: Key) -> PrefixState | None:
        """Return a prefix state that was put here, or None when it is here no more."""
        prefix = self._kept.pop(key, None)
        if prefix is None:
            prefix = self._load(key)
        if prefix is not None:
            self.put(key, prefix)
        return prefix

    def put(self, key: Key, prefix: PrefixState) -> None:
        """Keep a prefix state."""
        self._kept[key] = prefix
        size = self.num_bytes()
        while size > self._room and self._kept:
            oldest = next(iter(self._kept))
            evicted = self._kept.pop(oldest)
            size -= evicted.num_bytes()
            self._spill(oldest, evicted)

    def forget(self, memory: int) -> None:
        """Drop all prefix states of a split's memory."""
        for key in [key for key in self._kept if key[0] == memory]:
            del self._kept[key]
        for key in [key for key in self._spilled if key[0] == memory]:
            self._spilled.pop(key)[0].unlink(missing_ok=True)

    def num_bytes(self) -> int:
        """How much memory the prefix states take."""
        return sum(prefix.num_bytes() for prefix in self._kept.values())

    def _spill(self, key: Key, prefix: PrefixState) -> None:
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        size = prefix.num_bytes()
        path = None
        if size + sum(size for *_, size in self._spilled.values()) > self._disk_room:
            return
        try:
            if self._folder is None:
                self._folder = Path(mkdtemp(prefix="depthprune-"))
                weakref.finalize(self, rmtree, self._folder, ignore_errors=True)
            path = self._folder / f"{self._number}.safetensors"
            self._number += 1
            # Copies: several tensors may be views of one, which the format does not know.
            named = {
                name: tensor.cpu().clone(memory_format=torch.contiguous_format)
                for name, tensor in prefix.named().items()
            }
            save_file(named, path)
        except (OSError, SafetensorError) as error:
            logger.warning(
                "inputs cannot be kept on disk and are computed anew: %s",
                getattr(error, "strerror", None) or error,
            )
            self._disk_room = 0
            with suppress(OSError):
                if path is not None:
                    path.unlink()
            return
        # What is left of the state in memory has no data: it says how to put the file together.
        self._spilled[key] = path, prefix.with_tensors({}), size

    def _load(self, key: Key) -> PrefixState | None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        if key not in self._spilled:
            return None
        path, rest, _ = self._spilled.pop(key)
        try:
            tensors = load_file(path, device=str(rest.device))
            path.unlink()
        except (OSError, SafetensorError):
            return None
        return rest.with_tensors(tensors)
