"""What stands behind a drop, as words and cells: std, accuracy, interval, datasets, n."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import nan
from statistics import pstdev

from depthprune.analysis.combinations import Combination, CorrectedDrop, mark
from depthprune.analysis.recommend import Recommended
from depthprune.analysis.verified import VerifiedRemoval
from depthprune.base.language import t
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
        return f"{count} ({t('not {names}', names=', '.join(missing))})"
    return f"{count} ({', '.join(one.drops)})"


def dataset_lines(ones: Iterable[Combination], datasets: Sequence[str]) -> list[str]:
    """Return which datasets measured the combinations that not all of them did."""
    few = [one for one in ones if one.coverage < len(datasets)]
    groups = _grouped(few, lambda one: coverage_text(one, datasets))
    return [
        t("Datasets {coverage}: {combinations}", coverage=text, combinations=listed)
        for text, listed in groups
    ]


def mark_text(one: Combination, chosen: CorrectedDrop | None = None) -> str:
    """Return what the interval says about the drop in words; empty where it says nothing."""
    found = mark(one, chosen)
    if found == "no_measurable_cost":
        return t("no measurable cost")
    if found == "not_separable_from_0":
        return t("not separable from 0 with {n} {n:sample|samples}", n=one.num_samples)
    return ""


def mark_lines(ones: Iterable[Combination]) -> list[str]:
    """Return what ranked the combinations, where it was not the drop, and which of them cost
    nothing measurable, and of which nothing is known."""
    ones = list(ones)
    ranked = t(
        "Ranked by the loss over the options, which tells more than the accuracy of as many "
        "samples; the drop is that of the accuracy."
    )
    return [ranked] * any(one.loss is not None for one in ones) + [
        t("{mark}: {combinations}", mark=text[0].upper() + text[1:], combinations=listed)
        for text, listed in _grouped(ones, mark_text)
        if text
    ]


def _grouped(
    ones: Iterable[Combination], text_of: Callable[[Combination], str]
) -> list[tuple[str, str]]:
    """Return each text with the combinations that have it."""
    groups: dict[str, list[str]] = {}
    for one in ones:
        groups.setdefault(text_of(one), []).append(blocks(one.removal))
    return [(text, "; ".join(removals)) for text, removals in groups.items()]


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
    parts.append(f"n = {one.num_samples}" if one.num_samples else t("n unknown"))
    return t(", ").join(filter(None, parts))


def cost(found: Recommended, one: Combination) -> tuple[str, str]:
    """Return a drop and what stands behind it: on fresh samples first, where it was verified."""
    known = found.on_fresh_samples(one.removal)
    if not known:
        chosen = found.selections.get(one.removal)
        parts = [facts(one, found.datasets, chosen), chosen_text(found, one)]
        return drop_text(one), t(", ").join(filter(None, parts))
    parts = [fresh_facts(found, known), verdict(known), searched_text(known)]
    return fresh_drop(known), t("; ").join(filter(None, parts))


def fresh_drop(one: VerifiedRemoval) -> str:
    """Return the drop on fresh samples in points."""
    return t("drop {drop} points on fresh samples", drop=percent(one.drop))


def fresh_facts(found: Recommended, one: VerifiedRemoval) -> str:
    """Return what stands behind a drop on fresh samples, over the datasets that have them."""
    drops = {each.dataset: each.drop for each in one.datasets}
    std = pstdev(drops.values()) if drops else nan
    seen = Combination(one.removal, drops, one.drop, std, nan, one.num_samples, one.interval)
    return facts(seen, found.datasets)


def verdict(one: VerifiedRemoval) -> str:
    """Return whether fresh samples confirm that it keeps to its limit; empty without a limit."""
    if one.limit is None:
        return ""
    limit = percent(one.limit)
    if one.confirmed:
        return t("confirmed, the limit is {limit} {limit:point|points}", limit=limit)
    return t("NOT confirmed, the limit is {limit} {limit:point|points}", limit=limit)


def searched_text(one: VerifiedRemoval) -> str:
    """Return what it costs on the samples that chose it, over the same datasets."""
    if one.searched is None:
        return ""
    parts = [t("{drop} points on the samples that chose it", drop=percent(one.searched))]
    if one.searched_interval is not None:
        parts.append(t("95% interval {interval}", interval=interval_text(one.searched_interval)))
    if one.num_searched < len(one.datasets):
        counts = {"known": one.num_searched, "all": len(one.datasets)}
        parts.append(t("known on {known} of these {all} {all:dataset|datasets}", **counts))
    return t(", ").join(parts)


def chosen_text(found: Recommended, one: Combination) -> str:
    """Return among how many a removal was chosen, and what it costs when that is corrected for."""
    chosen = found.selections.get(one.removal)
    if chosen is None or chosen.among < 2:
        return ""
    text = t("chosen among {among} {among:removal|removals} on these samples", among=chosen.among)
    if chosen.drop is None or chosen.interval is None:
        return text
    return t(
        "{chosen}, corrected for that {drop} points {interval}",
        chosen=text,
        drop=percent(chosen.drop),
        interval=interval_text(chosen.interval),
    )
