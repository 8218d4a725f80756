"""Values as JSON data, for programs: the same in every language, nothing rounded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import PurePath
from typing import Any


def plain(value: Any) -> Any:
    """Return a value as JSON data.

    A number that JSON lacks is null, an interval its two ends; drops stay fractions.
    """
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Iterable):
        return [plain(one) for one in value]
    return [plain(value.low), plain(value.high)] if hasattr(value, "low") else value.item()
