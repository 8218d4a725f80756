"""What answers are compared by: as the official VQA evaluation does, and by words and numbers."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

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

_UP_TO_TEN = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBER_WORDS = {"none": "0"} | {word: str(number) for number, word in enumerate(_UP_TO_TEN)}
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


_COUNTING = (  # noqa: SIM905 - a list of quoted words is longer
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NUMBER_WORDS = (
    {"none": 0}
    | {word: number for number, word in enumerate(_COUNTING)}
    | {word: 10 * number for number, word in enumerate(_TENS, start=2)}
)
_TWENTY_ONE = re.compile(rf"\b({'|'.join(_TENS)})[- ]({'|'.join(_COUNTING[1:10])})\b")

# Full and half width, small forms, letters in circles and brackets, units and indices of one
# character. NFKC of everything else would turn x² into x2.
_WIDTHS = re.compile(
    "[\u2080-\u2089\u2103\u2109\u2460-\u24ff\u3000\u3300-\u33ff\ufe50-\ufe6f\uff00-\uffef"
    "\U0001f110-\U0001f149]+"
)
_SAME = str.maketrans(
    dict.fromkeys("‐‑‒–—−", "-")
    | dict.fromkeys("‘’´′", "'")
    | dict.fromkeys("“”„«»「」『』《》″", '"')
    | {"。": ". ", "、": ",", "٪": "%", "٫": ".", "٬": ",", "،": ","}
    | {"×": "*", "·": "*", "⋅": "*", "÷": "/", "≥": ">=", "≤": "<=", "≠": "!="}
)

# Written without blanks: each character is a word of its own.
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"

# Two words that a hyphen joins; between single letters it is a minus.
_HYPHEN = re.compile(r"(?<=[^\W\d_]{2})-(?=[^\W\d_])|(?<=[^\W\d_])-(?=[^\W\d_]{2})")
_ABBREVIATION = re.compile(r"(?<=[^\W\d_])\.(?=[^\W\d_])")
_WORD = rf"[^\W{_UNSPACED}]"
# A unit may follow a number at once: 5kg, 1,000km.
_TOKEN = re.compile(
    rf"(?P<digits>(?<!{_WORD})\.?\d+(?:[.,:]\d+)*(?:e[+-]?\d{{1,4}}(?!{_WORD}))?(?![\d_]))"
    rf"|(?P<word>[{_UNSPACED}]|{_WORD}+(?:[.']{_WORD}+)*)"
    r"|(?P<sign>\S)"
)
_PRIME = re.compile(r"(?<=\d)(?:'(?![a-z])|\")")  # of feet and inches, minutes and seconds
_RAISED = re.compile("[⁰¹²³⁴-⁹⁺⁻]+")
_PRIMES = {"'": "′", '"': "″"}
_LATEX_WRAPPED = re.compile(
    r"\\(?:boxed|fbox|text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|bm)\s*\{([^{}]*)\}"
)
_SPELLINGS = (
    (re.compile(r"\\([%$#&_{}])"), r"\1"),
    (re.compile(r"\\(?:(?:left|right)(?![a-z])|[,;! ])"), ""),
    (re.compile(r"\\(?:times|cdot)(?![a-z])"), "*"),
    (re.compile(r"\\[dt]?frac\{(\w+)\}\{(\w+)\}"), r"\1/\2"),
    (re.compile(r"([\^_])\{(-?\w+)\}"), r"\1\2"),
    (re.compile(r"\b(?:minus|negative)\s+(?=\.?\d)"), "-"),
    (re.compile(r"(?<=\d)[\u00a0\u2009\u202f'](?=\d{3}(?!\d))"), ","),  # 1'000
    (re.compile(r"(?<=\d)\s+:\s*(?=\d)"), ":"),
)
"""What is written in two ways and means the same."""
_NUMBER = re.compile(r"(?:\d{1,3}(?:,\d{2,3})*,\d{3}|\d*)(?:\.\d+)?(?:e[+-]?\d+)?")
# After a number it is the factorial, before a name the negation.
_EXCLAMATION = re.compile(r"(?<![\d)!])!+(?![\w=(])")
_OPERATORS = frozenset("%‰‱&*/\\@#·!′″")
_BRACKETS = frozenset("()[]{}")
_AROUND = (
    *(("(", ")"), ("[", "]"), ("\\(", "\\)"), ("\\[", "\\]")),
    *((mark, mark) for mark in ("**", "*", "__", "_", "`", "$$", "$", '"', "'")),
)

Tokens = tuple[str, ...]


def fold(text: str) -> str:
    """Return `text` in NFC, with one form of every digit, width, dash and quotation mark."""
    text = _WIDTHS.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    text = unicodedata.normalize("NFC", text).translate(_SAME)
    return "".join(map(_visible, text)) if not text.isascii() else text


def compared(text: str) -> Tokens:
    """Return the words, numbers and signs that an answer consists of.

    Dropped are case, the punctuation of sentences, quotes, marks around the whole answer, articles
    before a word, and brackets in prose. A number has one form (`1,000` and `1000.0`, `Two` and
    `2`, `+5` and `5`), signs and operators stay. An answer of punctuation alone is that
    punctuation; a blank one has no tokens.
    """
    folded = fold(text).casefold().strip()
    tokens: list[str] = []
    for match in _TOKEN.finditer(_prepared(folded)):
        if match["digits"]:
            tokens += _numbers(match["digits"])
        elif match["word"]:
            tokens.append(_word(match["word"]))
        elif not _is_punctuation(match["sign"]):
            tokens.append(match["sign"])
    if all(token[0].isalpha() or token in _BRACKETS for token in tokens):
        tokens = [token for token in tokens if token not in _BRACKETS]
    if tokens[:2] == ["-", "0"] or (tokens[:1] == ["+"] and tokens[1:2] and tokens[1][0].isdigit()):
        tokens = tokens[1:]
    kept = [
        token
        for token, following in zip(tokens, (*tokens[1:], ""), strict=False)
        if token not in ARTICLES or not following[:1].isalnum()
    ]
    return tuple(kept) or ((folded,) if folded else ())


def _prepared(text: str) -> str:
    for pattern, plain in _SPELLINGS:
        text = pattern.sub(plain, text)
    text = _RAISED.sub(lambda raised: "^" + fold(unicodedata.normalize("NFKC", raised[0])), text)
    before = ""
    while before != text:
        before = text
        text = _LATEX_WRAPPED.sub(r"\1", text).strip()
        for opening, closing in _AROUND:
            inner = text[len(opening) : len(text) - len(closing)]
            around = text.startswith(opening) and text.endswith(closing) and inner.strip()
            # Not `(2+3)*(4+5)`, and not an interval `[1, 2)`.
            apart = opening in inner or closing in inner or ("," in inner and opening in "([")
            if around and not apart:
                text = inner.strip()
    text = _TWENTY_ONE.sub(
        lambda match: str(_NUMBER_WORDS[match[1]] + _NUMBER_WORDS[match[2]]), text
    )
    text = _PRIME.sub(lambda match: match[0] if _is_closing(match) else _PRIMES[match[0]], text)
    return _ABBREVIATION.sub("", _HYPHEN.sub(" ", _EXCLAMATION.sub(" ", text)))


def _is_closing(mark: re.Match[str]) -> bool:
    return mark.string.count(mark[0], 0, mark.start()) % 2 == 1


def _numbers(digits: str) -> list[str]:
    """Return the number that digits with points and commas are; 10:30 and 1.2.3 are none."""
    if _NUMBER.fullmatch(digits):
        return [_number(digits)]
    if ":" in digits or digits.count(".") > 1:
        return [digits]
    return [_number(part) if _NUMBER.fullmatch(part) else part for part in digits.split(",")]


def _number(digits: str) -> str:
    """Write a number in one way only, exactly: 1,000 and 1000.00 as 1e3."""
    _, figures, exponent = Decimal(digits.replace(",", "")).as_tuple()
    written = "".join(map(str, figures)).lstrip("0")
    shortest = written.rstrip("0")
    if not shortest:
        return "0"
    return f"{shortest}e{int(exponent) + len(written) - len(shortest)}"


def _word(word: str) -> str:
    if word in _NUMBER_WORDS:
        return _number(str(_NUMBER_WORDS[word]))
    return CONTRACTIONS.get(word, word)


def _is_punctuation(sign: str) -> bool:
    return unicodedata.category(sign) in ("Po", "Pi", "Pf") and sign not in _OPERATORS


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    return "" if category == "Cf" else character
