"""The notes on an anatomy in words of two languages; in files they are English."""

from __future__ import annotations

import re
from string import Formatter

from depthprune.report.language import Translate, translator


def note_text(note: str, t: Translate) -> str:
    """Return a note of an `Anatomy` in the language of `t`; one that is not known stays as it is.

    What is wrong with a file is told in English, as errors are.
    """
    for english, own in zip(_templates(translator("en")), _templates(t), strict=True):
        if found := _pattern(english).fullmatch(note):
            return own.format(**found.groupdict())
    return note


def _templates(t: Translate) -> tuple[str, ...]:
    return (
        t("the configuration says {said} layers, the weights have {found}"),
        t("no numbered list of layers was found: only the sums are known"),
        t("quantised by {method}: parameters are those of the unpacked weights"),
        t(
            "{n} packed tensors, e.g. {name}, count as they are stored: nothing says how many "
            "parameters they hold"
        ),
        t("zeros were not counted in {n} tensors of packed numbers, e.g. {name}"),
        t("lm_head is taken for tied: counted apart, the parts exceed the total"),
        t("{name} is one part of {n}"),
        t("its parts have no index"),
        t("other weight files are left out: {names}"),
        t("left out, for their format is not known: {names} and {n} more"),
        t("left out, for their format is not known: {names}"),
        t("{name} is left out: it does not say which layers were removed"),
        t("{name} is left out: {error}"),
    )


def _pattern(template: str) -> re.Pattern[str]:
    parts = (
        re.escape(text) + (f"(?P<{field}>.+)" if field else "")
        for text, field, _, _ in Formatter().parse(template)
    )
    return re.compile("".join(parts), re.DOTALL)
