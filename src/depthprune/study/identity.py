"""What decides a model's answers beside its weights, and how two of them differ.

An identity has parts (the tokenizer, the chat template, ...), and a part has fields, each with a
text. It is compared whenever a study is opened to be measured: equal texts mean equal answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path

from depthprune.base.errors import StudyError
from depthprune.base.naming import option

Identity = Mapping[str, Mapping[str, str]]
"""Texts by part and field. A part with a single field calls that field by the empty name."""

MODEL_CONFIG = "model config"
"""The part that only explains a changed fingerprint: the fingerprint holds the config already."""

_SHOWN = 60
"""Characters of a value that an error shows."""

_CHANGES_SHOWN = 6


def differences(stored: Identity, asked: Identity) -> list[str]:
    """Return what differs, one phrase for each field: `the chat template: was ..., is ...`.

    A part that only one of them knows of is no difference: it was not recorded.
    """
    found = []
    for part, fields in stored.items():
        if part not in asked:
            continue
        for field in dict.fromkeys((*fields, *asked[part])):
            before, after = fields.get(field), asked[part].get(field)
            if before != after:
                name = f"the {part} ({field})" if field else f"the {part}"
                found.append(f"{name}: was {_shown(before, after)}, is {_shown(after, before)}")
    return found


def check_same_identity(stored: Identity, asked: Identity, path: Path) -> None:
    """Refuse a model that answers otherwise than the one that was measured.

    Raises:
        StudyError: names everything that changed.
    """
    without_config = {part: fields for part, fields in asked.items() if part != MODEL_CONFIG}
    changes = differences(stored, without_config)
    if changes:
        raise StudyError(
            "what decides the answers has changed since this study was measured: "
            f"{listed(changes)}",
            where=str(path),
            mend=f"{new_study()}, or undo the change",
        )


def new_study() -> str:
    """Return how to go on with what an existing study refuses."""
    return f"measure in a new study, {option('output', 'NEW')}"


def listed(changes: list[str]) -> str:
    """Return changes as one text, the first few of them in full."""
    more = len(changes) - _CHANGES_SHOWN
    return "; ".join(changes[:_CHANGES_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def pack_fields(fields: Mapping[str, str]) -> str:
    """Return the fields of a part as one text, the same for equal fields."""
    return json.dumps(dict(sorted(fields.items())))


def _shown(text: str | None, other: str | None) -> str:
    """Return a value as an error shows it: a long one from just before its first difference on."""
    if text is None:
        return "absent"
    if len(text) <= _SHOWN:
        return repr(text)
    pairs = zip(text, other or "", strict=False)
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    start = max(0, alike - _SHOWN // 3)
    excerpt = text[start : start + _SHOWN]
    before, after = "..." if start else "", "..." if start + _SHOWN < len(text) else ""
    return repr(before + excerpt + after)
