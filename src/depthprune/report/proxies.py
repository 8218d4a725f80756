"""What `depthprune proxies` shows: scores by block, and how well they foretell the drops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import RenderableType

from depthprune.base.language import filled, t
from depthprune.base.removal import Removal, format_removal
from depthprune.importance.order import least_important_first
from depthprune.importance.proxies import PROXIES, ProxyScores
from depthprune.importance.proxies.agreement import MeasuredDrops, ProxyAgreement
from depthprune.report.table import Cell, Column, Table, table_of


@dataclass(frozen=True)
class SplitProxies:
    """The proxies of one split, with what is known of its drops.

    Attributes:
        task: with underscores.
        split: e.g. `validation`.
        proxies: what each found, in the order shown.
        measured: None where no drops are measured.
        agreements: by proxy; None where too few blocks have both.
        best_runs: of `angular_distance`, by length.
        first: how many blocks of each proxy are marked as its least important ones.
    """

    task: str
    split: str
    proxies: tuple[ProxyScores, ...]
    measured: MeasuredDrops | None
    agreements: Mapping[str, ProxyAgreement | None]
    best_runs: Mapping[int, Removal]
    first: int


def proxies_parts(splits: Sequence[SplitProxies]) -> list[RenderableType]:
    """Return the tables and notes of all splits, in reading order."""
    parts: list[RenderableType] = []
    for one in splits:
        samples = max(proxy.num_samples for proxy in one.proxies)
        heading = t("{task}, {split}: proxies on {n} {n:sample|samples}")
        parts += [filled(heading, task=one.task, split=one.split, n=samples)]
        parts += [_scores_table(one)]
        if one.measured is not None:
            parts += [_drops_note(one.measured), _agreement_table(one)]
        else:
            parts += [t("No drops of single blocks are measured on this split."), ""]
        if one.best_runs:
            title = t("Runs of consecutive blocks with the smallest angular distance")
            parts += [title, _runs_table(one)]
    compared = [one for one in splits if one.measured is not None]
    if len(compared) > 1:
        title = t("Rank correlation (Spearman) of each proxy with the measured drops")
        parts += [title, correlation_table(compared)]
    parts.append(
        t("Higher scores are more important blocks; only their order compares with drops.")
        + " "
        + t(
            "* = among the {k} that a proxy would remove first.", k=max(one.first for one in splits)
        )
    )
    return parts


def correlation_table(splits: Sequence[SplitProxies]) -> Table:
    """Return Spearman's rho of each proxy with the measured drops, one row for each split."""
    names = _names(splits)
    several = len({one.split for one in splits}) > 1
    columns = [Column(t("dataset")), *([Column(t("split"))] if several else [])]
    columns += [Column(_heading(name), "number") for name in names]
    rows: list[list[Any]] = []
    for one in splits:
        found = [one.agreements.get(name) for name in names]
        rhos = [None if each is None else each.rank.rho for each in found]
        rows.append([one.task, *([one.split] if several else []), *rhos])
    return Table(columns, rows, is_spaced=True)


def proxies_value(splits: Sequence[SplitProxies]) -> list[dict[str, Any]]:
    """Return the same as plain JSON data; drops are fractions."""
    return [
        {
            "dataset": one.task,
            "split": one.split,
            "proxies": {proxy.name: _proxy_value(one, proxy) for proxy in one.proxies},
            "measured": None if one.measured is None else _measured_value(one.measured),
        }
        for one in splits
    ]


def _scores_table(one: SplitProxies) -> Table:
    drops = {} if one.measured is None else one.measured.single
    marked = {
        proxy.name: set(least_important_first(proxy.scores)[: one.first]) for proxy in one.proxies
    }
    blocks = sorted({block for proxy in one.proxies for block in proxy.scores} | drops.keys())
    if drops:
        order = {block: place for place, block in enumerate(least_important_first(drops))}
        blocks.sort(key=lambda block: order.get(block, len(order)))
    columns = [
        Column(t("block"), "count"),
        *([Column(t("drop (points)"), "points")] if drops else []),
    ]
    columns += [Column(_heading(proxy.name), "shown") for proxy in one.proxies]

    def cell(proxy: ProxyScores, block: int) -> Cell:
        if block not in proxy.scores:
            return Cell("-", mark=" ")
        mark = "*" if block in marked[proxy.name] else " "
        return Cell(f"{proxy.scores[block]:.3g}", mark=mark)

    rows = [
        [
            block,
            *([drops.get(block)] if drops else []),
            *(cell(each, block) for each in one.proxies),
        ]
        for block in blocks
    ]
    return Table(columns, rows, is_spaced=True)


def _agreement_table(one: SplitProxies) -> Table:
    def of(value: Callable[[ProxyAgreement], Any]) -> Callable[[tuple[str, Any]], Any]:
        return lambda row: None if row[1] is None else value(row[1])

    found_of = t("{found} of {k}")
    return table_of(
        one.agreements.items(),
        [
            (Column(t("proxy")), lambda row: row[0]),
            (Column("rho", "number"), of(lambda found: found.rank.rho)),
            (Column("p", "p-value", 1), of(lambda found: found.rank.p_value)),
            (Column(t("blocks"), "count"), of(lambda found: found.num_blocks)),
            (
                Column(t("least important found"), "shown"),
                of(lambda found: found_of.format(found=found.found, k=found.first)),
            ),
        ],
        is_spaced=True,
    )


def _runs_table(one: SplitProxies) -> Table:
    runs = next(proxy.runs for proxy in one.proxies if proxy.name == "angular_distance")
    drops = {} if one.measured is None else one.measured.drops
    return table_of(
        one.best_runs.items(),
        [
            (Column(t("removed"), "count"), lambda row: row[0]),
            (Column(t("blocks")), lambda row: format_removal(row[1], ",")),
            (Column(_heading("angular_distance"), "shown"), lambda row: f"{runs[row[1]]:.3g}"),
            (Column(t("drop (points)"), "points"), lambda row: drops.get(row[1])),
        ],
        is_spaced=True,
    )


def _drops_note(measured: MeasuredDrops) -> str:
    if measured.same_samples:
        return t("Drops: measured on the same samples ({settings}).").format(
            settings=measured.settings
        )
    return t("Drops: measured on another sample of this split, n = {n} ({settings}).").format(
        n=measured.num_samples or "?", settings=measured.settings
    )


def _proxy_value(one: SplitProxies, proxy: ProxyScores) -> dict[str, Any]:
    found = one.agreements.get(proxy.name)
    value: dict[str, Any] = {
        "scores": {str(block): score for block, score in sorted(proxy.scores.items())},
        "num_samples": proxy.num_samples,
        "num_tokens": proxy.num_tokens,
        "agreement": found
        and {
            "spearman_correlation": found.rank.rho,
            "p_value": found.rank.p_value,
            "num_blocks": found.num_blocks,
            "least_important": found.first,
            "found": found.found,
        },
    }
    if proxy.runs:
        value["best_runs"] = {
            str(length): {"blocks": list(run), "distance": proxy.runs[run]}
            for length, run in one.best_runs.items()
        }
    return value


def _measured_value(measured: MeasuredDrops) -> dict[str, Any]:
    return {
        "drops": {str(block): drop for block, drop in sorted(measured.single.items())},
        "num_samples": measured.num_samples,
        "settings": measured.settings,
        "same_samples": measured.same_samples,
    }


def _names(splits: Sequence[SplitProxies]) -> list[str]:
    shown = {proxy.name for one in splits for proxy in one.proxies}
    return [name for name in PROXIES if name in shown]


def _heading(name: str) -> str:
    return name.replace("_", "\n")
