"""Texts in English and Chinese: every text is written in English and looked up in a catalogue.

The language is set once, by whoever is asked for it (a command, a call of the library), and holds
for all that runs inside. The catalogues are the YAML files in `zh/`: `English: 中文`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import Any, Literal, Self

Lang = Literal["en", "zh"]
"""English, or simplified Chinese."""

TAGS: dict[Lang, str] = {"en": "en", "zh": "zh-Hans"}
"""The languages by their names in HTML."""

_language: ContextVar[Lang] = ContextVar("language", default="en")


def t(text: str, /, **values: Any) -> str:
    """Return an English text in the current language.

    Texts with numbers in them are templates: `t("{n} {n:sample|samples}", n=64)`, see `filled`.
    Names of options, files, datasets and metrics are never translated. A text that the catalogues
    lack stays English; `tests/report/test_language.py` finds such texts.
    """
    template = text if _language.get() == "en" else catalogue().get(text, text)
    return filled(template, **values) if values else template


def filled(template: str, /, **values: Any) -> str:
    """Return a template with its values; `{n:block stays|blocks stay}` is the word that fits `n`.

    Chinese words have one form, so Chinese templates need no such fields.
    """
    return _FILLER.vformat(template, (), values)


def counted(number: int, one: str, several: str | None = None) -> str:
    """Return `1 block` or `2,000 blocks`, for texts in English only, e.g. of errors."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


class _Filler(Formatter):
    """Fills templates; a field with two forms of a word takes the one for its number."""

    def format_field(self, value: Any, form: str) -> str:
        one, several, *_ = [*form.split("|"), ""]
        if not several:
            return str(super().format_field(value, form))
        return one if str(value) == "1" else several


_FILLER = _Filler()


class Note(str):
    """A remark made where nothing is printed: English as a text, and in any language when shown.

    `Note("{n} samples", n=64)` is the text `64 samples` wherever a text is wanted, as in files.

    Attributes:
        template: the English text, with a field in braces for each value.
        values: of the fields; one may be a note itself.
    """

    template: str
    values: dict[str, Any]

    def __new__(cls, template: str, /, **values: Any) -> Self:
        note = super().__new__(cls, filled(template, **values) if values else template)
        note.template, note.values = str(template), values
        return note

    def translated(self) -> str:
        """Return the remark in the current language."""
        if not self.values:
            return t(self.template)
        values = {
            name: value.translated() if isinstance(value, Note) else value
            for name, value in self.values.items()
        }
        return t(self.template, **values)


def current_language() -> Lang:
    """Return the language that texts are shown in; English unless another one was set."""
    return _language.get()


def set_language(lang: Lang) -> None:
    """Show all further texts in `lang`: a command does so at its start, in a context of its own."""
    _language.set(lang)


@contextmanager
def language(lang: Lang) -> Iterator[None]:
    """Show texts in `lang` inside a `with` block, or in a function decorated with this.

    A thread or a process that is started inside begins in English: give it the language
    (`contextvars.copy_context().run`), or set it there.
    """
    before = _language.set(lang)
    try:
        yield
    finally:
        _language.reset(before)


@cache
def catalogue() -> dict[str, str]:
    """Return all Chinese texts by their English ones."""
    import yaml  # English needs none

    texts: dict[str, str] = {}
    for entry in sorted(files("depthprune.base").joinpath("zh").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".yaml"):
            texts |= yaml.safe_load(entry.read_text(encoding="utf-8")) or {}
    return texts
