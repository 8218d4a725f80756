"""Letters that would steer a terminal are shown, never sent."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.table import Table

from depthprune.base.errors import DepthpruneError
from depthprune.base.terminal import printable, printable_lines, terminal
from depthprune.report.formatting import as_text

STEERING = "\x1b]0;title\x07 \x1b[31mred\x9b2J \u202egnp.exe\u2066 \x00 \x7f"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("model-16", "model-16"),
        ("模型 é\u00a0ü", "模型 é\u00a0ü"),
        ("a\u200db", "a\u200db"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\u202egnp", r"\u202egnp"),
        ("\x9b2J\x7f", r"\x9b2J\x7f"),
    ],
)
def test_control_characters_of_a_name_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_text_of_our_own_keeps_its_lines() -> None:
    assert printable_lines("a\n\tb\x1b\n") == "a\n\tb\\x1b\n"


def no_steering(text: str) -> bool:
    return all(letter == "\n" or letter.isprintable() for letter in text)


def test_what_a_console_prints_has_none() -> None:
    table = Table(STEERING)
    table.add_row(STEERING)
    console = terminal(file=StringIO(), width=120)
    for part in (table, STEERING, f"[bold]{STEERING.replace('[', '')}[/]"):
        console.print(part)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert no_steering(written)
    assert r"\x1b]0;title" in written
    assert no_steering(as_text([table, STEERING]))


def test_styles_of_our_own_still_reach_a_terminal() -> None:
    console = terminal(file=StringIO(), force_terminal=True, color_system="standard")
    console.print("[bold]depth[/]")
    assert "\x1b[1mdepth\x1b[0m" in console.file.getvalue()  # type: ignore[attr-defined]


def test_errors_have_none() -> None:
    error = DepthpruneError(f"no {STEERING}", where=f"a\nb{STEERING}", mend=STEERING)
    assert no_steering(str(error))
    assert len(str(error).splitlines()) == 3
