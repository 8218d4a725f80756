"""What others wrote never reaches a terminal as it is."""

from __future__ import annotations

from depthprune.base.terminal import shown


def test_what_cannot_be_printed_is_escaped() -> None:
    assert shown("red\n\x1b[31m\x00\u202e\u2028") == "red\\n\\x1b[31m\\x00\\u202e\\u2028"
    assert shown("zwei Hüte, 两顶帽子") == "zwei Hüte, 两顶帽子"


def test_a_long_text_keeps_both_ends() -> None:
    text = shown("a" * 50 + "middle" + "z" * 50, 20)
    assert text == f"{'a' * 10} [... 86 characters ...] {'z' * 10}"
    assert shown("a" * 20, 20) == "a" * 20


def test_an_escape_sequence_is_not_completed_by_shortening() -> None:
    assert "\x1b" not in shown("\x1b" * 100, 7)
