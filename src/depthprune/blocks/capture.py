"""Undo what transformers leaves on a model when hidden states are asked for the first time.

It then installs hooks on every block it finds and remembers that it has: done while some blocks are
skipped, those would never be recorded again, and the hidden states of the whole model would
silently be too few (which a LLaVA notices as another vision layer).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

_FLAG = "_output_capturing_hooks_installed"
_SOURCE = "transformers.utils.output_capturing"


@contextmanager
def restored_capture_hooks(model: nn.Module) -> Iterator[None]:
    """Remove the capturing hooks that the body leaves, so that they are installed anew later."""
    modules = list(model.modules())
    flagged = [module for module in modules if _FLAG in vars(module)]
    known = _capture_hooks(modules) if flagged else set()
    try:
        yield
    finally:
        fresh = [
            module
            for module in modules
            if _FLAG in vars(module) and not any(module is other for other in flagged)
        ]
        for module in fresh:
            delattr(module, _FLAG)
        if fresh:
            unknown = _capture_hooks(modules) - known
            for module in modules:
                for key in unknown & module._forward_hooks.keys():
                    del module._forward_hooks[key]


def _capture_hooks(modules: list[nn.Module]) -> set[int]:
    """Return the keys of the hooks, which are unique in a process, that record outputs."""
    return {
        key
        for module in modules
        for key, hook in module._forward_hooks.items()
        if getattr(hook, "__module__", "") == _SOURCE
    }
