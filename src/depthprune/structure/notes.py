"""What is said of a model's parameters in notes: each sentence once, for all who write or read it.

In the files of an analysis a note stands in English; whoever reads it there gets the note back, and
can show it in any language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from string import Formatter

from depthprune.base.language import Note


class Sentence(StrEnum):
    """The templates of all notes; of two that fit a text, the first is meant."""

    OF_ORIGINAL = "original: {why}"
    OF_TENSORS = "{n} {n:tensor|tensors}, e.g. {name}: {why}"
    PACKED = "packed numbers, and nothing says how many parameters they hold"
    EMPTIED = "saved with size 0, as DeepSpeed does where ZeRO-3 is not gathered"
    TORCHAO = "packed by torchao, and the file does not say its shape"
    BITMASK = "a bitmask whose shape is not stored"
    OTHER_FORM = "a tensor of a form whose shape is not told ({form})"
    UNFIT_RANKS = "{ranks} ranks hold parts of it that do not fit each other"
    SOME_RANKS = "{n} of {count} ranks: the others hold the rest of every tensor"
    UNKNOWN_SPLIT = "{n} {n:rank|ranks}, saved by a program whose way to split is not known"
    OTHER_COUNT = "the configuration says {said} {said:layer|layers}, the weights have {found}"
    NO_LAYERS = "no numbered list of layers was found: of the layers nothing is known"
    LEFT_OUT_BY_CONFIG = "the configuration leaves out ({field}) {part} of the layers {layers}"
    QUANTISED = "quantised by {method}: parameters are those of the unpacked weights"
    ZEROS_NOT_COUNTED = (
        "zeros were not counted in {n} {n:tensor|tensors} of packed numbers, e.g. {name}"
    )
    TAKEN_FOR_TIED = "lm_head is taken for tied: counted apart, the parts exceed the total"
    ONE_PART = "{name} is one part of {n}"
    NO_INDEX = "its parts have no index"
    OTHER_FILES = "other weight files are left out: {names}"
    NO_REMOVED_LAYERS = "{name} is left out: it does not say which layers were removed"
    UNREADABLE = "{name} is left out: {error}"


def read_note(text: str) -> Note:
    """Return the note that a file holds in English; one of another program stays as it is."""
    return _read(text, tuple(Sentence))


def _read(text: str, sentences: Sequence[Sentence]) -> Note:
    for place, sentence in enumerate(sentences):
        if found := _pattern(sentence).fullmatch(text):
            values: dict[str, str] = found.groupdict()
            if "why" in values:
                # Only later sentences: a hostile text ends as well.
                values["why"] = _read(values["why"], sentences[place + 1 :])
            return Note(sentence, **values)
    return Note(text)


@cache
def _pattern(template: str) -> re.Pattern[str]:
    parts = (
        re.escape(text)
        + (f"(?:{form})" if form and "|" in form else f"(?P<{field}>.+)" if field else "")
        for text, field, form, _ in Formatter().parse(template)
    )
    return re.compile("".join(parts), re.DOTALL)
