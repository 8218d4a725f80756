"""Counts of an anatomy as text: exact, or the word that says that they are not known."""

from __future__ import annotations

from depthprune.base.language import t
from depthprune.report.tables import percent


def count_text(count: int | None) -> str:
    """Return a count with commas."""
    return t("unknown") if count is None else f"{count:,}"


def share_text(share: float | None) -> str:
    """Return a share 0..1 as percentage points without a sign."""
    return t("unknown") if share is None else percent(share)
