"""How to search: a strategy with its options, and over which tasks together.

The command line and study files have one flat list of options for all strategies, `SearchChoice`.
It is read from the fields of the strategies: a field that is added to one of them appears there.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, make_dataclass, replace
from functools import cache
from itertools import pairwise
from textwrap import dedent
from typing import Annotated, Any, get_type_hints

from annotated_types import Ge

from depthprune.base.errors import DepthpruneError, option
from depthprune.base.options import Options, option_name
from depthprune.base.removal import Objective
from depthprune.importance.proxies import PROXIES
from depthprune.strategies.kinds.beam import Beam, RaceOptions
from depthprune.strategies.kinds.exhaustive import Ablation, Exhaustive
from depthprune.strategies.strategy import STRATEGIES, Strategy


@dataclass(frozen=True)
class SearchOptions(Options):
    """Search.

    Raises:
        DepthpruneError: a value is out of its bounds, weights are given without a joint search, or
            a proxy that there is not, or for a strategy that measures everything.
    """

    strategy: Strategy = field(default_factory=Beam)
    """Search strategy: beam, greedy (a beam of width 1), exhaustive (every removal), evolutionary
    (small changes of the best removals), or file.py:Name for your own, whose file is executed."""

    protect: frozenset[int] = frozenset()
    """Blocks that always stay (default: none)."""

    joint: bool = False
    """One search on the mean drop over all tasks, instead of one search for each task."""

    task_weights: Mapping[str, Annotated[float, Ge(0)]] = field(default_factory=dict)
    """Weights of the tasks in a joint search: okvqa=2 doc_qa=1, or numbers in their order."""

    objective: Objective | None = None
    """What removals are ranked by: loss (log-loss over the options, where a task has options; needs
    fewer samples) or accuracy (default: accuracy)."""

    complete: Annotated[int, Ge(0)] = 0
    """Number of best combinations of each size that are measured on every dataset at the end."""

    warm_start: str | None = None
    """Proxy whose proposals are measured first: {proxies}."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task_weights and not self.joint:
            raise DepthpruneError(
                "weights of tasks mean something in a joint search only",
                option="task_weights",
                mend=f"add {option('joint')}, or leave the weights out",
            )
        if self.objective == "loss" and getattr(self.strategy, "race", None) is not None:
            raise DepthpruneError(
                "a race is about accuracies: it cannot rank by the loss",
                option="objective",
                mend=f"leave out {option('race')}, or choose {option('objective', 'accuracy')}",
            )
        if self.warm_start is None:
            return
        if isinstance(self.strategy, Ablation | Exhaustive):
            raise DepthpruneError(
                f"the strategy {self.strategy.name} measures everything: "
                "nothing need be proposed first",
                option="warm_start",
                mend="leave it out, or choose the strategy beam, greedy or evolutionary",
            )
        PROXIES.find(self.warm_start, "warm_start")

    @property
    def ranked_by(self) -> Objective:
        """What removals are ranked by, also where it was not said."""
        return self.objective or "accuracy"


def field_docs(owner: type) -> dict[str, str]:
    """Return the docstring of every field that a class declares itself."""
    (tree,) = ast.parse(dedent(inspect.getsource(owner))).body
    assert isinstance(tree, ast.ClassDef)
    return {
        declared.target.id: " ".join(said.value.value.split())
        for declared, said in pairwise(tree.body)
        if isinstance(declared, ast.AnnAssign)
        and isinstance(declared.target, ast.Name)
        and isinstance(said, ast.Expr)
        and isinstance(said.value, ast.Constant)
        and isinstance(said.value.value, str)
    }


def default_of(one: Field[Any]) -> Any:
    """Return the default of a field, also where it is made anew for each object."""
    return one.default if one.default_factory is MISSING else one.default_factory()


_Declared = tuple[str, Any, Field[Any]]
"""An option: its name, its type with bounds, and its default and sentence as a field."""


