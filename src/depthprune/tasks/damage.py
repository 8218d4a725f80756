"""Answers that a score hides the state of: empty, repetitive, cut off, or in another script.

A model that lost blocks may still name the right option while what it writes has fallen apart.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Kind = Literal["empty", "repetitive", "cut", "script"]
"""Nothing in it can be seen; an n-gram fills half of it; it reached the limit of its length; it is
in another script than the whole model's answer."""

LONGEST_GRAM = 4
"""Tokens of the longest n-gram that is looked for."""

FEWEST = 3
"""Times that an n-gram stands in a text at least: `New York, New York` is no repetition."""

LONG_WORD = 16
"""Letters from which on a word may itself be a repetition; `1000000` is none."""

USUAL = 0.05
"""The share of the whole model's answers from which on a script is one that it writes in."""


@dataclass(frozen=True)
class Damage:
    """The damaged answers of a removal, or of the whole model, on one dataset.

    Attributes:
        num_answers: how many there are.
        empty, repetitive, script: shares of them, see `Kind`.
        cut: likewise; None where it was not recorded.
        any: the share with any of these; one answer may have several.
    """

    num_answers: int
    empty: float
    repetitive: float
    cut: float | None
    script: float
    any: float


FEWEST_MORE = 3
MOST_MORE = 0.1
"""So many more answers, and such a share more than of the whole model's, must be damaged for a
removal to be said to break what the model writes."""


def breaks(before: Damage, after: Damage) -> bool:
    """Return whether a removal breaks what the model writes; a few answers are an accident."""
    more = after.any - before.any
    return more >= MOST_MORE and more * after.num_answers >= FEWEST_MORE - 0.5


def pooled(found: Sequence[Damage]) -> Damage:
    """Return the damage to all answers of several datasets, one at least."""
    total = sum(one.num_answers for one in found)

    def share(of: Callable[[Damage], float]) -> float:
        return sum(of(one) * one.num_answers for one in found) / total

    is_known = all(one.cut is not None for one in found)
    return Damage(
        num_answers=total,
        empty=share(lambda one: one.empty),
        repetitive=share(lambda one: one.repetitive),
        cut=share(lambda one: one.cut or 0.0) if is_known else None,
        script=share(lambda one: one.script),
        any=share(lambda one: one.any),
    )


def damage(
    answers: Sequence[str], whole: Sequence[str], cut: Collection[int] | None = None
) -> Damage:
    """Return the damage to the answers of a removal, or of the whole model itself.

    Args:
        answers: that were written, one at least; not letters of chosen options, nor likelihoods.
        whole: the whole model's answers to the same samples.
        cut: places of the answers that reached the limit of their length; None: not known.
    """
    found = kinds_of(answers, whole, cut)
    counts = Counter(kind for kinds in found for kind in kinds)
    shares = {kind: counts[kind] / len(found) for kind in ("empty", "repetitive", "script")}
    return Damage(
        num_answers=len(found),
        **shares,
        cut=None if cut is None else counts["cut"] / len(found),
        any=sum(map(bool, found)) / len(found),
    )


def kinds_of(
    answers: Sequence[str], whole: Sequence[str], cut: Collection[int] | None = None
) -> list[tuple[Kind, ...]]:
    """Return how each answer is damaged, usually not at all; arguments as for `damage`."""
    usual, places = _usual_scripts(whole), frozenset(cut or ())
    return [
        _kinds(text, place in places, _is_foreign(text, before, usual))
        for place, (text, before) in enumerate(zip(answers, whole, strict=True))
    ]


@lru_cache(maxsize=1 << 16)
def _kinds(text: str, is_cut: bool, is_foreign: bool) -> tuple[Kind, ...]:
    found: dict[Kind, bool] = {
        "empty": is_empty(text),
        "repetitive": is_repetitive(text),
        "cut": is_cut,
        "script": is_foreign,
    }
    return tuple(kind for kind, applies in found.items() if applies)


def _is_foreign(text: str, before: str, usual: frozenset[str]) -> bool:
    """Return whether an answer is in another script than the whole model's."""
    own = () if text == before else scripts(text)
    # The whole model's answer may be a number.
    return bool(own) and own[0] not in (scripts(before) or usual)


def is_empty(text: str) -> bool:
    """Return whether nothing in a text can be seen."""
    return not any(letter.isprintable() and not letter.isspace() for letter in text)


def is_repetitive(text: str) -> bool:
    """Return whether an n-gram of one to four tokens, three times or more, fills half of a text.

    A token is a word, a number, a sign of a script without spaces between words, or, of a text
    without any of these, a punctuation mark. A word of sixteen letters or more is also one if half
    of it is up to eight letters in turn.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    tokens = _WORD.findall(folded) or _MARK.findall(folded)
    if any(len(token) >= LONG_WORD and _repeats(token) for token in tokens):
        return True
    return any(
        count >= FEWEST and 2 * count * length >= len(tokens)
        for length in range(1, LONGEST_GRAM + 1)
        for count in _counts(tokens, length).values()
    )


def _counts(tokens: Sequence[str], length: int) -> Counter[tuple[str, ...]]:
    """Count the n-grams that do not overlap with themselves."""
    counts: Counter[tuple[str, ...]] = Counter()
    free: dict[tuple[str, ...], int] = {}
    for place in range(len(tokens) - length + 1):
        gram = tuple(tokens[place : place + length])
        if place >= free.get(gram, 0):
            counts[gram] += 1
            free[gram] = place + length
    return counts


def _repeats(word: str) -> bool:
    return any(2 * len(found[0]) >= len(word) for found in _PERIOD.finditer(word))


@lru_cache(maxsize=1 << 16)
def scripts(text: str) -> tuple[str, ...]:
    """Return the scripts of the letters of a text, the one with most letters first."""
    found = Counter(
        _script(letter) for letter in unicodedata.normalize("NFKC", text) if letter.isalpha()
    )
    return tuple(script for script, _ in found.most_common())


@lru_cache(maxsize=1 << 12)
def _script(letter: str) -> str:
    """Return the script of a letter; Japanese mixes three, which are one here."""
    name = unicodedata.name(letter, "UNKNOWN").partition(" ")[0]
    return "CJK" if name in ("CJK", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC") else name


def _usual_scripts(answers: Sequence[str]) -> frozenset[str]:
    """Return the scripts of a share of the answers that is no accident."""
    found = Counter(script for text in answers for script in scripts(text)[:1])
    return frozenset(script for script, times in found.items() if times >= USUAL * len(answers))


_SIGNS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_PUNCTUATION = r"\s!-&(-/:-@\[-`{-~\u00a1-\u00bf\u2000-\u206f\u2190-\u2bff\u3000-\u303f"
_WORD = re.compile(f"[{_SIGNS}]|[^{_SIGNS}{_PUNCTUATION}]+")
_MARK = re.compile(r"\S")
_PERIOD = re.compile(r"(.{1,8}?)\1{3,}")
