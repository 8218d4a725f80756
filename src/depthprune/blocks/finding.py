"""Find the block stack that a user means: of the text decoder, the vision tower, the encoder."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from depthprune.base.errors import StackError
from depthprune.base.language import counted
from depthprune.blocks.probing import find_stacks
from depthprune.blocks.skeleton import list_lengths
from depthprune.blocks.stack import Stack, refuse_while_skipping

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig


def find_stack(model: nn.Module, part: str = "text") -> Stack:
    """Return the block stack of a model.

    Args:
        model: a transformers model; any other module is searched for a list of equal modules.
        part: `text` (the language model, the decoder of an encoder-decoder, or the only stack
            there is), `vision`, `audio`, `encoder`, `decoder`, or the count field of the stack
            meant, e.g. `vision_config.num_hidden_layers` or `depths[2]`.

    Raises:
        StackError: there is no such stack, or several could be meant; names the candidates.
        RemovalError: blocks of this model are being skipped at the moment.
    """
    from transformers import PreTrainedModel

    refuse_while_skipping(model)
    if isinstance(model, PreTrainedModel):
        return choose_stack(find_stacks(type(model), model.config), part, type(model).__name__)
    return _stack_of_equal_modules(model)


def choose_stack(stacks: tuple[Stack, ...], part: str, name: str) -> Stack:
    """Return the stack that `part` means, see `find_stack`; `name` is the model's, for errors."""
    for stack in stacks:
        if stack.config_path == part:
            return stack
    whole = [stack for stack in stacks if "[" not in stack.config_path]
    if not whole:
        raise _no_stack(stacks, name)
    blocks = [stack for stack in whole if stack.part != "auxiliary"] or whole
    for wanted in _FALLBACKS.get(part, ()):
        fitting = [stack for stack in blocks if stack.part == wanted]
        if len(fitting) > 1:
            fitting = _language_model(fitting) or fitting
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise StackError(
                f"{name} has {counted(len(fitting), 'stack')} that could be meant by part {part!r}",
                where=_candidates(fitting),
                mend="name one by its count, e.g. part=" + repr(fitting[0].config_path),
            )
    if part == "text" and len(blocks) == 1:
        return blocks[0]
    raise StackError(
        f"{name} has no stack for part {part!r}",
        where=_candidates(whole),
        mend="choose text, vision, audio, encoder, decoder, or the count of one of these stacks",
    )


# Which stacks a part may mean, the best first.
_FALLBACKS = {
    "text": ("text", "decoder"),
    "decoder": ("decoder", "text"),
    "encoder": ("encoder", "vision", "audio"),
    "vision": ("vision",),
    "audio": ("audio",),
}


def _language_model(stacks: list[Stack]) -> list[Stack]:
    """Return the stacks whose count lies in what transformers takes for the text configuration."""
    origin = stacks[0].origin
    if origin is None:
        return []
    text = origin.config.get_text_config(decoder=True)
    return [stack for stack in stacks if _section(origin.config, stack.config_path) is text]


def _section(config: PreTrainedConfig, config_path: str) -> object:
    section: object = config
    for name in config_path.split(".")[:-1]:
        section = getattr(section, name, None)
    return section


def _stack_of_equal_modules(model: nn.Module) -> Stack:
    """Find the longest list of modules of one class, in a model that transformers does not know."""
    from transformers import PreTrainedModel

    for path, module in model.named_modules():
        if isinstance(module, PreTrainedModel):
            raise StackError(
                f"{type(model).__name__} wraps a transformers model",
                where=path,
                mend="find and skip blocks in the wrapped model; the wrapper runs without them too",
            )
    lists = {
        path: length
        for path, length in list_lengths(model).items()
        if length > 1
        and len({type(child) for child in model.get_submodule(path).children()}) == 1
        and not re.search(r"\.\d+(\.|$)", path)
    }
    count = getattr(getattr(model, "config", None), "num_hidden_layers", None)
    lists = {path: length for path, length in lists.items() if length == count} or lists
    stacks = [
        Stack(path=path, num_blocks=length, config_path="", containers=(path,))
        for path, length in lists.items()
    ]
    name = type(model).__name__
    if not stacks:
        raise _no_stack((), name)
    if len(stacks) > 1:
        raise StackError(
            f"{name} has {counted(len(stacks), 'list')} of modules that could be its blocks",
            where=_candidates(stacks),
            mend="use a transformers model, whose configuration says which list is meant",
        )
    return stacks[0]


def _no_stack(stages: tuple[Stack, ...], name: str) -> StackError:
    if stages:
        return StackError(
            f"{name} has no single stack of blocks: its blocks are spread over stages",
            where=_candidates(list(stages)),
            mend="models with stages (most convolutional ones, Swin) are not supported as a "
            "whole; name one stage by its count, e.g. part=" + repr(stages[-1].config_path),
        )
    return StackError(
        f"{name} has no stack of transformer blocks that its configuration can shorten",
        mend="use a model whose layers are a list of modules of their own (ALBERT shares one)",
    )


def _candidates(stacks: list[Stack]) -> str:
    return "; ".join(
        f"{stack.path} ({counted(stack.num_blocks, 'block')}, {stack.part}, "
        f"{stack.config_path or 'no count'})"
        for stack in stacks
    )
