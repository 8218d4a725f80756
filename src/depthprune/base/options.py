"""Options are declared once: as fields of frozen dataclasses, with type, bounds and docstring.

The command line, the study file, callers in Python and the documentation read the same class.

    @dataclass(frozen=True)
    class Beam(Options):
        \"\"\"How a beam searches.\"\"\"

        beam_width: Annotated[int, Ge(1)] = 3
        \"\"\"Number of removals that a beam keeps in each step.\"\"\"
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt, MinLen

from depthprune.base.errors import DepthpruneError, option


@dataclass(frozen=True)
class Refusal:
    """Part of a field's type beside its bounds: how a value that they refuse is refused.

    Attributes:
        what: the sentence, with the option's name as `{name}` and the value as `{value}`.
        mend: what to give instead.
    """

    what: str
    mend: str


@dataclass(frozen=True)
class Named:
    """Part of a field's type: its name on the command line and in study files, where it is longer.

    Attributes:
        name: with underscores.
    """

    name: str


class Options:
    """Options of one kind; a value out of its bounds is refused, whoever gives it."""

    def __post_init__(self) -> None:
        check(self)


def check(options: Any) -> None:
    """Refuse values of a dataclass beyond the bounds that its fields state.

    Raises:
        DepthpruneError: names the option.
    """
    kind: Any = type(options)
    for field, rules in rules_of(kind).items():
        value = getattr(options, field)
        if value is None:
            continue
        wanted = next(filter(None, (_wanted(value, rule) for rule in rules)), None)
        if wanted is None:
            continue
        name = option_name(kind, field)
        for own in rules:
            if isinstance(own, Refusal):
                what = own.what.format(name=option(name), value=value)
                raise DepthpruneError(what, where="", mend=own.mend, option=name)
        raise DepthpruneError(f"{option(name)} must be {wanted}, not {value!r}", option=name)


def _wanted(value: Any, rule: Any) -> str | None:
    """Return what a value must be and is not; None where it is as the rule says."""
    match rule:
        case Ge(ge=least) if not value >= least:
            return f"{least} or more"
        case Gt(gt=least) if not value > least:
            return f"more than {least}"
        case Le(le=most) if not value <= most:
            return f"{most} or less"
        case Lt(lt=most) if not value < most:
            return f"less than {most}"
        case MinLen(min_length=least) if len(value) < least:
            return f"at least {least}"
        case tuple() if value not in rule:
            return f"one of {', '.join(map(str, rule))}"
        case _ if rule is float and not isfinite(value):
            return "a finite number"
    return None


def option_name(options: type, field: str) -> str:
    """Return the name of a field on the command line and in study files."""
    return next((rule.name for rule in rules_of(options)[field] if isinstance(rule, Named)), field)


@cache
def rules_of(options: Any) -> dict[str, tuple[Any, ...]]:
    """Return what the types of the fields say beside the type.

    That is what `Annotated` adds, the choices of a literal, and `float`: a finite number.
    """
    hints = get_type_hints(options, include_extras=True)
    return {one.name: tuple(_of_hint(hints[one.name])) for one in fields(options)}


def _of_hint(hint: Any) -> Iterator[Any]:
    if hint is float:
        yield float
    elif get_origin(hint) is Literal:
        yield get_args(hint)
    elif get_origin(hint) in (Union, UnionType):
        for member in get_args(hint):
            if member is not NoneType:
                yield from _of_hint(member)
    elif hasattr(hint, "__metadata__"):
        yield from _of_hint(hint.__origin__)
        yield from hint.__metadata__
