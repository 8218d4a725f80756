"""Find the block stack of a model, and run the model without some of its blocks."""

from typing import TYPE_CHECKING

from depthprune.base.lazy import lazily

if TYPE_CHECKING:
    from depthprune.blocks.admissible import (
        Admissibility,
        admissibility,
        check_admissible,
        inadmissible_reason,
    )
    from depthprune.blocks.inspect import Inspection, LayerFieldSummary, StackSummary, inspect_model
    from depthprune.blocks.layer_fields import find_layer_fields, shorten_config, shorten_dict
    from depthprune.blocks.models import LoadedModel, load_model
    from depthprune.blocks.skipping import skip
    from depthprune.blocks.stack import Stack, find_stack, find_stacks

_NAMES = {
    "admissible": ("Admissibility", "admissibility", "check_admissible", "inadmissible_reason"),
    "inspect": ("Inspection", "LayerFieldSummary", "StackSummary", "inspect_model"),
    "layer_fields": ("find_layer_fields", "shorten_config", "shorten_dict"),
    "models": ("LoadedModel", "load_model"),
    "skipping": ("skip",),
    "stack": ("Stack", "find_stack", "find_stacks"),
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

__getattr__ = lazily(
    __name__,
    {name: f"{__name__}.{module}" for module, names in _NAMES.items() for name in names},
)
