"""A model whose blocks can be run apart from it: found out, tried, and ready for use."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from depthprune.base.removal import Removal
from depthprune.blocks.admissible import inadmissible_reason
from depthprune.blocks.comparing import ABSENT, AttributeChange
from depthprune.blocks.removal_plan import plan_removal
from depthprune.blocks.skipping import skip
from depthprune.engine.chat import tokenizer_of
from depthprune.engine.generate import end_tokens, greedily
from depthprune.engine.inputs import Side
from depthprune.engine.shared.beginning import with_common
from depthprune.engine.shared.block_calls import NotShareable
from depthprune.engine.shared.block_tracing import (
    Embedding,
    Run,
    Statistics,
    TracedBlocks,
    cache_name_of,
    trace_blocks,
)
from depthprune.engine.shared.decode import advance, join_rows, take_rows
from depthprune.engine.shared.prefill import prefill
from depthprune.engine.shared.prefix_state import PrefixState, make_prefix_state
from depthprune.engine.shared.trie_schedule import plan_schedule

if TYPE_CHECKING:
    import torch

    from depthprune.blocks.stack import Stack

FOLLOWING = frozenset(
    {"layer_types", "mlp_layer_types", "max_window_layers", "first_k_dense_replace"}
)
"""Fields of configurations that say of each block what it is, and so change with a removal."""

TOLERANCE = {"float32": 1e-4, "float64": 1e-6, "float16": 2e-2, "bfloat16": 1e-1}
"""How far logits may be apart, as a share of the largest: sums of floats in another order."""


Way = Literal["continue", "read"]
"""Prompts that are continued go through `generate`; texts that are read, through the model."""


@dataclass(frozen=True)
class SharedModel:
    """How to run the blocks of a model.

    Attributes:
        traced: its blocks.
        run: the model over inputs, in one of the ways.
        embed: for tokens of answers; None where texts are read.
        tokenizer: the model's.
        ends: tokens that end an answer.
        filler: a token that stands for a word.
        splits: whether its blocks can be run over what all rows begin with apart from the rest.
    """

    traced: TracedBlocks
    run: Run
    embed: Embedding | None
    tokenizer: Any
    ends: tuple[int, ...]
    filler: int
    splits: bool = False

    def prefix(self, inputs: Mapping[str, Any], ahead: int) -> PrefixState:
        """Return the prefix state of a batch; `ahead` positions may follow its prompts.

        Rows are padded on the left where they are continued, on the right where they are read.
        """
        side: Side = "right" if self.embed is None else "left"
        state = make_prefix_state(self.traced, self.run, inputs, ahead, self.filler, side)
        return with_common(state, self.traced.slots) if self.splits else state


def share(model: Any, processor: Any, stack: Stack, work: Statistics, way: Way) -> SharedModel:
    """Find out how to run the blocks of a model apart from it, and try it.

    Raises:
        NotShareable: this architecture cannot be run so.
    """
    if model.config.is_encoder_decoder or stack.part not in ("text", "decoder"):
        raise NotShareable(f"its blocks are those of a {stack.part} stack, not of a decoder alone")
    if len(stack.containers) > 1 or stack.tensors:
        raise NotShareable("more than a list of blocks belongs to its stack")
    if len(set(getattr(model, "hf_device_map", {}).values())) > 1:
        raise NotShareable("it is spread over several devices")
    if stack.origin is None:
        raise NotShareable("it has no configuration")
    blocks = list(model.get_submodule(stack.path).children())
    tokenizer = tokenizer_of(processor)
    ends = end_tokens(model, processor)
    filler = ends[0] if ends else 0

    def generate(inputs: Mapping[str, Any]) -> None:
        with greedily(model, tokenizer, (), 1) as config:
            model.generate(**inputs, generation_config=config)

    # What is tried out is not counted.
    traced = trace_blocks(model, blocks, generate, Statistics())
    if way == "read":
        shared = _share_scoring(model, tokenizer, stack, traced, filler)
        return _ready(shared, model, work)
    ids, mask = _trial_tokens(model)
    hidden = traced.observe(lambda: generate({"input_ids": ids, "attention_mask": mask}))[0]
    embed = Embedding(traced, hidden, ids, mask)
    shared = SharedModel(traced, generate, embed, tokenizer, ends, filler)
    _try(shared, embed, model, stack, ids, mask)
    return _ready(shared, model, work)


def _ready(shared: SharedModel, model: Any, work: Statistics) -> SharedModel:
    splits = _try_splitting(shared, model)
    return replace(shared, splits=splits, traced=replace(shared.traced, work=work))


def _try_splitting(shared: SharedModel, model: Any) -> bool:
    """Return whether rows that begin alike come out the same when that is run apart."""
    ids, mask = _trial_tokens(model)
    first = 0 if shared.embed is None else int((mask[0] == 0).sum())
    mask = mask.flip(1) if shared.embed is None else mask
    ids[0, first : first + SAME] = ids[1, :SAME] = ids[1, 0]
    prefix = shared.prefix({"input_ids": ids, "attention_mask": mask}, 0)
    common = with_common(prefix, shared.traced.slots, 1)
    schedule = plan_schedule(((),), len(shared.traced.blocks))
    words = mask[:, PROMPT:].bool()
    try:
        apart, whole = (
            prefill(shared.traced, schedule, one, one.hidden, PROMPT).hidden[0]
            for one in (common, prefix)
        )
        _compare(apart[words], whole[words])
    # A block may raise anything when it is called in a way that it does not know.
    except Exception:
        return False
    return True


def _share_scoring(
    model: Any, tokenizer: Any, stack: Stack, generating: TracedBlocks, filler: int
) -> SharedModel:
    """Find out how the model calls its blocks where texts are read, and try it."""

    def read(inputs: Mapping[str, Any]) -> None:
        model(**inputs, use_cache=False)

    traced = trace_blocks(
        model, generating.blocks, read, generating.work, cache_name_of(generating)
    )
    shared = SharedModel(traced, read, None, tokenizer, (), filler)
    ids, mask = _trial_tokens(model)
    mask = mask.flip(1)
    removals = [(), *_trial_removals(model, stack)]
    prefix = shared.prefix({"input_ids": ids, "attention_mask": mask}, 0)
    words = mask[:, 1:].bool()
    for first in (0, 1):
        found = prefill(
            traced, plan_schedule(tuple(removals), stack.num_blocks), prefix, prefix.hidden, first
        )
        for removal, hidden in zip(removals, found.hidden, strict=True):
            with skip(model, removal, stack):
                expected = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
            ours = traced.logits(hidden, filler)[:, 1 - first :]
            _compare(ours[words], expected[:, 1:][words])
    return shared


def follows(model: Any, stack: Stack, removal: Removal) -> bool:
    """Return whether a removal leaves the other blocks exactly what they are.

    Their indices change, and the lists that say what each one is; anything else (a scale by depth,
    say) makes them other blocks, which cannot be shared.
    """
    count = re.sub(r"\[\d+\]$", "", stack.config_path.rpartition(".")[2])
    return all(
        change.name in {*FOLLOWING, count}
        if change.configs
        else change.name == "layer_idx" or _only_loses(model, stack, change)
        for change in plan_removal(stack, removal).changes
    )


def _only_loses(model: Any, stack: Stack, change: AttributeChange) -> bool:
    """Return whether a module outside the blocks only forgets kinds of blocks that are gone."""
    if change.module.startswith(f"{stack.path}."):
        return False
    before, after = getattr(model.get_submodule(change.module), change.name, None), change.after
    if isinstance(before, dict) and isinstance(after, dict):
        return after.items() <= before.items()
    if isinstance(before, list) and isinstance(after, list):
        return all(kind in before for kind in after)
    forgets = change.name.startswith("has_") and (before, after) == (True, False)
    return after is ABSENT or forgets


PROMPT, AHEAD, SAME = 6, 3, 4


def _trial_tokens(model: Any) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    ids = (torch.arange(2 * (PROMPT + AHEAD)).reshape(2, -1) * 5) % 13 + 3
    mask = torch.ones_like(ids)
    mask[0, :2] = 0
    device = model.get_input_embeddings().weight.device
    return ids.to(device), mask.to(device)


def _try(
    shared: SharedModel,
    embed: Embedding,
    model: Any,
    stack: Stack,
    ids: torch.Tensor,
    mask: torch.Tensor,
) -> None:
    """Compare with the model itself: whole and without a block, at once and token by token.

    Raises:
        NotShareable: logits are not the same.
    """
    import torch

    traced = shared.traced
    removals = [(), *_trial_removals(model, stack)]
    schedule = plan_schedule(tuple(removals), stack.num_blocks)
    prefix = shared.prefix(
        {"input_ids": ids[:, :PROMPT], "attention_mask": mask[:, :PROMPT]}, AHEAD
    )
    answers = ids[:, PROMPT:]
    positions = mask[:, :PROMPT].sum(1, keepdim=True) + torch.arange(AHEAD, device=ids.device)
    whole = torch.cat([prefix.hidden, embed(answers, positions)], dim=1)
    at_once = prefill(traced, schedule, prefix, whole, PROMPT - 1)
    prompts = prefill(traced, schedule, prefix, prefix.hidden, PROMPT - 1)
    owners = [(removal, row) for removal in range(len(removals)) for row in range(len(ids))]
    rows = join_rows([take_rows(traced, schedule, prompts, owners)], traced.slots, AHEAD)
    read = answers.tolist() * len(removals)
    advance(traced, rows, embed, [row[:1] for row in read], [0] * len(read))
    stepwise = advance(traced, rows, embed, [row[1:] for row in read], [1] * len(read))
    for place, removal in enumerate(removals):
        with skip(model, removal, stack):
            after_prompt = _logits(model, shared.tokenizer, ids[:, :PROMPT], mask[:, :PROMPT])
            at_end = _logits(model, shared.tokenizer, ids, mask)
        own = slice(place * len(ids), (place + 1) * len(ids))
        for found, expected in (
            (at_once.hidden[place][:, :1], after_prompt),
            (at_once.hidden[place][:, -1:], at_end),
            (prompts.hidden[place][:, -1:], after_prompt),
            (stepwise[own, -1:], at_end),
        ):
            _compare(traced.logits(found, shared.filler)[:, -1], expected)
    _try_writing(shared, model, ids[:, :PROMPT], mask[:, :PROMPT])


def _try_writing(shared: SharedModel, model: Any, ids: torch.Tensor, mask: torch.Tensor) -> None:
    """Check that a token's logits are the same when it is written as when it is read.

    Some architectures lose padding when they write on.

    Raises:
        NotShareable: they are not.
    """
    import torch

    with greedily(model, shared.tokenizer, (), AHEAD + 1) as config:
        config.return_dict_in_generate, config.output_logits = True, True
        written = model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
    tokens = written.sequences[:, -AHEAD - 1 : -1]
    whole = torch.cat([ids, tokens], dim=1), torch.cat([mask, torch.ones_like(tokens)], dim=1)
    try:
        _compare(written.logits[-1], _logits(model, shared.tokenizer, *whole))
    except NotShareable:
        raise NotShareable("what it writes depends on how its prompt is padded or split") from None


def _trial_removals(model: Any, stack: Stack) -> Sequence[Removal]:
    """Return the first block that can be removed alone, so that all others move."""
    for block in range(stack.num_blocks if stack.num_blocks > 1 else 0):
        if inadmissible_reason(stack, (block,)) is None and follows(model, stack, (block,)):
            return [(block,)]
    return []


def _compare(found: torch.Tensor, expected: torch.Tensor) -> None:
    tolerance = TOLERANCE.get(str(found.dtype).removeprefix("torch."), 1e-1)
    apart = (found.float() - expected.float()).abs().max()
    if not apart <= tolerance * max(1.0, float(expected.float().abs().max())):
        raise NotShareable(f"its logits are {float(apart):.2g} apart from the model's own")


def _logits(model: Any, tokenizer: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the model's own logits at the end of some rows."""
    with greedily(model, tokenizer, (), 1) as config:
        config.return_dict_in_generate, config.output_logits = True, True
        found: torch.Tensor = model.generate(
            input_ids=ids, attention_mask=mask, generation_config=config
        ).logits[0]
    return found
