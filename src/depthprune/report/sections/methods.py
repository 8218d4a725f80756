"""What `depthprune compare-methods` shows: what models of equal size score."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from depthprune.base.language import t
from depthprune.report.table import Column, Section, Table
from depthprune.widths.methods import METHODS_FILE, WHOLE, MethodResult


def methods_section(results: Sequence[MethodResult], failed: Mapping[str, str]) -> Section:
    """Return the table of all models, the whole one first."""
    whole = next(one for one in results if one.method == WHOLE)
    timed = any(one.tokens_per_second is not None for one in results)
    tasks = list(whole.scores)
    columns = [
        Column(t("model")),
        Column(t("blocks"), "count"),
        Column(t("parameters"), "count"),
        Column(t("less %"), "number", digits=1),
        Column(t("mean accuracy %"), "number", better="high"),
        Column(t("drop (points)"), "number", better="low"),
        *([Column(t("tokens/s"), "number", digits=1, better="high")] if timed else []),
        *(Column(f"{task} %", "number") for task in tasks if len(tasks) > 1),
    ]
    rows = [
        [
            _named(one),
            one.blocks,
            one.parameters,
            100 * (1 - one.parameters / whole.parameters),
            100 * one.mean,
            100 * (whole.mean - one.mean),
            *([one.tokens_per_second] if timed else []),
            *(100 * one.scores[task] for task in tasks if len(tasks) > 1),
        ]
        for one in results
    ]
    ends = [
        place
        for place, (one, following) in enumerate(itertools.pairwise(results))
        if one.ratio != following.ratio
    ]
    notes = [t("Not made: {name}: {why}", name=name, why=why) for name, why in failed.items()]
    return Section("methods", "", [], [Table(columns, rows, names=1, ends=ends)], notes)


def _named(result: MethodResult) -> str:
    if result.method == WHOLE:
        return t("whole model")
    name = f"{result.name} {result.ratio:g}"
    if not result.as_fast_as:
        return name
    return t("{name}, as fast as {other}", name=name, other=result.as_fast_as)


def methods_value(results: Sequence[MethodResult], failed: Mapping[str, str]) -> dict[str, Any]:
    """Return the same as plain JSON data."""
    found: dict[str, Any] = METHODS_FILE.fields[-1].kind.write(tuple(results))
    return {"results": found, "failed": dict(failed)}
