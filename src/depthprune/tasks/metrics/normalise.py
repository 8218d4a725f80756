"""The answer normalisation of the official VQA evaluation."""

from __future__ import annotations

import re

# Written as they should be; a model's answer lacks one of the apostrophes.
_WELL_WRITTEN = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've
might've mustn't must've needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've
shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll
someone's something'd something'd've something'll that's there'd there'd've there're there's they'd
they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've
when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't
would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
""".split()  # noqa: SIM905 - a list of quoted apostrophes is harder to check

CONTRACTIONS = {
    word[:place] + word[place + 1 :]: word
    for word in _WELL_WRITTEN
    for place, letter in enumerate(word)
    if letter == "'"
    # The official table turns this one around; scores must agree with it.
} | {"somebody'd": "somebodyd"}

_COUNTING = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBER_WORDS = {"none": "0"} | {word: str(number) for number, word in enumerate(_COUNTING)}
ARTICLES = frozenset({"a", "an", "the"})
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'

_DIGITS_WITH_COMMA = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")


def normalise_answer(text: str) -> str:
    """Return `text` as the official VQA evaluation compares it.

    Punctuation goes (to a blank between letters, to nothing beside a blank or where a number has
    a comma), periods that are not decimal points go, then lower case, number words to digits,
    articles out, apostrophes back into contractions.

    Source: VQAEval of github.com/GT-Vision-Lab/VQA (`processPunctuation`, `processDigitArticle`).
    """
    text = text.replace("\n", " ").replace("\t", " ").strip()
    words = (NUMBER_WORDS.get(word, word) for word in _without_punctuation(text).lower().split())
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def _without_punctuation(text: str) -> str:
    has_comma_number = _DIGITS_WITH_COMMA.search(text) is not None
    result = text
    for sign in PUNCTUATION:
        beside_blank = f"{sign} " in text or f" {sign}" in text
        result = result.replace(sign, "" if beside_blank or has_comma_number else " ")
    # The official code hands re.UNICODE (32) to the parameter `count`.
    return _PERIOD.sub("", result, count=32)
