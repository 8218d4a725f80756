"""Which of many models are wanted: by method and by pruning ratio, from names and from numbers."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from depthprune.base.errors import AnalysisError

NEAR = 0.015
"""How far a measured ratio may be from the one asked for. Where whole layers go, it moves in steps:
one layer of a Llama-3-8B is 0.027 of it, so the nearest possible ratio is within half of that."""

_SEPARATORS = re.compile(r"[-_ ]")
_LAST_NUMBER = re.compile(r"(?:^|(?P<word>[A-Za-z]*)[-_ ])(?P<number>0\.\d+|\d{1,4})(?:%|pct)?$")
_COUNTED = re.compile(r"(checkpoint|drop|epoch|remove|removed|run|seed|v|(block|layer|step)s?)")
"""A number behind such a word is no ratio."""


def is_of_method(name: str, method: str) -> bool:
    """Return whether a model's name tells this method.

    Case does not matter. A part of the name is enough, and `-`, `_` and spaces in it do not count;
    with `*`, `?` or `[...]` it is a pattern for the whole name, or for one of its folders.

    Args:
        name: e.g. `baselines/Magnitude_2000`; the folder that was searched does not count.
        method: e.g. `Magnitude`, `h-gsp` or `wanda_*`.
    """
    name, wanted = name.lower(), method.lower()
    folders = name.split("/")
    own = folders[1:] or folders
    if any(sign in wanted for sign in "*?["):
        return any(fnmatchcase(text, wanted) for text in (*own, "/".join(own), name))
    return _SEPARATORS.sub("", wanted) in _SEPARATORS.sub("", "/".join(own))


def is_near_ratio(name: str, measured: float | None, wanted: float) -> bool:
    """Return whether a model was pruned by about this ratio, or is named so.

    The name counts too: what SliceGPT calls 20% takes away 10% of the parameters.

    Args:
        name: of the model.
        measured: share of the parameters that is gone; None where nothing tells.
        wanted: 0..1.
    """
    # Both are decimal fractions: 0.015 is near, whatever binary makes of it.
    near = measured is not None and abs(measured - wanted) <= NEAR + 1e-9
    named = ratio_in_name(name)
    return near or (named is not None and abs(named - wanted) < 1e-9)


def ratio_in_name(name: str) -> float | None:
    """Return the ratio that a name ends with: `_2000`, `_20`, `-0.2` and `_20%` all say 0.2."""
    found = _LAST_NUMBER.search(name.rpartition("/")[2])
    if found is None or _COUNTED.fullmatch((found["word"] or "").lower()):
        return None
    number = found["number"]
    if "." in number:
        return float(number)
    return int(number) / (10_000 if len(number) == 4 else 100) if int(number) else None


def parse_ratio(text: str) -> float:
    """Return a ratio that was written as `0.2`, `20`, `20%` or `2000`.

    Below 1 it is a share, up to 100 a percentage, above that hundredths of a percent, as in names.

    Raises:
        AnalysisError: it is none of these.
    """
    try:
        number = float(text.strip().removesuffix("%"))
    except ValueError:
        number = -1.0
    if "%" in text or 1 <= number <= 100:
        number /= 100
    elif number > 100:
        number /= 10_000
    if not 0 < number <= 1:
        raise AnalysisError(
            f"{text!r} is no pruning ratio",
            option="ratio",
            mend="write 0.2, 20, 20% or 2000; all of them mean a fifth",
        )
    return number
