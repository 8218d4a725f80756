"""What `depthprune proxies` shows: scores by block, and how well they foretell the drops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table

from depthprune.base.language import t
from depthprune.base.removal import Removal, format_removal
from depthprune.importance.order import least_important_first
from depthprune.importance.proxies import PROXIES, ProxyScores
from depthprune.importance.proxies.agreement import MeasuredDrops, ProxyAgreement
from depthprune.report.tables import percent


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
        heading = t("{task}, {split}: proxies on {n} samples")
        parts += [heading.format(task=one.task, split=one.split, n=samples)]
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
        + t("* = among the {k} that a proxy would remove first.").format(
            k=max(one.first for one in splits)
        )
    )
    return parts


def correlation_table(splits: Sequence[SplitProxies]) -> Table:
    """Return Spearman's rho of each proxy with the measured drops, one row for each split."""
    names = _names(splits)
    several = len({one.split for one in splits}) > 1
    table = _table()
    table.add_column(t("dataset"), no_wrap=True)
    if several:
        table.add_column(t("split"))
    for name in names:
        table.add_column(_heading(name), justify="right")
    for one in splits:
        found = [one.agreements.get(name) for name in names]
        cells = ["-" if each is None else _rho(each.rank.rho) for each in found]
        table.add_row(one.task, *((one.split,) if several else ()), *cells)
    return table


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
    table = _table()
    table.add_column(t("block"), justify="right")
    if drops:
        table.add_column(t("drop %"), justify="right")
    for proxy in one.proxies:
        table.add_column(_heading(proxy.name), justify="right")
    for block in blocks:
        drop = [percent(drops[block]) if block in drops else "-"] if drops else []
        cells = [
            f"{proxy.scores[block]:.3g} {'*' if block in marked[proxy.name] else ' '}"
            if block in proxy.scores
            else "-  "
            for proxy in one.proxies
        ]
        table.add_row(str(block), *drop, *cells)
    return table


def _agreement_table(one: SplitProxies) -> Table:
    table = _table()
    table.add_column(t("proxy"), no_wrap=True)
    table.add_column("rho", justify="right")
    table.add_column("p", justify="right")
    table.add_column(t("blocks"), justify="right")
    table.add_column(t("least important found"), justify="right")
    for name, found in one.agreements.items():
        if found is None:
            table.add_row(name, "-", "-", "-", "-")
            continue
        p_value = found.rank.p_value
        table.add_row(
            name,
            _rho(found.rank.rho),
            "-" if p_value is None else f"{p_value:.1e}",
            str(found.num_blocks),
            t("{found} of {k}").format(found=found.found, k=found.first),
        )
    return table


def _runs_table(one: SplitProxies) -> Table:
    runs = next(proxy.runs for proxy in one.proxies if proxy.name == "angular_distance")
    drops = {} if one.measured is None else one.measured.drops
    table = _table()
    table.add_column(t("removed"), justify="right")
    table.add_column(t("blocks"))
    table.add_column(_heading("angular_distance"), justify="right")
    table.add_column(t("drop %"), justify="right")
    for length, run in one.best_runs.items():
        drop = percent(drops[run]) if run in drops else "-"
        table.add_row(str(length), format_removal(run, ","), f"{runs[run]:.3g}", drop)
    return table


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


def _rho(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False)
