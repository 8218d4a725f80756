"""Which slices of which tensors an attention group or an MLP channel is, by architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from depthprune.base.errors import ModelError
from depthprune.checkpoint.stored import Shape, StoredTensor
from depthprune.cutting.plan import CutPlan

if TYPE_CHECKING:
    from numpy.typing import NDArray

Unit = Literal["groups", "channels"]
UNITS: tuple[Unit, ...] = ("groups", "channels")

Slices = Literal["queries", "keys", "queries, keys and values", "channels", "gates and channels"]
"""What lies side by side along the axis of a tensor that loses slices."""


@dataclass(frozen=True)
class Family:
    """How an architecture names what can be pruned.

    Attributes:
        tensors: by their names below a block: the axis that loses slices, and what these are.
            Those that a checkpoint lacks (biases) are none of its own.
        divides: whether the number of query heads must divide the hidden size.
        like: an architecture with the same arithmetic that takes any number of heads, by its
            `model_type` and the beginning of its class names.
        heads, width: the fields of config.json.
        inputs_first: whether matrices are stored as inputs x outputs.
    """

    tensors: Mapping[str, tuple[int, Slices]]
    divides: bool = False
    like: tuple[str, str] | None = None
    heads: str = "num_attention_heads"
    width: str = "intermediate_size"
    inputs_first: bool = False

    @property
    def has_heads(self) -> bool:
        """Whether attention groups can be pruned."""
        return any(what == "queries" for _, what in self.tensors.values())


def _projections(outputs: Mapping[str, Slices], inputs: Mapping[str, Slices]) -> Any:
    """Return linear layers that lose outputs, with their biases, and those that lose inputs."""
    losing = {f"{name}.{end}": (0, what) for name, what in outputs.items()
              for end in ("weight", "bias")}  # fmt: skip
    return losing | {f"{name}.weight": (1, what) for name, what in inputs.items()}


_SEPARATE = _projections(
    {
        "self_attn.q_proj": "queries",
        "self_attn.k_proj": "keys",
        "self_attn.v_proj": "keys",
        "mlp.gate_proj": "channels",
        "mlp.up_proj": "channels",
    },
    {"self_attn.o_proj": "queries", "mlp.down_proj": "channels"},
)
_FUSED = _projections(
    {"self_attn.qkv_proj": "queries, keys and values", "mlp.gate_up_proj": "gates and channels"},
    {"self_attn.o_proj": "queries", "mlp.down_proj": "channels"},
)
# Its heads must fill the hidden size.
_GPT2: Mapping[str, tuple[int, Slices]] = {
    "mlp.c_fc.weight": (1, "channels"),
    "mlp.c_fc.bias": (0, "channels"),
    "mlp.c_proj.weight": (0, "channels"),
}

_PLAIN = Family(_SEPARATE)
# Its heads must fill the hidden size.
_MLP_ALONE = Family({name: how for name, how in _SEPARATE.items() if how[1] == "channels"})
_DIVIDING = Family(_SEPARATE, divides=True)

FAMILIES: dict[str, Family] = {
    "llama": Family(_SEPARATE, divides=True, like=("mistral", "Mistral")),
    "mistral": _PLAIN,
    "qwen2": _PLAIN,
    "qwen3": _PLAIN,
    "qwen2_vl": _MLP_ALONE,
    "qwen2_vl_text": _MLP_ALONE,
    "qwen2_5_vl": _MLP_ALONE,
    "qwen2_5_vl_text": _MLP_ALONE,
    "gemma2": _DIVIDING,
    "gemma3_text": _DIVIDING,
    "phi3": Family(_FUSED),
    "gpt2": Family(_GPT2, heads="n_head", width="n_inner", inputs_first=True),
}
"""The language models that can be pruned, by `model_type`."""


@dataclass(frozen=True)
class UnitMap:
    """What each block of a model has.

    Attributes:
        model_type: of the language model.
        family: how it names its tensors.
        section: the fields of config.json that describe it.
        prefix: what stands before the number of a block in the keys.
        blocks: the tensors of each block that lose slices, by their names below it.
        groups: attention groups of a block; 0 where they cannot be pruned.
        heads: query heads of a block.
        head_dim: numbers of a head; 0 where groups cannot be pruned.
        channels: MLP channels of a block.
    """

    model_type: str
    family: Family
    section: str
    prefix: str
    blocks: tuple[Mapping[str, StoredTensor], ...]
    groups: int
    heads: int
    head_dim: int
    channels: int

    def count(self, unit: Unit) -> int:
        """Return how many such units a block has."""
        return self.groups if unit == "groups" else self.channels

    def slices(self, name: str) -> tuple[int, Unit, NDArray[np.intp]]:
        """Return how many slices a tensor has along its axis, and which are those of each unit.

        Returns:
            The number, the kind of unit, and the slices by unit (units x slices of one).
        """
        what = self.family.tensors[name][1]
        if what in ("channels", "gates and channels"):
            halves = 1 if what == "channels" else 2
            table = np.arange(halves * self.channels).reshape(halves, self.channels).T
            return halves * self.channels, "channels", table
        keys = np.arange(self.groups)[:, None]
        queries = np.arange(self.heads).reshape(self.groups, -1)
        if what == "keys":
            return self.groups, "groups", keys
        if what == "queries":
            return self.heads, "groups", queries
        beyond = [keys + self.heads, keys + self.heads + self.groups]
        return self.heads + 2 * self.groups, "groups", np.hstack([queries, *beyond])

    @cached_property
    def parameters(self) -> dict[Unit, int]:
        """How many parameters one unit of each kind has."""
        sums: dict[Unit, int] = dict.fromkeys(UNITS, 0)
        for name, tensor in self.blocks[0].items():
            count, unit, table = self.slices(name)
            sums[unit] += prod(tensor.shape) // count * table.shape[1]
        return sums


def find_layout(plan: CutPlan) -> UnitMap:
    """Return what can be pruned of a checkpoint, by its plan without any removal.

    Raises:
        ModelError: its architecture is none of `FAMILIES`, its weights are quantised, or their
            shapes are not what config.json says.
    """
    name, _, _ = plan.config_path.rpartition(".")
    section: Mapping[str, Any] = plan.config[name] if name else plan.config
    model_type = str(section.get("model_type"))
    family = FAMILIES[model_type]
    (numbering,) = plan.numberings
    blocks: list[dict[str, StoredTensor]] = [{} for _ in range(plan.num_blocks)]
    # By the names that stay: the stored ones may be those of a wrapper around the model.
    for target in (one for shard in plan.shards for one in shard.tensors):
        block = numbering.block(target.name)
        if block is not None and block < plan.num_blocks:
            below = target.name[len(numbering.prefix) :].partition(".")[2]
            if below in family.tensors:
                blocks[block][below] = target.source
    layout = _measured(model_type, family, name, numbering.prefix, section, blocks)
    for index, block_tensors in enumerate(blocks):
        _check_block(layout, f"{numbering.prefix}{index}", block_tensors)
    return layout


def _measured(
    model_type: str,
    family: Family,
    section_name: str,
    prefix: str,
    section: Mapping[str, Any],
    blocks: Sequence[Mapping[str, StoredTensor]],
) -> UnitMap:
    """Return the layout by the shapes of the first block."""
    shapes = {name: tensor.shape for name, tensor in blocks[0].items()}

    def size(name: str) -> int:
        if name not in shapes or len(shapes[name]) != 2:
            raise ModelError(
                f"{prefix}0.{name} is not there, or no matrix",
                mend="save the model with this version of transformers, then prune it",
            )
        return shapes[name][family.tensors[name][0]]

    what = (model_type, family, section_name, prefix, tuple(blocks))
    (down,) = family.tensors.keys() & {"mlp.down_proj.weight", "mlp.c_proj.weight"}
    if not family.has_heads:
        return UnitMap(*what, 0, 0, 0, size(down))
    heads = section.get(family.heads) or 0
    inner = size("self_attn.o_proj.weight")
    if type(heads) is not int or heads < 1 or inner % heads:
        raise ModelError(
            f"config.json says {heads!r} heads, and {prefix}0.self_attn.o_proj.weight has {inner} "
            "inputs",
            where=family.heads,
            mend="check that config.json and the weights belong together",
        )
    head_dim = inner // heads
    if "self_attn.k_proj.weight" in shapes:
        groups = size("self_attn.k_proj.weight") // head_dim
    else:
        groups = (size("self_attn.qkv_proj.weight") // head_dim - heads) // 2
    said = (section.get("num_key_value_heads"), section.get("head_dim"))
    if (
        groups < 1
        or heads % groups
        or said not in {(one, two) for one in (None, groups) for two in (None, head_dim)}
    ):
        raise ModelError(
            f"config.json says {heads} query heads, {said[0]} key-value heads and a head size of "
            f"{said[1]}; by the weights these are {heads}, {groups} and {head_dim}",
            where=f"{prefix}0",
            mend="check that config.json and the weights belong together",
        )
    return UnitMap(*what, groups, heads, head_dim, size(down))


_FLOATS = ("F64", "F32", "F16", "BF16")


def _check_block(layout: UnitMap, path: str, tensors: Mapping[str, StoredTensor]) -> None:
    """Raise ModelError where a block has other tensors or shapes than the first one."""
    first = layout.blocks[0]
    for name in first.keys() | tensors.keys():
        found = tensors.get(name)
        expected = first.get(name)
        if found is None or expected is None or not _fits(layout, name, found.shape, expected):
            raise ModelError(
                f"{path}.{name} is not what the other blocks have: "
                f"{_shape(found)} instead of {_shape(expected)}",
                mend="prune the whole model; blocks that differ already are not pruned again",
            )
        if found.dtype not in _FLOATS:
            raise ModelError(
                f"{path}.{name} is quantised ({found.dtype})",
                mend="prune the model before it is quantised",
            )


def _fits(layout: UnitMap, name: str, shape: Shape, expected: StoredTensor) -> bool:
    axis = layout.family.tensors[name][0]
    width = 1 if layout.slices(name)[1] == "channels" else layout.head_dim
    return shape == expected.shape and shape[axis] == layout.slices(name)[0] * width


def _shape(tensor: StoredTensor | None) -> str:
    return "nothing" if tensor is None else str(list(tensor.shape))
