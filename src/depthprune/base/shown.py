"""Texts of others for a terminal: what a model wrote, or what a folder is called."""

from __future__ import annotations

from depthprune.base.language import counted


def shown(text: str, longest: int | None = None) -> str:
    """Return a text in one line in which nothing can move a cursor or change a colour.

    What cannot be printed (line breaks, control characters, marks that turn the direction of
    writing) is escaped as in Python. What is longer than `longest` loses its middle: both ends of a
    prompt tell something.
    """
    if longest is not None and len(text) > longest:
        gone = len(text) - longest
        end = longest // 2
        text = f"{text[: longest - end]} [... {counted(gone, 'character')} ...] {text[-end:]}"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
