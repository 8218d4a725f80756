"""Weights of tasks or datasets in a mean: read as users write them, and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import fsum, isfinite

from depthprune.base.errors import DepthpruneError


def read_weights(
    given: Sequence[str], names: Sequence[str], *, option: str, thing: str
) -> dict[str, float]:
    """Read `okvqa=2 doc_qa=1`, or `2 1` in the order of the names; commas part them, too.

    Args:
        given: what a user wrote.
        names: of all that have a weight.
        option: its field, for messages.
        thing: what has a weight: `task`.

    Raises:
        DepthpruneError: see `check_weights`; or a weight is no number.
    """
    entries = [entry for entry in re.split(r"[,\s]+", " ".join(given)) if entry]
    parts = [entry.rpartition("=") for entry in entries]
    mend = f"write {names[0]}=2, or the numbers alone in the order {', '.join(names)}"
    nameless = [text for _, equals, text in parts if not equals]
    if nameless and len(nameless) < len(parts):
        raise DepthpruneError(
            f"{nameless[0]!r} names no {thing}, but other weights do", option=option, mend=mend
        )
    if nameless and len(parts) != len(names):
        raise DepthpruneError(
            f"{len(parts)} weights for {len(names)} {thing}s",
            option=option,
            mend=f"give one weight each, in this order: {' '.join(names)}",
        )
    found = list(names) if nameless else _folded([name for name, *_ in parts], names, option, thing)
    weights = {}
    for name, (*_, text) in zip(found, parts, strict=True):
        try:
            weights[name] = float(text)
        except ValueError as error:
            raise DepthpruneError(f"{text!r} is not a number", option=option, mend=mend) from error
    return check_weights(weights, names, option=option, thing=thing)


def check_weights(
    weights: Mapping[str, float], names: Sequence[str], *, option: str, thing: str
) -> dict[str, float]:
    """Return the weights in the order of the names.

    Hyphens and underscores in names are the same.

    Raises:
        DepthpruneError: a name has no weight, a weight has no name, or a weight is negative or not
            finite, or all are zero.
    """
    weights = dict(zip(_folded(list(weights), names, option, thing), weights.values(), strict=True))
    strange = sorted(weights.keys() - set(names))
    if strange:
        raise DepthpruneError(
            f"{strange[0]} has a weight, but is not among the {thing}s",
            option=option,
            mend=f"the {thing}s are {', '.join(names)}",
        )
    absent = [name for name in names if name not in weights]
    if absent:
        raise DepthpruneError(
            f"{absent[0]} has no weight", option=option, mend=f"give each {thing} one; 0 is allowed"
        )
    for name, weight in weights.items():
        if not isfinite(weight) or weight < 0:
            raise DepthpruneError(
                f"the weight of {name} is {weight}",
                option=option,
                mend="weights are 0 or positive numbers",
            )
    if not any(weights.values()):
        raise DepthpruneError(
            "the weights are all zero", option=option, mend=f"give a {thing} a weight above 0"
        )
    return {name: weights[name] for name in names}


def shares_of(weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weights with a sum of 1."""
    # Divided by the largest first: the sum of huge weights is no float.
    largest = max(weights.values())
    total = fsum(weight / largest for weight in weights.values())
    return {name: weight / largest / total for name, weight in weights.items()}


def _folded(given: Sequence[str], names: Sequence[str], option: str, thing: str) -> list[str]:
    """Return the names as they are known; refuse one that is given twice."""
    found = [name if name in names else name.replace("-", "_") for name in given]
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise DepthpruneError(
            f"{twice[0]} has more than one weight", option=option, mend=f"give each {thing} one"
        )
    return found
