"""Text for terminals and documents: letters that would steer a terminal are shown, not sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from depthprune.base.language import counted

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment


def printable(text: str) -> str:
    r"""Return a text in which control characters, and those that turn its direction, are escaped.

    A name out of a checkpoint may hold any: an escape sequence becomes `\x1b[...`, a line break
    `\n`. Joiners within words stay.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in _HARMLESS else ascii(letter)[1:-1]
        for letter in text
    )


# Spaces of other scripts, and what joins or parts the letters of words.
_HARMLESS = frozenset("\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
                      "\u200a\u200b\u200c\u200d\u202f\u205f\u3000\ufeff")  # fmt: skip


def printable_lines(text: str) -> str:
    """Return `printable` of every line of a text; its own line breaks and tabs stay."""
    if text.isprintable():
        return text
    return "".join(part if part in "\n\t" else printable(part) for part in _split(text))


def _split(text: str) -> Iterator[str]:
    start = 0
    for index, letter in enumerate(text):
        if letter in "\n\t":
            yield text[start:index]
            yield letter
            start = index + 1
    yield text[start:]


def terminal(**options: Any) -> Console:
    """Return a console of rich that shows control characters in what it prints, see `printable`.

    Args:
        options: of `rich.console.Console`.
    """
    from rich.console import Console, RenderHook

    class Clean(RenderHook):
        def process_renderables(self, renderables: list[Any]) -> list[Any]:
            return [_Clean(one) for one in renderables]

    console = Console(**options)
    console.push_render_hook(Clean())
    return console


class _Clean:
    """What prints as something else does, without its control characters."""

    def __init__(self, inner: RenderableType) -> None:
        self.inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
        from rich.segment import Segment

        for segment in console.render(self.inner, options):
            text, style, control = segment
            yield segment if control else Segment(printable_lines(text), style)


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
