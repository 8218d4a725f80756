"""Options are declared once: bounds hold for every caller, and flags are the fields."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, Le, Lt
from cyclopts import App, Parameter

from depthprune.base.errors import DepthpruneError
from depthprune.base.options import Options
from depthprune.benchmark.sweep import SweepOptions
from depthprune.cli.flags import with_flags


@dataclass(frozen=True)
class Toy(Options):
    """How toys are made.

    More about them.
    """

    width: Annotated[int, Ge(1), Le(9)] = 3
    """How wide a toy is."""

    share: Annotated[float, Gt(0), Lt(1)] | None = None
    """The share that is painted."""

    height: float = 1.0
    """How high it is."""

    kind: Literal["car", "doll"] = "car"
    """What it is."""

    wheels: bool = True
    """Whether it rolls."""

    tasks: tuple[str, ...] = ()
    """What it is for."""


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"width": 0}, "width must be 1 or more, not 0"),
        ({"width": 10}, "width must be 9 or less, not 10"),
        ({"share": 0.0}, "share must be more than 0, not 0.0"),
        ({"share": 1.0}, "share must be less than 1, not 1.0"),
        ({"share": float("nan")}, "share must be a finite number, not nan"),
        ({"height": float("inf")}, "height must be a finite number, not inf"),
        ({"kind": "ship"}, "kind must be one of car, doll, not 'ship'"),
    ],
)
def test_a_value_out_of_bounds_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(DepthpruneError) as refused:
        Toy(**given)
    assert refused.value.what == words
    assert refused.value.option == next(iter(given))
    with pytest.raises(DepthpruneError):
        replace(Toy(), **given)


def test_what_is_within_the_bounds_is_taken() -> None:
    assert Toy(width=9, share=0.5, height=-2, kind="doll").width == 9
    assert Toy(share=None) == Toy()


made: list[Options] = []
toys = App(
    default_parameter=Parameter(consume_multiple=True, negative=()), result_action="return_value"
)


@toys.command
@with_flags
def make(*, toy: Toy = Toy()) -> None:
    """Make one."""
    made.append(toy)


@toys.command
@with_flags
def sweep(*, times: SweepOptions = SweepOptions()) -> None:
    """Take options of which some are declared in another module."""
    made.append(times)


def run(*words: str) -> Any:
    toys(words, exit_on_error=False)
    return made.pop()


def test_every_field_is_a_flag() -> None:
    assert run("make") == Toy()
    given = run("make", "--width", "2", "--kind", "doll", "--no-wheels", "--dataset_name", "a", "b")
    assert given == Toy(width=2, kind="doll", wheels=False, tasks=("a", "b"))
    assert type(given) is Toy


def test_options_may_be_inherited_from_another_module() -> None:
    assert run("sweep", "--warmup", "0", "--profile", "cpu") == SweepOptions(
        warmup=0, profile="cpu"
    )


def test_the_help_is_that_of_the_dataclass(capsys: pytest.CaptureFixture[str]) -> None:
    toys(("make", "--help"))
    shown = capsys.readouterr().out
    assert "How toys are made ─" in shown
    assert "More about them" not in shown
    for words in ("--width INT", "How wide a toy is. [default: 3]", "--wheels --no-wheels"):
        assert words in shown
    for other_name in ("--task --tasks", "--dataset-name"):
        assert other_name in shown


def test_bounds_hold_on_the_command_line() -> None:
    with pytest.raises(DepthpruneError, match="width must be 1 or more, not 0"):
        run("make", "--width", "0")
