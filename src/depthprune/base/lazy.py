"""Names of a package that are imported when they are first asked for."""

from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing `typing` would be half of what importing depthprune costs
    from collections.abc import Callable, Mapping
    from typing import Any


def lazily(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package whose names are defined in other modules.

    Reading a module of the package then does not import all the others.

    Args:
        package: its name.
        homes: the module of each name; where the two are the same, the name is the module.
    """

    def attribute(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(homes[name])
        return module if homes[name] == f"{package}.{name}" else getattr(module, name)

    return attribute


def make_callable(name: str, function: Callable[..., Any]) -> None:
    """Let a module stand for its function too.

    Importing a submodule puts it into its package under its name, where the function of this name
    may have been.

    Args:
        name: of the module.
        function: that a call of the module calls.
    """
    module = sys.modules[name]

    class Callable(type(module)):  # type: ignore[misc]
        def __call__(self, *args: Any, **options: Any) -> Any:
            return function(*args, **options)

    module.__class__ = Callable