def _declared(owner: type) -> Iterator[_Declared]:
    """Yield the options that a class declares itself."""
    own = inspect.get_annotations(owner)
    if not (own and issubclass(owner, Options)):
        return
    docs, hints = field_docs(owner), get_type_hints(owner, include_extras=True)
    for one in fields(owner):  # type: ignore[arg-type]
        if one.name in own:
            doc = docs[one.name].replace("{proxies}", ", ".join(PROXIES))
            copy: Any = field(
                default=one.default,
                default_factory=one.default_factory,
                metadata={"doc": doc, "field": one.name},
            )
            yield option_name(owner, one.name), hints[one.name], copy


@cache
def _of_strategies() -> tuple[_Declared, ...]:
    """Return what the strategies declare, each option once, `race` last."""
    found: dict[str, _Declared] = {}
    for name in sorted(STRATEGIES):
        # What a class declares itself comes before what it shares with others.
        for owner in STRATEGIES[name].__mro__:
            for one in _declared(owner):
                found.setdefault(one[0], one)
    return *(one for name, one in found.items() if name != "race"), found["race"]


def _flat() -> list[_Declared]:
    """Return the fields of `SearchChoice`: strategies are named, and racing is switched on."""
    (_, _, strategy), *own = _declared(SearchOptions)
    *of_strategies, (_, _, race) = _of_strategies()
    name: Any = field(default=next(iter(STRATEGIES)), metadata=strategy.metadata)
    switch: Any = field(default=False, metadata=race.metadata)
    return [
        ("strategy", str, name),
        *of_strategies,
        *own,
        ("race", bool, switch),
        *_declared(RaceOptions),
    ]


class SearchChoice(make_dataclass("_Flat", _flat(), bases=(Options,), frozen=True)):  # type: ignore[misc]
    """The options of a search as the command line and study files know them: a flat list.

    `strategy` is the name of one of ours or `file.py:Name`; each field has its sentence in
    `metadata["doc"]`.
    """

    def options(self) -> SearchOptions:
        """Return the search that is meant; options of other strategies mean nothing.

        Raises:
            DepthpruneError: there is no such strategy, a value is out of range, or the strategy
                cannot race.
        """
        own = {one.name: getattr(self, one.name) for one in fields(SearchOptions)}
        own |= {"strategy": self._strategy(), "protect": frozenset(self.protect)}
        return SearchOptions(**own)

    def _strategy(self) -> Strategy:
        found = STRATEGIES.find(self.strategy, "strategy")
        own = {one.name for one in fields(found)}  # type: ignore[arg-type]
        said = {one.metadata["field"]: getattr(self, name) for name, _, one in _of_strategies()}
        said["race"] = self._race()
        if said["race"] is not None and "race" not in own:
            raise cannot(self.strategy, "race")
        values = {name: value for name, value in said.items() if name in own}
        if isinstance(found, type):
            return found(**values)
        # What a strategy of the user's own says itself stays, unless something else was said.
        usual = {one.metadata["field"]: one.default for _, _, one in _of_strategies()}
        given = {name: one for name, one in values.items() if one not in (usual[name], None)}
        return replace(found, **given)

    def _race(self) -> RaceOptions | None:
        said = {name: getattr(self, name) for name, _, one in _declared(RaceOptions)}
        if self.race:
            return RaceOptions(*said.values())
        changed = next(
            (name for name, _, one in _declared(RaceOptions) if said[name] != one.default), None
        )
        if changed is not None:
            raise DepthpruneError(
                "how to race is said, but not that candidates race",
                option=changed,
                mend=f"add {option('race')}, or leave it out",
            )
        return None


def cannot(strategy: str, name: str) -> DepthpruneError:
    """Return the error of a strategy that is asked to race and needs every number."""
    return DepthpruneError(
        f"the strategy {strategy} cannot {name}: it needs the full number of every removal that "
        "it measures",
        option=name,
        mend="leave it out, or choose the strategy beam or greedy",
    )


def options_value(strategy: Strategy) -> dict[str, Any]:
    """Return a strategy as plain JSON data; options that it does not have are as usual."""
    usual = {one.metadata["field"]: one.default for _, _, one in _of_strategies()}
    return {"strategy": strategy.name, **usual, **asdict(strategy)}  # type: ignore[call-overload]
