"""How to search: a strategy with its options, and over which tasks together.

The command line and study files have one flat list of options for all strategies. It is read from
the fields of the strategies: a field that is added to one of them appears everywhere.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass, replace
from itertools import pairwise
from textwrap import dedent
from typing import Annotated, Any, get_args, get_type_hints

from annotated_types import Ge

from depthprune.base.errors import DepthpruneError, option
from depthprune.base.options import Named, rules_of
from depthprune.importance.proxies import PROXIES
from depthprune.strategies.kinds.beam import Beam
from depthprune.strategies.strategy import STRATEGIES, Strategy


@dataclass(frozen=True)
class SearchOptions:
    """How it is searched."""

    strategy: Strategy = field(default_factory=Beam)
    """beam, greedy (a beam of one), exhaustive (everything) or evolutionary (small changes); or
    file.py:Name, a strategy of your own: the file is executed."""

    protect: frozenset[int] = frozenset()
    """Blocks that always stay; none by default."""

    joint: bool = False
    """Search once, on the mean drop over all tasks; else each task has a search of its own."""

    task_weights: Mapping[str, Annotated[float, Ge(0)]] = field(default_factory=dict)
    """In that mean: okvqa=2 doc_qa=1, or the numbers in the order of the tasks; equal if none."""

    complete: Annotated[int, Ge(0)] = 0
    """Measure the best so many combinations of each number removed on every dataset in the end."""

    warm_start: str | None = None
    """A proxy that proposes removals to measure first: {proxies}."""


OWN = tuple(one.name for one in fields(SearchOptions))
"""The options that are of no strategy."""


@dataclass(frozen=True)
class FlatOption:
    """An option of a strategy, as the command line and study files know it.

    Attributes:
        field: of the strategy.
        name: with underscores.
        kind: the type.
        hint: the type with its bounds.
        default: the value where it is not given.
        doc: the sentence that explains it.
        others: further names on the command line.
        group: options that come as a whole (`RaceOptions`), which this one switches on, or belongs
            to; None: a plain option.
        part: the field of `group` that it is; None: the switch.
    """

    field: str
    name: str
    kind: Any
    hint: Any
    default: Any
    doc: str
    others: tuple[str, ...] = ()
    group: type | None = None
    part: str | None = None


def search_options() -> list[FlatOption]:
    """Return the flat options of a search: of all strategies, and of `SearchOptions` itself."""
    strategy, *own = _own_options(SearchOptions)
    of_strategies = flat_options()
    number = sum(one.group is None for one in of_strategies)
    name = replace(strategy, kind=str, hint=str, default=next(iter(STRATEGIES)), others=("method",))
    return [name, *of_strategies[:number], *own, *of_strategies[number:]]


def flat_options() -> list[FlatOption]:
    """Return the options of all strategies, each once; those that come in groups are last."""
    found: dict[str, FlatOption] = {}
    for name in sorted(STRATEGIES):
        # What a class declares itself comes before what it shares with others.
        for owner in STRATEGIES[name].__mro__:
            for one in _own_options(owner):
                found.setdefault(one.name, one)
    return sorted(found.values(), key=lambda one: one.group is not None)


def make_strategy(said: Mapping[str, Any]) -> Strategy:
    """Return the strategy that flat options mean; those of other strategies mean nothing.

    Args:
        said: values by `FlatOption.name`, and under `strategy` the name of one of ours or
            `file.py:Name`.

    Raises:
        DepthpruneError: there is no such strategy, a value is out of range, or the strategy has no
            such group of options (it does not race).
    """
    found = STRATEGIES.find(said["strategy"], "strategy")
    own = {one.name for one in fields(found)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for one in flat_options():
        if one.part is not None:
            continue
        value = said[one.name] if one.group is None else make_group(one, said)
        if one.field not in own:
            if one.group is not None and value is not None:
                raise cannot(said["strategy"], one.name)
        # What a strategy of the user's own says itself stays, unless something else was said.
        elif isinstance(found, type) or value not in (one.default, None):
            values[one.field] = value
    return found(**values) if isinstance(found, type) else replace(found, **values)


def make_group(switch: FlatOption, said: Mapping[str, Any]) -> Any:
    """Return the options that come as a whole, None where they are not switched on.

    Raises:
        DepthpruneError: one of them is given, but not the switch; or it is out of range.
    """
    assert switch.group is not None
    parts = [one for one in flat_options() if one.group is switch.group and one.part]
    group = switch.group(**{str(one.part): said[one.name] for one in parts})
    changed = next((one for one in parts if said[one.name] != one.default), None)
    if changed is not None and not said[switch.name]:
        raise DepthpruneError(
            "how to race is said, but not that candidates race",
            option=changed.name,
            mend=f"add {option(switch.name)}, or leave it out",
        )
    return group if said[switch.name] else None


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
    usual = {
        one.field: one.default if one.group is None else None
        for one in flat_options()
        if one.part is None
    }
    return {"strategy": strategy.name, **usual, **asdict(strategy)}  # type: ignore[call-overload]


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


def _own_options(owner: type) -> Iterator[FlatOption]:
    own = inspect.get_annotations(owner)
    if not own or not is_dataclass(owner):
        return
    docs, notes = field_docs(owner), rules_of(owner)
    hints, kinds = get_type_hints(owner, include_extras=True), get_type_hints(owner)
    for one in fields(owner):
        if one.name not in own:
            continue
        doc = docs.get(one.name, "").replace("{proxies}", ", ".join(PROXIES))
        hint = hints[one.name]
        group = next((part for part in get_args(hint) if is_dataclass(part)), None)
        if isinstance(group, type):
            yield FlatOption(one.name, one.name, bool, bool, False, doc, group=group)
            of_group, plain = get_type_hints(group, include_extras=True), get_type_hints(group)
            for part in fields(group):
                yield FlatOption(
                    one.name,
                    f"{one.name}_{part.name}",
                    plain[part.name],
                    of_group[part.name],
                    part.default,
                    field_docs(group).get(part.name, ""),
                    group=group,
                    part=part.name,
                )
        else:
            named = next((note for note in notes[one.name] if isinstance(note, Named)), None)
            name, others = (named.name, named.others) if named else (one.name, ())
            yield FlatOption(one.name, name, kinds[one.name], hint, default_of(one), doc, others)
