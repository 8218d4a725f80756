"""The notes on an anatomy in words of two languages; in files they are English."""

from __future__ import annotations

import re
from string import Formatter

from depthprune.base.language import language, t


def note_text(note: str) -> str:
    """Return a note of an `Anatomy` in the current language; one that is not known stays as it is.

    What is wrong with a file is told in English, as errors are.
    """
    with language("en"):
        templates = _templates()
    for english, own in zip(templates, _templates(), strict=True):
        if found := _pattern(english).fullmatch(note):
            return own.format(**found.groupdict())
    return note


def _templates() -> tuple[str, ...]:
    return (
        t("the configuration says {said} layers, the weights have {found}"),
        t("no numbered list of layers was found: of the layers nothing is known"),
        t(
            "{n} tensors, e.g. {name}: packed numbers, and nothing says how many parameters they "
            "hold"
        ),
        t(
            "{n} tensors, e.g. {name}: saved with size 0, as DeepSpeed does where ZeRO-3 is not "
            "gathered"
        ),
        t("{n} tensors, e.g. {name}: packed by torchao, and the file does not say its shape"),
        t("{n} tensors, e.g. {name}: a bitmask whose shape is not stored"),
        t("{n} tensors, e.g. {name}: a tensor of a form whose shape is not told ({form})"),
        t("{n} of {count} ranks: the others hold the rest of every tensor"),
        t("{n} ranks, saved by a program whose way to split is not known"),
        t("{n} tensors, e.g. {name}: {ranks} ranks hold parts of it that do not fit each other"),
        t("original: {why}"),
        t("the configuration leaves out ({field}) {part} of the layers {layers}"),
        t("quantised by {method}: parameters are those of the unpacked weights"),
        t("zeros were not counted in {n} tensors of packed numbers, e.g. {name}"),
        t("lm_head is taken for tied: counted apart, the parts exceed the total"),
        t("{name} is one part of {n}"),
        t("its parts have no index"),
        t("other weight files are left out: {names}"),
        t("{name} is left out: it does not say which layers were removed"),
        t("{name} is left out: {error}"),
    )


def _pattern(template: str) -> re.Pattern[str]:
    parts = (
        re.escape(text) + (f"(?P<{field}>.+)" if field else "")
        for text, field, _, _ in Formatter().parse(template)
    )
    return re.compile("".join(parts), re.DOTALL)
