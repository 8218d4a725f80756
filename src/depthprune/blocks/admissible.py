"""Which removals an architecture can express and survive, and why not the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from depthprune.base.errors import InadmissibleRemovalError
from depthprune.base.progress import progress
from depthprune.base.removal import Removal, check_removal, format_removal
from depthprune.blocks.comparing import FIXED_ATTRIBUTES
from depthprune.blocks.removal_plan import plan_removal
from depthprune.blocks.skeleton import rebuild_config
from depthprune.blocks.stack import Origin, Stack, choose_stack, find_stack, find_stacks

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig


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
    reasons = []
    with progress("checking what each block allows", stack.num_blocks) as bar:
        for block in range(stack.num_blocks):
            reasons.append(inadmissible_reason(stack, (block,)))
            bar.advance()
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
        blocks = "block" if len(removal) == 1 else "blocks"
        raise InadmissibleRemovalError(
            f"{blocks} {format_removal(removal)} cannot be removed: {reason}",
            where=stack.path,
            mend="choose other blocks; `depthprune inspect` lists what each block allows",
        )


def inadmissible_reason(stack: Stack, removal: Removal) -> str | None:
    """Return why a removal cannot be done, or None when it can.

    Raises:
        RemovalError: a block does not exist, or no block would be left.
    """
    if removal not in stack.reasons:
        check_removal(removal, stack.num_blocks)
        stack.reasons[removal] = _find_reason(stack, removal) if removal else None
    return stack.reasons[removal]


def _find_reason(stack: Stack, removal: Removal) -> str | None:
    plan = plan_removal(stack, removal)
    if plan.problem:
        return plan.problem
    for change in plan.changes:
        for fixed in FIXED_ATTRIBUTES:
            if change.name == fixed.name and not change.configs and fixed.matters(change.after):
                return f"{change.module}: {fixed.reason}"
    return _cache_without_attention(stack, removal) or _cache_too_short(stack, removal)


def _cache_without_attention(stack: Stack, removal: Removal) -> str | None:
    """Say when no block with attention would be left, from which the cache takes its length."""
    if stack.origin is None or stack.part not in ("text", "decoder"):
        return None
    if "has_length" not in stack.memory:
        stack.memory["has_length"] = _has_length(_config(stack.origin, stack, ()))
    if stack.memory["has_length"] and not _has_length(_config(stack.origin, stack, removal)):
        return "no block with attention would be left, and the cache cannot do without one"
    return None


def _has_length(config: PreTrainedConfig) -> bool:
    from transformers import DynamicCache

    try:
        DynamicCache(config=config).get_seq_length()
    except Exception:
        return False
    return True


def _config(origin: Origin, stack: Stack, removal: Removal) -> PreTrainedConfig:
    """Return the configuration without the blocks `removal`.

    The model's own is no place to look: it may be that of another removal at this moment.
    """
    data = plan_removal(stack, removal).data if removal else origin.data
    return rebuild_config(origin.config, data)


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

    origin = stack.origin
    whole = _config(origin, stack, ())
    length = len(DynamicCache(config=_config(origin, stack, removal)).layers)
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
