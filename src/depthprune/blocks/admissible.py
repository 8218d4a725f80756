"""Which removals an architecture can express and survive, and why not the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import InadmissibleRemovalError
from depthprune.base.removal import Removal, check_removal, format_removal
from depthprune.blocks.finding import choose_stack, find_stack
from depthprune.blocks.layer_fields import CountField, shorten_dict
from depthprune.blocks.plan import plan_removal
from depthprune.blocks.probing import find_stacks
from depthprune.blocks.skeleton import rebuild_config
from depthprune.blocks.stack import Stack

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Admissibility:
    """Which single blocks can be removed.

    Attributes:
        num_blocks: of the stack.
        reasons: per block, None when it can be removed alone, or why not.
    """

    num_blocks: int
    reasons: tuple[str | None, ...]

    @property
    def blocks(self) -> tuple[int, ...]:
        """The blocks that can be removed alone, ascending."""
        return tuple(block for block, reason in enumerate(self.reasons) if reason is None)


def admissibility(model_or_stack: nn.Module | Stack) -> Admissibility:
    """Return for every block whether it can be removed alone, and the reason where it cannot.

    Raises:
        StackError: the model has no stack, see `find_stack`.
    """
    stack = model_or_stack if isinstance(model_or_stack, Stack) else find_stack(model_or_stack)
    if stack.num_blocks == 1:
        return Admissibility(1, ("it is the only block",))
    reasons = (inadmissible_reason(stack, (block,)) for block in range(stack.num_blocks))
    return Admissibility(stack.num_blocks, tuple(reasons))


def check_admissible(stack: Stack, removal: Removal) -> None:
    """Raise when the architecture cannot express or survive a removal.

    A verdict is worked out once per stack and removal (milliseconds), then remembered.

    Raises:
        RemovalError: a block does not exist, or no block would be left.
        InadmissibleRemovalError: with the reason.
    """
    reason = inadmissible_reason(stack, removal)
    if reason is not None:
        raise InadmissibleRemovalError(
            f"blocks {format_removal(removal)} cannot be removed: {reason}",
            where=stack.path,
            mend="choose other blocks; `depthprune inspect` lists what each block allows",
        )


def inadmissible_reason(stack: Stack, removal: Removal) -> str | None:
    """Return why a removal cannot be done, or None when it can.

    Raises:
        RemovalError: a block does not exist, or no block would be left.
    """
    if not check_removal(removal, stack.num_blocks):
        return None
    plan = plan_removal(stack, removal)
    if plan.problem:
        return plan.problem
    for change in plan.changes:
        for fixed in FIXED_ATTRIBUTES:
            if change.name == fixed.name and not change.configs and fixed.matters(change.after):
                return f"{change.module}: {fixed.reason}"
    return _last_of_its_kind(stack, removal) or _cache_too_short(stack, removal)


@dataclass(frozen=True)
class FixedAttribute:
    """An attribute that a block's weights were trained with, and that its new place would change.

    Attributes:
        name: of the attribute.
        reason: why the change is no way out.
        matters: whether a new value does any harm.
    """

    name: str
    reason: str
    matters: Callable[[Any], bool] = lambda after: True


FIXED_ATTRIBUTES = (
    FixedAttribute(
        "shift_size", "every other block shifts its windows; remove neighbours in pairs"
    ),
    FixedAttribute(
        "store_full_length_kv",
        "later blocks read the keys and values of a block that would be gone",
        matters=bool,
    ),
)


def _last_of_its_kind(stack: Stack, removal: Removal) -> str | None:
    """Say when no block with attention would be left: transformers' cache cannot live without."""
    if _has_attention(stack, ()) and not _has_attention(stack, removal):
        return "no block with attention would be left, and the cache cannot do without one"
    return None


def _has_attention(stack: Stack, removal: Removal) -> bool:
    return any(
        kind == "hybrid" or ("attention" in kind and "linear" not in kind)
        for kind in _layer_types(stack, removal)
    )


def _cache_too_short(stack: Stack, removal: Removal) -> str | None:
    """Say when transformers would make the decoder's cache as short as the shortened encoder.

    T5 and its kin: `generate` reads the number of decoder blocks from the encoder's count.
    """
    if (
        stack.part != "encoder"
        or stack.origin is None
        or not stack.origin.config.is_encoder_decoder
    ):
        return None
    from transformers import DynamicCache

    # The model's own configuration may be that of another stack's removal at this moment.
    origin = stack.origin
    whole = rebuild_config(origin.config, origin.data)
    shorter = rebuild_config(origin.config, shorten_dict(origin.data, stack.config_path, removal))
    length = len(DynamicCache(config=shorter).layers)
    if length >= len(DynamicCache(config=whole).layers):
        return None
    if "decoder" not in stack.memory:
        stacks = find_stacks(origin.model_class, whole)
        stack.memory["decoder"] = choose_stack(stacks, "decoder", "the model").num_blocks
    if length >= stack.memory["decoder"]:
        return None
    return (
        "transformers makes the decoder's cache as long as the encoder, so with an encoder "
        "shorter than the decoder generation fails"
    )


def _layer_types(stack: Stack, removal: Removal) -> list[str]:
    if stack.origin is None:
        return []
    data = shorten_dict(stack.origin.data, stack.config_path, removal)
    section = CountField.parse(stack.config_path).chain(data)[-1]
    kinds: list[str] = section.get("layer_types") or section.get("layers_block_type") or []
    return kinds
