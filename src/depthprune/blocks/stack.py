"""What a stack of blocks is: where it lies, how long it is, and what it is built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import RemovalError
from depthprune.base.removal import Removal
from depthprune.blocks.layer_rules import Section

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel

    from depthprune.blocks.plan import Plan


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
    plans: dict[Removal, Plan] = field(default_factory=dict, repr=False, compare=False)
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
