"""Stacks of blocks: every one that a model has, and the one that a user means.

No code per architecture: every count in the configuration that equals the length of some list of
modules is lowered by one; both models are built as skeletons, and what shrinks is what the count
controls. So stacks of equal length (encoder and decoder), lists that shrink together and tensors
with one slice per block are told apart without knowing a single name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import RemovalError, StackError
from depthprune.base.language import counted
from depthprune.base.removal import Removal
from depthprune.blocks.layer_fields import keep_blocks
from depthprune.blocks.layer_rules import Section
from depthprune.blocks.skeleton import build_skeleton, list_lengths, rebuild_config

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel

    from depthprune.blocks.removal_plan import RemovalPlan


@dataclass(frozen=True)
class LayerTensor:
    """A tensor outside the blocks with one slice per block along axis `axis`."""

    name: str
    axis: int


@dataclass(frozen=True)
class Origin:
    """What skeletons of a model are built from."""

    model_class: type[PreTrainedModel]
    config: PreTrainedConfig
    data: Section


@dataclass(frozen=True)
class Stack:
    """A stack of transformer blocks that a removal refers to.

    Attributes:
        path: the list of blocks inside the model, e.g. `model.language_model.layers`.
        num_blocks: its length.
        config_path: the count in the configuration, e.g. `text_config.num_hidden_layers`; empty
            when the model has no configuration that says it.
        containers: all lists that shrink together, `path` first.
        tensors: tensors outside the lists that have one slice per block.
        part: what the stack is for: text, vision, audio, encoder, decoder or auxiliary.
        settings: values that a user gives for fields of the shorter model's configuration.
    """

    path: str
    num_blocks: int
    config_path: str
    containers: tuple[str, ...]
    tensors: tuple[LayerTensor, ...] = ()
    part: str = "text"
    origin: Origin | None = field(default=None, repr=False, compare=False)
    settings: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    plans: dict[Removal, RemovalPlan] = field(default_factory=dict, repr=False, compare=False)
    reasons: dict[Removal, str | None] = field(default_factory=dict, repr=False, compare=False)
    memory: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def with_settings(self, settings: Mapping[str, Any]) -> Stack:
        """Return the stack with these settings, and without what was worked out with others."""
        return replace(self, settings=dict(settings), plans={}, reasons={}, memory={})


SKIP_MARK = "_depthprune_skipping"
"""Attribute of a list of blocks while some of them are skipped."""


def refuse_while_skipping(model: nn.Module) -> None:
    """Raise RemovalError when blocks of `model` are being skipped: indices would mean others."""
    for path, module in model.named_modules():
        if SKIP_MARK in vars(module):
            raise RemovalError(
                "blocks of this model are being skipped already",
                where=path,
                mend="leave the first `skip` before entering another, and name all blocks in one",
            )


def find_stacks(model_class: type[PreTrainedModel], config: PreTrainedConfig) -> tuple[Stack, ...]:
    """Return every block stack of a model of this class and configuration; no weights are needed.

    Raises:
        StackError: the model cannot be built from its configuration.
    """
    data = config.to_dict()
    origin = Origin(model_class, config, data)
    try:
        whole = build_skeleton(model_class, rebuild_config(config, data))
    except Exception as error:
        raise StackError(
            f"{model_class.__name__} cannot be built from its configuration: {error}",
            mend="check that config.json belongs to this model and to this transformers version",
        ) from error
    lengths = list_lengths(whole)
    shapes = _shapes(whole)
    stacks: dict[tuple[str, ...], Stack] = {}
    for config_path, count in _count_candidates(data, set(lengths.values())):
        shorter = _shorter_by_one(origin, config_path, count)
        if shorter is None:
            continue
        containers = _shrunk(lengths, list_lengths(shorter), count, staged="[" in config_path)
        if containers and containers not in stacks:
            stacks[containers] = Stack(
                path=containers[0],
                num_blocks=count,
                config_path=config_path,
                containers=containers,
                tensors=tuple(_layer_tensors(shapes, _shapes(shorter), containers, count)),
                part=_part(containers[0], config_path, data),
                origin=origin,
            )
    return tuple(stack for stack in stacks.values() if not _is_list_of_stages(stack, stacks))


def _count_candidates(data: Section, lengths: set[int]) -> Iterator[tuple[str, int]]:
    """Yield (path, count) for every number that could be a count of blocks, then for lists."""
    numbers: list[tuple[str, int]] = []
    lists: list[tuple[str, int]] = []
    for path, value in _leaves(data):
        if type(value) is int and value in lengths:
            (lists if path.endswith("]") else numbers).append((path, value))
        # A list of kinds, one per block; a list of numbers counts the blocks of stages.
        elif isinstance(value, list) and all(isinstance(entry, str) for entry in value):
            lists.append((path, len(value)))
    # The names decide nothing but the order: of two fields for one stack the usual one is named.
    yield from sorted(
        # Lists of a single module are many; of a single block it must be said.
        (entry for entry in numbers if entry[1] > 1 or "layer" in entry[0]),
        key=lambda entry: "layer" not in entry[0],
    )
    yield from ((path, count) for path, count in lists if count in lengths)


def _leaves(section: Section, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in section.items():
        if isinstance(value, dict):
            if all(isinstance(key, str) for key in value):
                yield from _leaves(value, f"{prefix}{name}.")
            continue
        yield f"{prefix}{name}", value
        if isinstance(value, list | tuple):
            for index, entry in enumerate(value):
                yield f"{prefix}{name}[{index}]", entry


def _shorter_by_one(origin: Origin, config_path: str, count: int) -> nn.Module | None:
    """Build the skeleton with one block fewer; None when `config_path` is no count of blocks."""
    # Some models insist on the kind of their last or first block.
    for block in dict.fromkeys((count - 1, 0, count // 2)):
        try:
            kept = tuple(other for other in range(count) if other != block)
            data = keep_blocks(origin.data, config_path, kept)
            shorter: nn.Module = build_skeleton(
                origin.model_class, rebuild_config(origin.config, data)
            )
            return shorter
        except Exception:  # with one attention head fewer, most models cannot be built
            continue
    return None


def _is_list_of_stages(stack: Stack, stacks: Iterable[tuple[str, ...]]) -> bool:
    """Return whether the entries of a stack are stages, which hold counted blocks themselves."""
    return any(
        path.startswith(f"{outer}.")
        for outer in stack.containers
        for containers in stacks
        for path in containers
    )


def _shrunk(
    before: dict[str, int], after: dict[str, int], count: int, *, staged: bool
) -> tuple[str, ...]:
    """Return the lists that shrank from `count` by one, without those inside another list's."""
    shrunk = [
        path
        for path, length in before.items()
        if length == count and after.get(path, 0) == count - 1
    ]
    # A list inside the entries of another (the experts of a mixture) is not a stack of blocks.
    return tuple(path for path in shrunk if staged or not re.search(r"\.\d+(\.|$)", path))


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {
        name: tuple(parameter.shape)
        for name, parameter in model.named_parameters(remove_duplicate=False)
    }


