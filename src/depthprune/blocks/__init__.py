"""Find the block stack of a model, and run the model without some of its blocks."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from depthprune.blocks.admissible import (
        Admissibility,
        admissibility,
        check_admissible,
        inadmissible_reason,
    )
    from depthprune.blocks.finding import find_stack
    from depthprune.blocks.inspect import Inspection, LayerFieldSummary, StackSummary, inspect_model
    from depthprune.blocks.layer_fields import find_layer_fields, shorten_config, shorten_dict
    from depthprune.blocks.models import LoadedModel, load_model
    from depthprune.blocks.probing import find_stacks
    from depthprune.blocks.skipping import skip
    from depthprune.blocks.stack import Stack

_HOMES = {
    "Admissibility": "admissible",
    "Inspection": "inspect",
    "LayerFieldSummary": "inspect",
    "LoadedModel": "models",
    "Stack": "stack",
    "StackSummary": "inspect",
    "admissibility": "admissible",
    "check_admissible": "admissible",
    "find_stack": "finding",
    "find_stacks": "probing",
    "inadmissible_reason": "admissible",
    "inspect_model": "inspect",
    "find_layer_fields": "layer_fields",
    "load_model": "models",
    "shorten_config": "layer_fields",
    "shorten_dict": "layer_fields",
    "skip": "skipping",
}

__all__ = [
    "Admissibility",
    "Inspection",
    "LayerFieldSummary",
    "LoadedModel",
    "Stack",
    "StackSummary",
    "admissibility",
    "check_admissible",
    "find_layer_fields",
    "find_stack",
    "find_stacks",
    "inadmissible_reason",
    "inspect_model",
    "load_model",
    "shorten_config",
    "shorten_dict",
    "skip",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: torch and transformers take seconds."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
