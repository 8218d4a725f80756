"""Options as fields: their bounds are checked, and a field may have another name outside Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, get_args, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

from depthprune.base.errors import DepthpruneError

_HOLDS: dict[type, tuple[str, str, Callable[[Any, Any], bool]]] = {
    Ge: ("at least", "ge", lambda value, bound: value >= bound),
    Gt: ("more than", "gt", lambda value, bound: value > bound),
    Le: ("at most", "le", lambda value, bound: value <= bound),
    Lt: ("less than", "lt", lambda value, bound: value < bound),
}


@dataclass(frozen=True)
class Named:
    """The name of an option on the command line and in study files, where Python has a shorter one.

    Attributes:
        name: with underscores.
        others: that the command line knows, too.
    """

    name: str
    others: tuple[str, ...] = ()


def metadata(owner: type) -> dict[str, tuple[Any, ...]]:
    """Return what `Annotated` says about each field of a dataclass."""
    hints = get_type_hints(owner, include_extras=True)
    return {one.name: _notes(hints[one.name]) for one in fields(owner)}


def _notes(hint: Any) -> tuple[Any, ...]:
    inner = (note for part in get_args(hint) for note in _notes(part))
    return (*getattr(hint, "__metadata__", ()), *inner)


def outer_name(owner: type, field: str) -> str:
    """Return the name of an option on the command line and in study files, with underscores."""
    names = (one.name for one in metadata(owner)[field] if isinstance(one, Named))
    return next(names, field)


def check_bounds(options: Any) -> None:
    """Refuse values of options beyond the bounds that their fields state.

    Raises:
        DepthpruneError: names the option.
    """
    for name, notes in metadata(type(options)).items():
        value = getattr(options, name)
        for note in notes:
            if value is None or type(note) not in _HOLDS:
                continue
            words, attribute, holds = _HOLDS[type(note)]
            bound = getattr(note, attribute)
            if not holds(value, bound):
                raise DepthpruneError(
                    f"{value} is out of range",
                    option=outer_name(type(options), name),
                    mend=f"give a number that is {words} {bound}",
                )
