"""Find the transformer blocks that a model can lose, and what each loss costs."""

from __future__ import annotations

from importlib import import_module

# Importing `typing` would be half of what importing this package costs.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from depthprune import structure
    from depthprune.base.errors import DepthpruneError
    from depthprune.tasks.metrics import Metric, metric

__version__ = "0.1.0"

__all__ = ["DepthpruneError", "Metric", "__version__", "metric", "structure"]

_HOMES = {
    "DepthpruneError": "depthprune.base.errors",
    "Metric": "depthprune.tasks.metrics",
    "metric": "depthprune.tasks.metrics",
    "structure": "depthprune.structure",
}
"""Where each public name is defined; it is imported when it is first asked for."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(_HOMES[name])
    return module if _HOMES[name] == f"{__name__}.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
