"""Where an answer names the letters of options, which of them together, and which it denies."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_OPEN = r"(\[{<\"'【〔"
_CLOSE = r")\]}>\"'】〕"

# A letter that stands alone: not of T-shirt, I'm, i.e. or U.S.
_LETTER = re.compile(
    r"(?<![A-Za-z0-9_&\\])(?<![A-Za-z][.'-])([A-Za-z])"
    r"(?![A-Za-z0-9_&]|'[A-Za-z]|-[A-Za-z]|\.[A-Za-z](?![A-Za-z]))"
)
# What may follow a letter that is no word of a sentence, as A and I often are.
_SET_OFF = re.compile(
    rf"[{_CLOSE}.,:;!?/+]|[ \t]*(?:$|[-(|&\n]|[^\x00-\x7f])"
    r"|\s+(?:is|was|because|since|as|and|or|but|not|instead|rather|over|must|seems|looks|[A-Z](?![A-Za-z']))\b"
)
_TOGETHER = re.compile(
    rf"[{_CLOSE}]*(?:\s*(?:,?\s*(?:(?:and/or|or|and|nor|as well as)\b|[和或与及かとや]者?|以及"
    r"|または)|[,;/|&+])\s*"
    rf"|[ \t]*)(?:(?:either|both|maybe|perhaps|possibly|option|choice)\b[ \t]*)*[{_OPEN}]*",
    re.IGNORECASE,
)
_VERB = re.compile(rf"[{_CLOSE}]*\s+(?:is|was|has|does|shows|looks|seems|would|can)\b")
_DENIED_BEFORE = re.compile(
    r"(?:\b(?:not|never|neither|nor|except(?: for)?|than|instead of|unlike|without|cannot"
    r"|wrong|incorrect|none of|(?:all|anything|everything) but"
    r"|(?:exclud|eliminat|reject|discard)(?:e|es|ed|ing|s)?"
    r"|rul(?:e|es|ed|ing) out)\b|n't\b|[不非别]|不是|不能|排除|除了|而非)"
    r"\s*(?:(?:be|that|the|an|either|both|is|choose|pick|select|answer|option|choice|letter)s?\b\s*"
    rf"|[是选]|选择|选项|答案)*[:{_OPEN}\s]*$",
    re.IGNORECASE,
)
_DENIED_AFTER = re.compile(
    rf"[{_CLOSE}]*\s*(?:(?:(?P<many>are|were|(?:can|could|must|may) be)|is|was|seems?"
    r"|looks?|would be)\s+"
    r"(?:\w+ly\s+|both\s+|all\s+|also\s+|just\s+|the\s+|an?\s+)*"
    r"(?:not|wrong|incorrect|false|excluded|eliminated|impossible|ruled out|out|inaccurate)\b"
    r"|(?:is|are|was|were|does|do|did|can|could|would)n't\b"
    r"|(?:cannot|can not|does not|do not|did not|could not)\b"
    r"|(?:选项|项)?[是也都]*(?:错|不|排除)|(?:は|が)?(?:では|じゃ)な|[はが](?:間違|誤|違)"
    r"|[❌✗✘✖]"
    r"|\?\s*no\b)",
    re.IGNORECASE,
)


class Mention(NamedTuple):
    """One letter in an answer, in upper case; a plain one is a bare lower-case letter."""

    letter: str
    start: int
    end: int
    plain: bool


class Group(NamedTuple):
    """Letters that are named together (`A and B`), without those that are denied."""

    letters: frozenset[str]
    start: int
    mentions: tuple[Mention, ...]


def find_groups(text: str, letters: str, masked: Iterable[tuple[int, int]]) -> list[Group]:
    """Return the letters that a text names, in order, grouped.

    Args:
        text: folded (`fold`), without markup.
        letters: those of the options.
        masked: stretches whose letters are words, such as options' texts.
    """
    spans = list(masked)
    groups: list[list[Mention]] = []
    for mention in _mentions(text, letters):
        if any(start <= mention.start < end for start, end in spans):
            continue
        if groups and _belongs(text, groups[-1][-1], mention):
            groups[-1].append(mention)
        else:
            groups.append([mention])
    return [_group(text, mentions) for mentions in groups]


def is_denied(before: str, after: str) -> bool:
    """Return whether something between two texts is denied: `not` B, B `is wrong`."""
    return _denied_before(before, len(before)) or _DENIED_AFTER.match(after) is not None


def _mentions(text: str, letters: str) -> Iterable[Mention]:
    for match in _LETTER.finditer(text):
        letter, (start, end) = match[1], match.span(1)
        if letter.upper() not in letters:
            continue
        closed = text[end : end + 1] != "" and text[end] in ")]}】〕"
        bracketed = closed and start > 0 and text[start - 1] in "([{【〔"
        set_off = _SET_OFF.match(text, end) is not None
        if bracketed or set_off or (letter.isupper() and letter not in "AI"):
            yield Mention(letter.upper(), start, end, letter.islower() and not closed)


def _belongs(text: str, before: Mention, mention: Mention) -> bool:
    between = text[before.end : mention.start]
    if before.plain != mention.plain or not _TOGETHER.fullmatch(between):
        return False
    # "Not B; C" begins a new clause.
    if ";" in between and _denied_before(text, before.start):
        return False
    # "B, C is for cats" begins a new clause.
    return "," not in between or between.strip() != "," or not _VERB.match(text, mention.end)


def _group(text: str, mentions: list[Mention]) -> Group:
    denied: set[str] = set()
    if _denied_before(text, mentions[0].start):
        denied = {mention.letter for mention in mentions}
    elif match := _DENIED_AFTER.match(text, mentions[-1].end):
        denied = {mention.letter for mention in (mentions if match["many"] else mentions[-1:])}
    named = frozenset(mention.letter for mention in mentions) - denied
    return Group(named, mentions[0].start, tuple(mentions))


def _denied_before(text: str, start: int) -> bool:
    return _DENIED_BEFORE.search(text[max(0, start - 60) : start]) is not None
