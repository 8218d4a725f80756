"""Multiple choice by letter: find the option that a generated answer names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase

from depthprune.tasks.metrics.normalise import normalise_answer
from depthprune.tasks.task import Sample, Scorer

_ALONE = re.compile(r"[\s(\[*]*([A-Za-z])[\s)\].:*]*")
_LEADING = re.compile(r"\s*(?:[(\[*]+([A-Z])[)\]*]|([A-Z])[).:,])")
# A and I before another word are words themselves ("Answer: A cat is here"), unless it cannot be a
# noun ("Answer: A because ...").
_ANNOUNCED = re.compile(
    r"(?i:\b(?:answer|option|choice)(?:\s+is)?\s*:?)[\s(\[*\"']*"
    r"([B-HJ-Z](?![A-Za-z'])"
    r"|[AI](?=[)\].,:;!?*\"']|[ \t]*(?:$|[-(])|\s+(?:is|because|since|as)\b))",
    re.MULTILINE,
)
_BRACKETED = re.compile(r"[(\[]([A-Z])[)\]]")


class ChoiceLetter(Scorer):
    """1 when the option that the answer names is the right one, else 0.

    The references hold the right letter. A sample without options (an open question among
    multiple choice) is scored by normalised exact match.
    """

    name = "choice_letter"

    def score(self, sample: Sample, answer: str) -> float:
        """Return 1.0 or 0.0; an answer that names no option, or several, earns 0."""
        if not sample.choices:
            given = normalise_answer(answer)
            return float(any(normalise_answer(r) == given for r in sample.references))
        return float(parse_choice(answer, sample.choices) in sample.references)


def parse_choice(answer: str, choices: Sequence[str]) -> str | None:
    """Return the letter of the option that `answer` names, or None when that is unclear.

    Understood, in this order: the letter alone (`B`, `(B)`, `b.`); the option's text; a letter
    set off at the beginning (`B. a dog`, `(B) a dog`); `the answer is B`; one letter in brackets;
    one option whose text occurs in the answer.
    """
    letters = ascii_uppercase[: len(choices)]
    if (match := _ALONE.fullmatch(answer)) and match[1].upper() in letters:
        return match[1].upper()
    texts = [normalise_answer(choice) for choice in choices]
    given = normalise_answer(answer)
    if given and texts.count(given) == 1:
        return letters[texts.index(given)]
    if (match := _LEADING.match(answer)) and (letter := match[1] or match[2]) in letters:
        return letter
    for pattern in (_ANNOUNCED, _BRACKETED):
        named: set[str] = {letter for letter in pattern.findall(answer) if letter in letters}
        if len(named) == 1:
            return named.pop()
    return _mentioned(given, texts, letters)


def _mentioned(given: str, texts: Sequence[str], letters: str) -> str | None:
    found = [place for place, text in enumerate(texts) if text and _occurs(text, given)]
    # "dark red" names the option "dark red", not also the option "red" within it.
    widest = [
        place
        for place in found
        if not any(other != place and _occurs(texts[place], texts[other]) for other in found)
    ]
    return letters[widest[0]] if len(widest) == 1 else None


def _occurs(part: str, whole: str) -> bool:
    return f" {part} " in f" {whole} "