def _layer_tensors(
    before: dict[str, tuple[int, ...]],
    after: dict[str, tuple[int, ...]],
    containers: tuple[str, ...],
    count: int,
) -> Iterator[LayerTensor]:
    """Yield the tensors outside the containers one axis of which has one slice per block."""
    for name, shape in before.items():
        shorter = after.get(name, shape)
        if shorter == shape or len(shorter) != len(shape):
            continue
        if any(name.startswith(f"{container}.") for container in containers):
            continue
        changed = [axis for axis in range(len(shape)) if shape[axis] != shorter[axis]]
        axis = changed[0]
        if len(changed) == 1 and shape[axis] * (count - 1) == shorter[axis] * count:
            yield LayerTensor(name, axis)


_PART_WORDS = (
    ("auxiliary", "qformer perceiver resampler projector connector adapter mtp vq vqmodel draft"),
    ("auxiliary", "codec aligner depth_decoder prenet postnet conv feature_extractor"),
    ("vision", "vision visual image vit pixel siglip clip video beit deit dinov2 swin"),
    ("audio", "audio speech acoustic sound wav2vec2 conformer"),
)


_TEXT_WORDS = "language_model text_config text_model text_decoder"


def _mentions(text: str, words: str) -> bool:
    return any(re.search(rf"(^|[._]){word}([._]|$|\d)", text) for word in words.split())


def _part(path: str, config_path: str, data: Section) -> str:
    """Say what a stack is for from the words in its names."""
    section: Any = data
    kinds = []
    for name in config_path.split(".")[:-1]:
        section = section[name]
        kinds.append(str(section.get("model_type", "")))
    places = f"{path}.{config_path}".lower()
    for text in (places, *(() if _mentions(places, _TEXT_WORDS) else kinds)):
        for part, words in _PART_WORDS:
            if _mentions(text.lower(), words) and not _mentions(places, _TEXT_WORDS):
                return part
    if not data.get("is_encoder_decoder") and not re.search(r"(^|[._])decoder", places):
        return "text" if not _has_decoder(data) else "encoder"
    return "decoder" if re.search(r"(^|[._])decoder", places) else "encoder"


def _has_decoder(data: Section) -> bool:
    return any(
        isinstance(section, dict) and section.get("is_encoder_decoder") for section in data.values()
    )


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
