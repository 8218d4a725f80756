"""What stands behind a drop, as words and cells: std, accuracy, interval, datasets, n."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import nan
from statistics import pstdev

from depthprune.analysis.combinations import Combination, CorrectedDrop, mark
from depthprune.analysis.recommend import Recommendations
from depthprune.analysis.verified import VerifiedRemoval
from depthprune.base.language import filled, t
from depthprune.report.formatting import blocks, interval_text, percent


def coverage_text(one: Combination, datasets: Sequence[str]) -> str:
    """Return on how many datasets a combination was measured, and which: `2/8 (okvqa, doc_qa)`.

    Where it is most of them, those that lack are named; where it is all, none.
    """
    count = f"{one.coverage}/{len(datasets)}"
    missing = [name for name in datasets if name not in one.drops]
    if not missing:
        return count
    if len(missing) < one.coverage:
        names = t("not {names}", names=", ".join(missing))
    else:
        names = ", ".join(one.drops)
    return f"{count} ({names})"


def dataset_lines(ones: Iterable[Combination], datasets: Sequence[str]) -> list[str]:
    """Return which datasets measured the combinations that not all of them did."""
    groups: dict[str, list[Combination]] = {}
    for one in ones:
        if one.coverage < len(datasets):
            groups.setdefault(coverage_text(one, datasets), []).append(one)
    line = t("Datasets {coverage}: {combinations}")
    return [filled(line, coverage=text, combinations=_listed(of)) for text, of in groups.items()]


def mark_text(one: Combination, chosen: CorrectedDrop | None = None) -> str:
    """Return what the interval says about the drop in words; empty where it says nothing."""
    found = mark(one, chosen)
    if found == "no_measurable_cost":
        return t("no measurable cost")
    if found == "not_separable_from_0":
        return t("not separable from 0 with {n} {n:sample|samples}", n=one.num_samples)
    return ""


def mark_lines(ones: Iterable[Combination]) -> list[str]:
    """Return which of the combinations cost nothing measurable, and of which nothing is known."""
    marked: dict[str, list[Combination]] = {}
    for one in ones:
        marked.setdefault(mark_text(one), []).append(one)
    marked.pop("", None)
    line = t("{mark}: {combinations}")
    return [
        filled(line, mark=text[0].upper() + text[1:], combinations=_listed(found))
        for text, found in marked.items()
    ]


def samples_text(number: int) -> str:
    """Return a number of samples, or `-` where the results do not tell it."""
    return str(number) if number else "-"


def evidence(one: Combination, datasets: Sequence[str]) -> str:
    """Return a drop and what stands behind it in one line: mark, interval, std, datasets, n."""
    return t(", ").join([drop_text(one), facts(one, datasets)])


def drop_text(one: Combination) -> str:
    """Return a drop in points."""
    return t("drop {drop} points", drop=percent(one.mean))


def facts(one: Combination, datasets: Sequence[str], chosen: CorrectedDrop | None = None) -> str:
    """Return what stands behind a drop in one line: mark, interval, std, datasets, n."""
    parts = [mark_text(one, chosen)]
    if one.interval is not None:
        parts.append(t("95% interval {interval}", interval=interval_text(one.interval)))
    if one.coverage > 1:
        parts.append(t("std {std}", std=percent(one.std)))
    parts.append(t("datasets {coverage}", coverage=coverage_text(one, datasets)))
    parts.append(_samples(one))
    return t(", ").join(filter(None, parts))


def whole_evidence(found: Recommendations, one: Combination) -> str:
    """Return what a removal costs in one line, see `cost`."""
    return t(", ").join(cost(found, one))


def cost(found: Recommendations, one: Combination) -> tuple[str, str]:
    """Return a drop and what stands behind it: on fresh samples first, where it was verified."""
    known = found.on_fresh_samples(one.removal)
    if not known:
        chosen = found.selections.get(one.removal)
        parts = [facts(one, found.datasets, chosen), chosen_text(found, one)]
        return drop_text(one), t(", ").join(filter(None, parts))
    told = [facts(on_fresh_samples(known), found.datasets), verdict(known), searched_text(known)]
    return fresh_drop(known), t("; ").join(filter(None, told))


def fresh_drop(one: VerifiedRemoval) -> str:
    """Return the drop on fresh samples in points."""
    return t("drop {drop} points on fresh samples", drop=percent(one.drop))


def verdict(one: VerifiedRemoval) -> str:
    """Return whether fresh samples confirm that it keeps to its limit; empty without a limit."""
    if one.limit is None:
        return ""
    text = (
        t("confirmed, the limit is {limit} {limit:point|points}")
        if one.confirmed
        else t("NOT confirmed, the limit is {limit} {limit:point|points}")
    )
    return filled(text, limit=percent(one.limit))


def on_fresh_samples(one: VerifiedRemoval) -> Combination:
    """Return a removal as it is seen across the datasets on which it was verified."""
    drops = {each.dataset: each.drop for each in one.datasets}
    std = pstdev(drops.values()) if drops else nan
    return Combination(one.removal, drops, one.drop, std, nan, one.num_samples, one.interval)


def searched_text(one: VerifiedRemoval) -> str:
    """Return what it costs on the samples that chose it, over the same datasets."""
    if one.searched is None:
        return ""
    parts = [t("{drop} points on the samples that chose it", drop=percent(one.searched))]
    if one.searched_interval is not None:
        parts.append(t("95% interval {interval}", interval=interval_text(one.searched_interval)))
    if one.num_searched < len(one.datasets):
        text = t("known on {known} of these {all} {all:dataset|datasets}")
        parts.append(filled(text, known=one.num_searched, all=len(one.datasets)))
    return t(", ").join(parts)


def chosen_text(found: Recommendations, one: Combination) -> str:
    """Return among how many a removal was chosen, and what it costs when that is reckoned with."""
    chosen = found.selections.get(one.removal)
    if chosen is None or chosen.among < 2:
        return ""
    told = t("chosen among {among} {among:removal|removals} on these samples", among=chosen.among)
    if chosen.drop is None or chosen.interval is None:
        return told
    text = t("{chosen}, corrected for that {drop} points {interval}")
    return filled(
        text, chosen=told, drop=percent(chosen.drop), interval=interval_text(chosen.interval)
    )


def _listed(ones: Iterable[Combination]) -> str:
    return "; ".join(blocks(one.removal) for one in ones)


def _samples(one: Combination) -> str:
    return f"n = {one.num_samples}" if one.num_samples else t("n unknown")
