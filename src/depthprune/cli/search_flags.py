"""The options of a search on the command line: as the library declares them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, make_dataclass
from typing import Annotated, Any, Literal

import cyclopts
from cyclopts import Group, Parameter, Token

from depthprune.base.registry import is_own
from depthprune.base.weights import read_weights
from depthprune.strategies.options import (
    OWN,
    FlatOption,
    SearchOptions,
    make_strategy,
    search_options,
)
from depthprune.strategies.runner import TASK_WEIGHTS, check_joint
from depthprune.strategies.strategy import STRATEGIES

_SEARCH = Group.create_ordered("How it is searched", sort_key=1)

_FLAGS = [one for one in search_options() if one.name != "protect"]
"""All but `--protect`, which `profile` knows, too."""


def _name_or_file(hint: Any, tokens: Sequence[Token]) -> Any:
    """Read the name of a strategy, or `file.py:Name` of a user's own."""
    given = tokens[0].value
    return given if is_own(given) else cyclopts.convert(hint, tokens)


def _flag(one: FlatOption) -> tuple[str, Any, Any]:
    """Return an option as a field that the command line reads."""
    kind, converter = one.kind, None
    if one.name == "strategy":
        kind, converter = Literal[tuple(STRATEGIES)], _name_or_file
    elif one.name == "task_weights":
        kind = tuple[str, ...]
    parameter = Parameter(
        name=tuple(f"--{name.replace('_', '-')}" for name in (one.name, *one.others)),
        group=_SEARCH,
        # What a sentence calls `max_drop` is --max-drop here.
        help=re.sub("`(.+?)`", lambda name: "--" + name[1].replace("_", "-"), one.doc),
        converter=converter,
    )
    default: Any = () if one.name == "task_weights" else one.default
    return one.name, Annotated[kind, parameter], field(default=default)


@Parameter(name="*")
@dataclass(frozen=True)
class SearchFlags(make_dataclass("_Flags", map(_flag, _FLAGS), frozen=True)):  # type: ignore[misc]
    """How it is searched."""

    def options(self, tasks: Sequence[str], protect: frozenset[int]) -> SearchOptions:
        """Return what the library takes, for a search over these tasks.

        Raises:
            DepthpruneError: a value is out of range, the strategy cannot race, or the weights do
                not fit the tasks.
        """
        said: dict[str, Any] = {one.name: getattr(self, one.name) for one in _FLAGS}
        own = {one.name: said[one.name] for one in _FLAGS if one.name in OWN}
        own |= {"strategy": make_strategy(said), "task_weights": self._weights(tasks)}
        return SearchOptions(protect=protect, **own)

    def _weights(self, tasks: Sequence[str]) -> dict[str, float]:
        if not self.task_weights:
            return {}
        check_joint(joint=self.joint)
        return read_weights(self.task_weights, tasks, option=TASK_WEIGHTS, thing="task")
