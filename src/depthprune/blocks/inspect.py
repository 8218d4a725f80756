"""What a model consists of and which of its blocks can go, read from its configuration alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthprune.blocks.admissible import admissibility
from depthprune.blocks.layer_fields import find_layer_fields
from depthprune.blocks.models import load_config
from depthprune.blocks.skeleton import KINDS, build_model, find_loader, quiet
from depthprune.blocks.stack import Stack, choose_stack, find_stacks

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class StackSummary:
    """One stack of blocks: where it is, what for, its length and its count in the configuration."""

    path: str
    part: str
    num_blocks: int
    config_path: str


@dataclass(frozen=True)
class LayerFieldSummary:
    """A configuration field with entries per block.

    Attributes:
        name: its path in the configuration.
        value: what it holds.
        counts: for a list of kinds, how many blocks are of each kind.
    """

    name: str
    value: Any
    counts: dict[str, int]


@dataclass(frozen=True)
class Inspection:
    """What `depthprune inspect` shows; all of it can be written as JSON.

    Attributes:
        name: the hub name, or the name of the folder.
        model_type: of the configuration, e.g. `llava`.
        architecture: the model class.
        kind: what goes in and what comes out; as the hub calls it where it cannot be measured.
        stack: the stack that was asked for.
        other_stacks: all others that were found.
        parameters: of the whole model; tied tensors count once.
        parameters_per_block: of every block of `stack`.
        embedding_parameters: token embeddings and output head.
        vision_parameters: everything around the vision stack, 0 without one.
        layer_fields: what the configuration says block by block.
        admissible_blocks: the blocks that can be removed alone.
        reasons: per block, None or why it cannot be removed alone.
        can_skip: whether any block can be skipped.
        can_cut: whether the configuration can express the model without a block.
    """

    name: str
    model_type: str
    architecture: str
    kind: str
    stack: StackSummary
    other_stacks: tuple[StackSummary, ...]
    parameters: int
    parameters_per_block: tuple[int, ...]
    embedding_parameters: int
    vision_parameters: int
    layer_fields: tuple[LayerFieldSummary, ...]
    admissible_blocks: tuple[int, ...]
    reasons: tuple[str | None, ...]
    can_skip: bool
    can_cut: bool

    @property
    def num_blocks(self) -> int:
        """The number of blocks of the stack."""
        return self.stack.num_blocks


def inspect_model(
    source: str | Path,
    part: str = "text",
    *,
    trust_remote_code: bool = False,
    revision: str | None = None,
    download: bool = False,
) -> Inspection:
    """Return the anatomy of a model; no weights are read or allocated, whatever its size.

    Args:
        source: a checkpoint folder (its `config.json` is enough), or the name of a model on the
            hub.
        part: the stack to look at, see `find_stack`.
        trust_remote_code: whether code that comes with the checkpoint may run.
        revision: of the model on the hub.
        download: whether the network may be asked for what the local cache lacks.

    Raises:
        ModelError: there is no such model, or its configuration is broken or of an unknown kind.
        StackError: the model has no such stack; names those it has.
    """
    config = load_config(
        source,
        trust_remote_code=trust_remote_code,
        revision=revision,
        local_files_only=not download,
    )
    skeleton = build_model(config, trust_remote_code=trust_remote_code)
    with quiet():
        skeleton.tie_weights()
    model_class, name = type(skeleton), type(skeleton).__name__
    stacks = find_stacks(model_class, skeleton.config)
    stack = choose_stack(stacks, part, name)
    verdict = admissibility(stack)
    path = Path(source).expanduser()
    return Inspection(
        name=path.resolve().name if path.is_dir() else str(source),
        model_type=config.model_type,
        architecture=name,
        kind=_kind(skeleton, config),
        stack=_summary(stack),
        other_stacks=tuple(_summary(other) for other in stacks if other is not stack),
        parameters=_parameters(skeleton),
        parameters_per_block=tuple(_block_parameters(skeleton, stack)),
        embedding_parameters=_embedding_parameters(skeleton),
        vision_parameters=_tower_parameters(skeleton, stacks, stack),
        layer_fields=tuple(_layer_fields(skeleton, stack)),
        admissible_blocks=verdict.blocks,
        reasons=verdict.reasons,
        can_skip=bool(verdict.blocks),
        can_cut=bool(verdict.blocks and stack.config_path),
    )


def _kind(model: PreTrainedModel, config: Any) -> str:
    loader = find_loader(model, config)
    return KINDS.get(loader.name) or loader.pipeline_tag or "other"


def _summary(stack: Stack) -> StackSummary:
    return StackSummary(stack.path, stack.part, stack.num_blocks, stack.config_path)


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _block_parameters(model: nn.Module, stack: Stack) -> list[int]:
    """Return the parameters of every block; parts of one block may lie in several lists."""
    totals = [0] * stack.num_blocks
    for path in stack.containers:
        for block, module in enumerate(model.get_submodule(path).children()):
            totals[block] += _parameters(module)
    return totals


def _embedding_parameters(model: PreTrainedModel) -> int:
    """Count the token embeddings and the output head; once when they are the same tensor."""
    tensors: dict[int, int] = {}
    for get in (model.get_input_embeddings, model.get_output_embeddings):
        try:
            module = get()
        except (NotImplementedError, AttributeError):
            continue
        if module is not None:
            tensors |= {id(parameter): parameter.numel() for parameter in module.parameters()}
    return sum(tensors.values())


def _tower_parameters(model: nn.Module, stacks: tuple[Stack, ...], stack: Stack) -> int:
    """Count the largest module around the vision stack that holds no other kind of stack."""
    vision = [other for other in stacks if other.part == "vision"]
    others = [other.path for other in (*stacks, stack) if other.part != "vision"]
    if not vision:
        return 0
    if not others:
        return _parameters(model)
    names = vision[0].path.split(".")
    for depth in range(1, len(names)):
        path = ".".join(names[:depth])
        if not any(f"{other}.".startswith(f"{path}.") for other in others):
            return _parameters(model.get_submodule(path))
    return _parameters(model.get_submodule(vision[0].path))


def _layer_fields(model: PreTrainedModel, stack: Stack) -> list[LayerFieldSummary]:
    found = (
        find_layer_fields(model.config.to_dict(), stack.config_path) if stack.config_path else {}
    )
    return [
        LayerFieldSummary(
            name,
            value,
            dict(Counter(map(str, value)))
            if isinstance(value, list) and len(value) == stack.num_blocks
            else {},
        )
        for name, value in found.items()
    ]
