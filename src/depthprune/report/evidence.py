"""What stands behind a drop, as words and cells: std, accuracy, interval, coverage stars, n."""

from __future__ import annotations

from math import isnan

from rich import box
from rich.table import Table

from depthprune.analysis.combinations import Combination
from depthprune.report.language import Lang, Translate, translator
from depthprune.report.tables import interval_text, percent

STARS = 4
"""One for each full quarter of the datasets that measured a combination."""


def coverage_stars(coverage: int, num_datasets: int) -> str:
    """Return one star for each full quarter of the datasets: 2 of 8 are `★☆☆☆`."""
    full = STARS * coverage // max(num_datasets, 1)
    return "★" * full + "☆" * (STARS - full)


def coverage_text(one: Combination, num_datasets: int) -> str:
    """Return on how many datasets a combination was measured, as `2/8 ★☆☆☆`."""
    return f"{one.coverage}/{num_datasets} {coverage_stars(one.coverage, num_datasets)}"


def samples_text(number: int) -> str:
    """Return a number of samples, or `-` where the results do not tell it."""
    return str(number) if number else "-"


def std_text(one: Combination) -> str:
    """Return the standard deviation over the datasets in points, `-` for a single dataset."""
    return percent(one.std) if one.coverage > 1 else "-"


def accuracy_text(one: Combination) -> str:
    """Return the mean accuracy over the datasets of a combination in per cent, `-` if unknown."""
    return "-" if isnan(one.accuracy) else percent(one.accuracy)


def evidence(one: Combination, num_datasets: int, *, lang: Lang = "en") -> str:
    """Return a drop and what stands behind it in one line: interval, std, coverage, n."""
    t = translator(lang)
    parts = [t("drop {drop} points").format(drop=percent(one.mean))]
    if one.interval is not None:
        parts.append(t("95% interval {interval}").format(interval=interval_text(one.interval)))
    if one.coverage > 1:
        parts.append(t("std {std}").format(std=percent(one.std)))
    sets = t("{coverage} of {total} datasets {stars}")
    stars = coverage_stars(one.coverage, num_datasets)
    parts.append(sets.format(coverage=one.coverage, total=num_datasets, stars=stars))
    parts.append(_samples(one, t))
    return t(", ").join(parts)


def compact_table() -> Table:
    """Return an empty table with as little space between its columns as can be read."""
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def _samples(one: Combination, t: Translate) -> str:
    return f"n = {one.num_samples}" if one.num_samples else t("n unknown")
