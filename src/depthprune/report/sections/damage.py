"""Damaged answers: empty, repetitive, cut off, in another script; beside what they score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from depthprune.analysis.damage import Damage, Kind
from depthprune.base.language import t
from depthprune.report.table import Column


def damage_columns(of: Callable[[Any], Damage | None]) -> list[tuple[Column, Callable[[Any], Any]]]:
    """Return the columns that tell how the answers that an item has are damaged."""

    def share(name: str) -> Callable[[Any], Any]:
        return lambda item: getattr(of(item), name, None)

    return [(Column(name, "share"), share(kind)) for kind, name in _headings().items()]


def _headings() -> dict[str, str]:
    return {
        "empty": t("empty %"),
        "repetitive": t("repetitive %"),
        "cut": t("cut off %"),
        "script": t("script %"),
        "any": t("any %"),
    }


def reading_note() -> str:
    """Return how to read these columns."""
    return t(
        "Share of the answers that are empty; repetitive: up to four words in turn fill half of "
        "it; cut off: ended by the limit of its length; script: in another script than the whole "
        "model's answer. One answer may be damaged in several ways."
    )


def kind_names(kinds: Iterable[Kind]) -> str:
    """Return how an answer is damaged, in words."""
    words: Mapping[Kind, str] = {
        "empty": t("empty"),
        "repetitive": t("repetitive"),
        "cut": t("cut off"),
        "script": t("other script"),
    }
    return ", ".join(words[kind] for kind in kinds)


def damage_value(found: Damage | None) -> dict[str, Any] | None:
    """Return the shares as plain JSON data; null where there are no written answers."""
    return None if found is None else vars(found)
