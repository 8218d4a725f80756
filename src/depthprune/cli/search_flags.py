"""The options of a search on the command line: as the library declares them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields, make_dataclass
from typing import Annotated, Any, Literal, get_type_hints

import cyclopts
from cyclopts import Group, Parameter, Token

from depthprune.base.registry import is_own
from depthprune.base.weights import read_weights
from depthprune.cli.flags import NAMES
from depthprune.strategies.options import SearchChoice, SearchOptions, default_of
from depthprune.strategies.strategy import STRATEGIES

_SEARCH = Group.create_ordered("Search", sort_key=1)

_TYPES = get_type_hints(SearchChoice)  # without the bounds, which the class itself checks
_TYPES |= {"strategy": Literal[tuple(STRATEGIES)], "task_weights": tuple[str, ...]}


def _name_or_file(hint: Any, tokens: Sequence[Token]) -> Any:
    """Read the name of a strategy, or `file.py:Name` of a user's own."""
    given = tokens[0].value
    return given if is_own(given) else cyclopts.convert(hint, tokens)


def _flag(one: Field[Any]) -> tuple[str, Any, Any]:
    """Return an option as a field that the command line reads."""
    parameter = Parameter(
        name=tuple(f"--{name.replace('_', '-')}" for name in NAMES.get(one.name, (one.name,))),
        group=_SEARCH,
        # What a sentence calls `max_drop` is --max-drop here.
        help=re.sub("`(.+?)`", lambda name: "--" + name[1].replace("_", "-"), one.metadata["doc"]),
        converter=_name_or_file if one.name == "strategy" else None,
    )
    default: Any = () if one.name == "task_weights" else default_of(one)
    return one.name, Annotated[_TYPES[one.name], parameter], field(default=default)


_FLAGS = [_flag(one) for one in fields(SearchChoice) if one.name != "protect"]
"""All but `--protect`, which `profile` knows, too."""


@Parameter(name="*")
@dataclass(frozen=True)
class SearchFlags(make_dataclass("_Flags", _FLAGS, frozen=True)):  # type: ignore[misc]
    """Search."""

    def options(self, tasks: Sequence[str], protect: frozenset[int]) -> SearchOptions:
        """Return what the library takes, for a search over these tasks.

        Raises:
            DepthpruneError: a value is out of range, the strategy cannot race, or the weights do
                not fit the tasks.
        """
        weights = {}
        if self.task_weights:
            weights = read_weights(self.task_weights, tasks, option="task_weights", thing="task")
        said = vars(self) | {"protect": protect, "task_weights": weights}
        found: SearchOptions = SearchChoice(**said).options()
        return found
