"""The skeleton of a model: all its modules without any weights, for any number of blocks.

A skeleton is built from the configuration on the meta device, in milliseconds and without memory,
whatever the size of the model. Comparing two skeletons shows what a removal changes.
"""

from __future__ import annotations

import contextlib
import enum
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel


@dataclass(frozen=True)
class ModuleFacts:
    """What one module consists of, its children left out.

    Attributes:
        kind: the name of its class.
        values: its plain attributes (numbers, texts, and lists and dictionaries of them).
        others: by attribute, the names of functions and classes that it holds.
        configs: the configurations it holds, by attribute.
        tensors: shape and type of its own parameters and persistent buffers, by name.
        buffers: its buffers that no checkpoint holds, by name.
    """

    kind: str
    values: dict[str, Any]
    configs: dict[str, PreTrainedConfig]
    tensors: dict[str, tuple[tuple[int, ...], torch.dtype]]
    buffers: dict[str, tuple[int, ...]] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)


Skeleton = dict[str, ModuleFacts]
"""The facts of every module by its path; the model itself is ``""``."""


def build_skeleton(
    construct: Callable[[PreTrainedConfig], PreTrainedModel], config: PreTrainedConfig
) -> PreTrainedModel:
    """Build a model of `config` on the meta device; raises what `construct`, its class, raises."""
    import torch
    from transformers.initialization import no_init_weights

    with torch.device("meta"), no_init_weights(), quiet():
        return construct(config)


def rebuild_config(config: PreTrainedConfig, data: dict[str, Any]) -> PreTrainedConfig:
    """Return a configuration of the class of `config` that holds `data`."""
    data = {key: value for key, value in data.items() if key != "transformers_version"}
    with quiet():
        rebuilt = type(config).from_dict(data)
    # Not serialized, and a model with another attention would not be the same model.
    rebuilt._attn_implementation = config._attn_implementation
    return rebuilt


def describe(model: nn.Module) -> Skeleton:
    """Return the facts of every module of `model`."""
    import torch
    from transformers import PreTrainedConfig

    ours = set(vars(_empty_module()))
    skeleton: Skeleton = {}
    # A module that several blocks share is looked at in each of them.
    for path, module in model.named_modules(remove_duplicate=False):
        values: dict[str, Any] = {}
        others: dict[str, str] = {}
        configs: dict[str, PreTrainedConfig] = {}
        for name, value in vars(module).items():
            if name in ours or name in _MODEL_ATTRIBUTES:
                continue
            if isinstance(value, PreTrainedConfig):
                configs[name] = value
            elif _is_plain(value):
                values[name] = value
            elif isinstance(value, type | types.FunctionType | types.MethodType | torch.dtype):
                others[name] = getattr(value, "__qualname__", str(value))
        transient = module._non_persistent_buffers_set
        skeleton[path] = ModuleFacts(
            type(module).__name__,
            values,
            configs,
            {
                name: (tuple(tensor.shape), tensor.dtype)
                for name, tensor in (*module._parameters.items(), *module._buffers.items())
                if tensor is not None and name not in transient
            },
            {
                name: tuple(tensor.shape)
                for name, tensor in module._buffers.items()
                if tensor is not None and name in transient
            },
            others,
        )
    return skeleton


def list_lengths(model: nn.Module) -> dict[str, int]:
    """Return the length of every list of modules (children named 0, 1, 2, ...) by its path."""
    lengths = {}
    for path, module in model.named_modules():
        names = list(module._modules)
        if path and names and names == [str(index) for index in range(len(names))]:
            lengths[path] = len(names)
    return lengths


# Bookkeeping of transformers on the outermost model that follows from the names of the modules.
_MODEL_ATTRIBUTES = frozenset(
    {
        "all_tied_weights_keys",
        "generation_config",
        "name_or_path",
        "_keep_in_fp32_modules",
        "_keep_in_fp32_modules_strict",
        "_no_split_modules",
        "_skip_keys_device_placement",
        "_keys_to_ignore_on_load_unexpected",
        "_keys_to_ignore_on_load_missing",
        "_keys_to_ignore_on_save",
        "_tp_plan",
        "_ep_plan",
        "_pp_plan",
        "_fsdp_plan",
    }
)


def _empty_module() -> nn.Module:
    from torch import nn

    return nn.Module()


def _is_plain(value: object) -> bool:
    if value is None or isinstance(value, bool | int | float | str | enum.Enum):
        return True
    if isinstance(value, list | tuple | set | frozenset):
        return all(_is_plain(entry) for entry in value)
    if isinstance(value, dict):
        return all(_is_plain(key) and _is_plain(entry) for key, entry in value.items())
    return False


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what transformers says while it builds: the user did not ask for this model."""
    from transformers.utils import logging

    verbosity, progress_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if progress_bar:
            logging.enable_progress_bar()
