"""Find every block stack of a model, without code per architecture.

Every count in the configuration that equals the length of some list of modules is lowered by one;
both models are built as skeletons, and what shrinks is what the count controls. So stacks of equal
length (encoder and decoder), lists that shrink together and tensors with one slice per block are
told apart without knowing a single name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import StackError
from depthprune.blocks.layer_fields import keep_blocks
from depthprune.blocks.layer_rules import Section
from depthprune.blocks.skeleton import build_skeleton, list_lengths, rebuild_config
from depthprune.blocks.stack import LayerTensor, Origin, Stack

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel


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
