"""Multiple choice: the option that a written answer names, or the likeliest one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from string import ascii_uppercase
from typing import NamedTuple

from depthprune.tasks.metrics import scores_by
from depthprune.tasks.metrics.words import Tokens, compared, fold
from depthprune.tasks.task import Sample, Scorer

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


_THINKING = r"(?:think|thinking|thought|reasoning)[>▷\]]"
_OPENING = rf"(?:[<◁\[]{_THINKING}|<\|begin_of_thought\|>)"
_CLOSING = rf"(?:[<◁\[]/{_THINKING}|<\|end_of_thought\|>)"
_THOUGHT = re.compile(rf"{_OPENING}.*?(?:{_CLOSING}|$)", re.DOTALL | re.IGNORECASE)
_THOUGHT_END = re.compile(_CLOSING, re.IGNORECASE)
_MARKED = (
    re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}"),
    re.compile(r"<((?:final_?)?answer)>(.*?)(?:</\1>|$)", re.DOTALL | re.IGNORECASE),
    re.compile(r"<\|begin_of_box\|>(.*?)(?:<\|end_of_box\|>|$)", re.DOTALL),
    re.compile(r"^####\s*(.+)$", re.MULTILINE),
)
_WRAPPED = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|mathsf|bm)\s*\{([^{}]*)\}")
_MARKUP = re.compile(
    r"\*+|`+|~~|\\[()\[\]]|\$(?!\d[\d.,]*+(?!\$))|(?<![A-Za-z0-9])_+|_+(?![A-Za-z0-9])|<\|[a-z_]+\|>"
    r"|(?-i:</?(?:[bips]|br|em|strong|span|div|code)\s*/?>)|^[ \t]*(?:#+|[-•>])[ \t]+",
    re.MULTILINE | re.IGNORECASE,
)

_FILLER = (
    r"(?:(?:therefore|thus|hence|so|probably|most likely|likely|clearly|definitely|indeed|simply"
    r"|just|either|both|the|option|choice|letter)\b[\s,]*|选项)*"
)
_OPENERS = r"[\s(\[{<\"'【〔]*"
# The words after which a reader expects the answer; where `is` or a colon is among them, the
# answer may be an option's text.
_CUE = re.compile(
    r"(?:\b(?:answer|ans|solution|conclusion)\b\.?"
    r"|\b(?:correct|right|best|final|my)\s+(?:option|choice|letter|one)\b"
    r"|(?<!each )(?<!every )\b(?:choice|option|letter)(?=[\"']?\s*[:=])"
    r"|\b(?:choose|chose|pick|picked|select|selected|(?:go|going|went) (?:with|for)|opt for)\b"
    r"|\b(?:it's|it is|it must be|so|therefore|thus|hence|(?:would|i'd|i'll) say)\b,?"
    r"|[,;]\s*(?:but\s+)?(?:probably|rather|(?:more|most) likely)\b"
    r"|答案|正解|答え|정답|正确选项|(?<![不别非未])(?:选择|选(?!项)))"
    r"[\"'】\])]*(?:\s+(?:to|of|for|in|here)\b[^.!?\n]{0,60}?(?=\s(?:is|would|must|should)\b))?"
    r"(?P<says>(?:\s*(?:(?:is|was|be|would be|should be|must be|will be)\b|[:=]|->|→|应该|应当|应"
    r"|[是为选はは은]))*)"
    rf"\s*{_FILLER}{_OPENERS}",
    re.IGNORECASE,
)
_CALLED_RIGHT = re.compile(
    r"[\s)\]}>\"'】〕]*(?:(?:选项|项)?[是为]?最?(?:正确|对的|对(?=\W|$))|[がは]正[解し])"
    r"|\s*[✅✔✓]"
    r"|[)\]}>\"'】〕]*\s+(?:is|was|seems|looks|appears|would be|should be|must be)\s+"
    r"(?:(?:to be|the|more|most|likely|probably|clearly|definitely|indeed|a|my|also|only|one|that"
    r"|is|thus|therefore)\s+)*"
    r"(?:correct|right|true|best|better|answer|choice|option|accurate"
    r"|(?:more|most)\s+(?:likely|plausible|probable|appropriate|suitable))\b",
    re.IGNORECASE,
)
# A reason names other options too: `D, because B is correct for cats`.
_REASON = re.compile(
    r"(?<=[^\s.!?。])[^\S\n]*(?:\b(?:because|since)\b|因为).*?(?=[.!?\n。]|\b(?:so|therefore|thus|hence)\b|所以|因此|故|$)"
    r"|(?:^|\n)\s*(?:explanation|reason(?:ing)?|解析|理由|原因)\s*[:：].*",
    re.IGNORECASE | re.DOTALL,
)
_FOREIGN = re.compile(r"[B-HJ-Z](?=[).:,;!?】\]]|\s*$|\n)")
_FORMULA = re.compile(r"\b[A-Za-z]\s*[<>+*^]\s*(?:[A-Za-z]\b|\d)|\b[A-Za-z] ?= ?-?[\d.]+")
_PREFACE = re.compile(
    rf"{_OPENERS}(?:(?:sure|okay|ok|yes|well|so|thus|therefore|hence|it is|it's|i think|i believe"
    r"|i'd say|probably|definitely|clearly|maybe|option|choice|letter)\b[\s,.:!]*|选项)*"
    rf"{_OPENERS}",
    re.IGNORECASE,
)
_LONE = re.compile(r"[\s()\[\]{}<>\"'.,:;!?【】〔〕]*([A-Za-z])[\s()\[\]{}<>\"'.,:;!?【】〔〕]*")
_NEXT_QUESTION = re.compile(r"\n\s*(?:question|human|user|q|问题?)\s*:", re.IGNORECASE)
_CROSSED_OUT = re.compile(r"~~.*?~~")
_BLANKS = re.compile(r"[^\S\n]+|(?<=\n)\s+")
_LISTED = re.compile(
    r"^[\s(\[【|]*(?:(?:option|choice) )?([A-Za-z])(?:[)\].:】|]+|\s+-)(?=\s|\w)(.*)$",
    re.MULTILINE | re.IGNORECASE,
)
_REFUSES = re.compile(
    r"\b(?:wrong|incorrect|false|not|too|never|no)\b|n't\b|[不错❌✗✘✖]", re.IGNORECASE
)
_MOST = 200  # announcements of an answer are read, from the last on
_FAR = 300  # as many characters at most belong to one clause
_SENTENCE = re.compile(r"[.!\n]+(?:\s|$)|。")


@scores_by("choice_letter", version=2)
class ChoiceLetter(Scorer):
    """1 when the option that the answer names is the right one, else 0.

    The references hold the right letter. A sample without options (an open question among
    multiple choice) is scored as `exact_match` does.
    """

    name = "choice_letter"

    def score(self, sample: Sample, answer: str) -> float:
        """Return 1.0 or 0.0; an answer that names no option, or several, earns 0."""
        if not sample.choices:
            given = compared(answer)
            return float(bool(given) and any(compared(r) == given for r in sample.references))
        return float(parse_choice(answer, sample.choices) in sample.references)


def parse_choice(answer: str, choices: Sequence[str]) -> str | None:
    """Return the letter of the option that `answer` names, or None when that is unclear.

    Read in this order, as a reader would: what is marked as the answer (`\\boxed{B}`,
    `<answer>B</answer>`); the letter alone; an option's text; the last letter or text that is
    announced (`Answer: B`, `B is correct`, `答案是B`) or stands alone on the last line; a letter
    at the beginning; the only option that is named at all, by letter or text. Several options named
    together are none, and an option that is denied (`not A`, `A is wrong`) is not named.
    """
    text = _THOUGHT.sub("", _THOUGHT_END.split(fold(answer))[-1])
    marked = _marked(text)
    options = choices[: len(ascii_uppercase)]
    if marked is not None:
        return _Reader(marked, options).read()
    # A model that goes on with a question of its own has answered before.
    own, *rest = _NEXT_QUESTION.split(text, maxsplit=1)
    return (_Reader(own, options).read() if rest else None) or _Reader(text, options).read()


class _Reader:
    """One answer with the options of its question."""

    def __init__(self, text: str, choices: Sequence[str]) -> None:
        self.letters = ascii_uppercase[: len(choices)]
        self.choices = choices
        self.written = text
        bare = _MARKUP.sub("", _WRAPPED.sub(r"\1", _CROSSED_OUT.sub("", text)))
        self.text = _BLANKS.sub(" ", bare).strip()
        self.lines = [line for line in map(str.strip, self.text.splitlines()) if line]
        self.options = [compared(choice) for choice in choices]
        self.cores = _without_common_ends(self.options)
        spans = [
            match.span()
            for choice in choices
            if re.search(r"\b[A-Za-z]\b", choice) and len(choice.strip()) > 1
            for match in re.finditer(_spaced(fold(choice)), self.text, re.IGNORECASE)
        ]
        formulas = [match.span() for match in _FORMULA.finditer(self.text)]
        self.groups = find_groups(self.text, self.letters, [*spans, *formulas])

    def read(self) -> str | None:
        if (lone := _LONE.fullmatch(self.text)) and lone[1].upper() in self.letters:
            return lone[1].upper()
        if (exact := self._is_option(self.written) or self._is_option(self.text)) is not None:
            return exact
        steps = (
            self._announced, self._judged, self._leading, self._called_right_as_a_reason,
            self._first_sentence, self._only_one,
        )  # fmt: skip
        for step in steps:
            named = step()
            if named is not None:
                return named or None
        return None

    def _announced(self) -> str | None:
        """Return the option announced last, "" where several are announced together."""
        lone = [match[1].upper() if (match := _LONE.fullmatch(line)) else "" for line in self.lines]
        if len(set(lone)) > 1 and "" not in lone:
            return ""
        if len(lone) > 1 and lone[-1] in self.letters and lone[-1]:
            return lone[-1]
        cues = {cue.end(): bool(cue["says"].strip()) for cue in _CUE.finditer(self.text)}
        starts = {group.start: group for group in self.groups}
        reasons = {place for one in _REASON.finditer(self.text) for place in range(*one.span())}
        right = {group.start for group in self._called_right} - reasons
        for place in sorted({*cues, *right}, reverse=True)[:_MOST]:
            letters: frozenset[str] | set[str] = frozenset()
            if group := starts.get(place):
                letters = group.letters
            elif cues[place]:
                clause = _SENTENCE.split(self.text[place : place + _FAR].lstrip(), maxsplit=1)[0]
                letters = self._texts_in(clause)
                if not letters and (exact := self._is_option(clause)):
                    return exact
            if letters:
                return _single(letters)
            if (foreign := _FOREIGN.match(self.text, place)) and foreign[0] not in self.letters:
                return ""
        if len(self.lines) > 1:
            return self._is_option(self.lines[-1])
        return None

    @property
    def _called_right(self) -> list[Group]:
        return [
            group for group in self.groups if _CALLED_RIGHT.match(self.text, group.mentions[-1].end)
        ]

    def _called_right_as_a_reason(self) -> str | None:
        named = [group.letters for group in self._called_right if group.letters]
        return _single(named[-1]) if named else None

    def _judged(self) -> str | None:
        """Return the one option of a list that is not refused, where others are."""
        listed = {match[1].upper(): match[2] for match in _LISTED.finditer(self.text)}
        left = [letter for letter, rest in listed.items() if not _REFUSES.search(rest)]
        return left[0] if len(left) == 1 < len(listed) and left[0] in self.letters else None

    def _leading(self) -> str | None:
        if len(self.lines) > 1 and (lone := _LONE.fullmatch(self.lines[0])):
            return lone[1].upper() if lone[1].upper() in self.letters else None
        start = _PREFACE.match(self.text)
        first = next((group for group in self.groups if start and group.start == start.end()), None)
        if first is None or not first.letters or self.text.startswith("?", first.mentions[-1].end):
            return None
        return "" if self._lists_options() else _single(first.letters)

    def _lists_options(self) -> bool:
        """Return whether the answer repeats several options, A, B, ..., and refuses none."""
        if len(self.lines) > 1:
            listed = [
                match[1].upper()
                for match in _LISTED.finditer(self.text)
                if not _REFUSES.search(match[2])
            ]
        else:
            listed = [
                mention.letter
                for group in self.groups
                for mention in group.mentions
                if self._followed_by_its_text(mention.letter, mention.end)
            ]
        return len(set(listed)) > 1 and listed == sorted(listed)

    def _followed_by_its_text(self, letter: str, end: int) -> bool:
        place = self.letters.index(letter)
        option, far = self.options[place], 2 * len(self.choices[place]) + 10
        after = compared(self.text[end : end + far].lstrip(" )].:-=\t"))
        return bool(option) and after[: len(option)] == option

    def _first_sentence(self) -> str | None:
        return self._is_option(_SENTENCE.split(self.text, maxsplit=1)[0])

    def _only_one(self) -> str | None:
        by_letter = {
            mention.letter
            for group in self.groups
            for mention in group.mentions
            if mention.letter in group.letters and not mention.plain
        }
        by_text = self._texts_in(self.text)
        named = {one for letters in (by_letter, by_text) if (one := _single(letters))}
        return named.pop() if len(named) == 1 else None

    def _is_option(self, text: str) -> str | None:
        given = compared(text)
        for options in (self.options, self.cores):
            if given and options.count(given) == 1:
                return self.letters[options.index(given)]
        return None

    def _texts_in(self, text: str) -> set[str]:
        """Return the letters of the options whose text occurs in an answer and is not denied."""
        given = compared(text)
        found = [place for place, option in enumerate(self.options) if _occurs(option, given)]
        # "dark red" names the option "dark red", not also the option "red" within it.
        return {
            self.letters[place]
            for place in found
            if self.options.count(self.options[place]) == 1
            and self.options[place] not in (("a",), ("i",))
            and not any(
                len(self.options[other]) > len(self.options[place])
                and _occurs(self.options[place], self.options[other])
                for other in found
            )
        }


def _marked(text: str) -> str | None:
    """Return what is marked as the answer; marks on one line that differ are returned together."""
    found = [match for pattern in _MARKED for match in pattern.finditer(text)]
    if not found:
        return None
    found.sort(key=lambda match: match.start())
    line = text[: found[-1].start()].count("\n")
    together = [match for match in found if text[: match.start()].count("\n") == line]
    return " and ".join(dict.fromkeys(str(match[match.lastindex or 0]) for match in together))


def _single(letters: frozenset[str] | set[str]) -> str:
    return next(iter(letters)) if len(letters) == 1 else ""


def _without_common_ends(options: Sequence[Tokens]) -> list[Tokens]:
    """Return options without what all of them begin or end with: `10` of `10 cm` and `15 cm`."""
    cores = list(options)
    for one in (slice(None, 1), slice(-1, None)):
        rest = slice(1, None) if one.start is None else slice(None, -1)
        while len({core[one] for core in cores}) == 1 and all(len(core) > 1 for core in cores):
            cores = [core[rest] for core in cores]
    return cores


def _joined(tokens: Tokens) -> str:
    """Return tokens as a text; characters of Chinese and Japanese stand side by side."""
    return re.sub(r"(?<=[^\x00-\x7f]) (?=[^\x00-\x7f])", "", " ".join(tokens))


def _spaced(text: str) -> str:
    return r"(?<!\w)" + r"\s+".join(map(re.escape, text.split())) + r"(?!\w)"


def _occurs(part: Tokens, whole: Tokens) -> bool:
    """Return whether the tokens of an option stand in an answer at least once undenied."""
    size = len(part)
    for start, token in enumerate(whole):
        if size and token == part[0] and whole[start : start + size] == part:
            before = _joined(whole[max(0, start - 8) : start])
            after = _joined(whole[start + size : start + size + 8])
            is_negative = part[0][0].isdigit() and before.endswith("-")
            if not is_negative and not is_denied(f"{before} ", f" {after}"):
                return True
    return False


@scores_by("choice_likelihood", "choose")
class ChoiceLikelihood(Scorer):
    """1 when the likeliest option is the right one, else 0 (answer mode `choose`)."""

    name = "choice_likelihood"

    def score(self, sample: Sample, answer: str) -> float:
        """Return 1.0 or 0.0; `answer` is the letter of the option that the model chose."""
        return float(answer.strip().upper() in sample.references)
