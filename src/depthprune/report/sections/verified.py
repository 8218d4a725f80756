"""The removal that is recommended, and what fresh samples say about it."""

from __future__ import annotations

from collections.abc import Iterator

from depthprune.analysis.choice import Choice, choose, refused
from depthprune.analysis.recommendations import (
    Recommendations,
    Verified,
    VerifiedRemoval,
    VerifiedRole,
)
from depthprune.base.drops import settled
from depthprune.base.language import filled, t
from depthprune.report.evidence import (
    chosen_text,
    evidence,
    facts,
    fresh_drop,
    on_fresh_samples,
    searched_text,
    verdict,
)
from depthprune.report.sections.strategies import choice_reason, nothing_text
from depthprune.report.table import Column, Section, Table, table_of
from depthprune.report.tables import blocks, interval_text, percent
from depthprune.study.seen import FEWEST_FRESH


def answer(found: Recommendations, choice: Choice | None) -> Section:
    """Return what to remove and what that costs, on fresh samples where there are any.

    Args:
        found: all that is recommended.
        choice: the removal that is carried out, or would be.
    """
    sentences = [f"{name} {text}" for name, text in answer_rows(found, choice)]
    known = _known(found, choice)
    tables = [] if known is None else [_datasets(known)]
    if found.verified is not None and found.verified.removals:
        tables.append(_removals(found, found.verified))
    return Section("answer", t("What to remove"), sentences, tables)


def answer_rows(found: Recommendations, choice: Choice | None) -> list[tuple[str, str]]:
    """Return the answer as a list of facts, each with its name."""
    return list(_rows(found, choice))


def _rows(found: Recommendations, choice: Choice | None) -> Iterator[tuple[str, str]]:
    if choice is None:
        yield t("Recommended:"), nothing_text(found)
    else:
        one = choice.combination
        removed = t(
            "remove {number} of {total} {total:block|blocks}: {blocks} ({why})",
            number=len(one.removal),
            total=found.num_blocks,
            blocks=blocks(one.removal),
            why=choice_reason(choice),
        )
        yield t("Recommended:"), removed
        known = _known(found, choice)
        if known is None:
            yield t("It costs:"), evidence(one, found.datasets)
            chosen = chosen_text(found, one) or t("found on these samples")
            more = t("`depthprune recommend STUDY --verify` measures it on fresh ones")
            yield t("Not verified:"), t("; ").join([chosen, more])
        else:
            told = t(", ").join([fresh_drop(known), _facts(found, known)])
            yield t("It costs:"), t("; ").join(filter(None, [told, verdict(known)]))
            if searched := searched_text(known):
                yield t("When chosen:"), searched
            if gain := _gain(known):
                yield t("One-shot:"), gain
    yield from _refused(found, choice)
    if found.verified is not None and found.verified.missing:
        yield t("Verified:"), _coverage(found.verified)


def _known(found: Recommendations, choice: Choice | None) -> VerifiedRemoval | None:
    return None if choice is None else found.on_fresh_samples(choice.combination.removal)


def _facts(found: Recommendations, one: VerifiedRemoval) -> str:
    return facts(on_fresh_samples(one), found.datasets)


def _refused(found: Recommendations, choice: Choice | None) -> Iterator[tuple[str, str]]:
    """Yield what fresh samples did not confirm, and what became of it."""
    taken = choose(found)
    if taken is None:
        then = t("nothing smaller is left")
    else:
        then = t("remove {blocks} instead", blocks=blocks(taken.combination.removal))
    text = t("{blocks}: {evidence}, above the limit of {limit} {limit:point|points}; {then}")
    for removal in refused(found):
        known = found.on_fresh_samples(removal)
        is_told = choice is not None and choice.combination.removal == removal
        if known is not None and known.limit is not None and not is_told:
            told = filled(
                text,
                blocks=blocks(removal),
                evidence=t(", ").join([fresh_drop(known), _facts(found, known)]),
                limit=percent(known.limit),
                then=then,
            )
            yield t("Not confirmed:"), told


def _coverage(verified: Verified) -> str:
    """Return on how many datasets, and why not on the others."""
    few = t("{dataset} ({n} fresh {n:sample|samples}, {least} are needed)")
    missing = [
        filled(few, dataset=one.dataset, n=one.num_samples, least=FEWEST_FRESH)
        if one.num_samples is not None
        else (
            t("{dataset} ({reason})", dataset=one.dataset, reason=one.reason)
            if one.reason
            else one.dataset
        )
        for one in verified.missing
    ]
    text = t(
        "on {n} of {all} {all:dataset|datasets}, and drops are compared on {n:that one|those}; "
        "not on {missing}"
    )
    if not verified.datasets:
        text = t("on none of {all} {all:dataset|datasets}: {missing}")
    count = len(verified.datasets)
    return filled(text, n=count, all=count + len(verified.missing), missing=t(", ").join(missing))


def _gain(one: VerifiedRemoval) -> str:
    """Return what the search gained over removing what costs least alone, on fresh samples."""
    if one.gain is None:
        return ""
    if one.gain.one_shot == one.removal:
        return t("the blocks that cost least alone are the same")
    text = t(
        "gain {gain} points over removing at once the {n} {n:block|blocks} that cost least alone "
        "({blocks}), on the same fresh samples"
    )
    told = filled(
        text, gain=percent(one.gain.gain), n=len(one.removal), blocks=blocks(one.gain.one_shot)
    )
    if (ends := one.gain.interval) is None:
        return told
    told = t(", ").join([told, t("95% interval {interval}", interval=interval_text(ends))])
    is_unsure = settled(ends.low) <= 0 <= settled(ends.high)
    return t("; ").join([told, *([t("not separable from 0")] if is_unsure else [])])


def _datasets(known: VerifiedRemoval) -> Table:
    return table_of(
        known.datasets,
        [
            (Column(t("dataset")), lambda one: one.dataset),
            (Column(t("split")), lambda one: one.split),
            (Column("n", "count"), lambda one: one.num_samples),
            (Column(t("fresh (points)"), "points"), lambda one: one.drop),
            (Column(t("when chosen (points)"), "points"), lambda one: one.searched),
        ],
        title=t("Drops of {blocks} on fresh samples:", blocks=blocks(known.removal)),
    )


def _removals(found: Recommendations, verified: Verified) -> Table:
    roles = _roles()
    kept = {True: t("yes"), False: t("NO"), None: None}
    return table_of(
        verified.removals,
        [
            (Column(t("blocks"), "blocks", room=10), lambda one: one.removal),
            (
                Column(t("what it is"), "list", room=13),
                lambda one: ", ".join(roles[role] for role in one.roles) or None,
            ),
            (Column(t("fresh (points)"), "points"), lambda one: one.drop),
            (Column(t("95% interval (points)"), "interval"), lambda one: one.interval),
            (Column(t("when chosen (points)"), "points"), lambda one: one.searched),
            (
                Column(t("sets"), "shown"),
                lambda one: f"{len(one.datasets)}/{found.num_datasets}",
            ),
            (Column("n", "count", is_spare=True), lambda one: one.num_samples),
            (Column(t("confirmed")), lambda one: kept[one.confirmed]),
        ],
        title=t("All that was verified on fresh samples:"),
        notes=[
            t(
                "Fresh: samples that had no part in finding any removal. When chosen: on the "
                "samples that chose it, over the same datasets. Confirmed: the upper end of the "
                "fresh interval is within its limit; for a target, the drop is."
            )
        ],
    )


def _roles() -> dict[VerifiedRole, str]:
    return {
        "conservative": t("conservative"),
        "balanced": t("balanced"),
        "aggressive": t("aggressive"),
        "max_drop": t("target"),
        "speedup": t("target"),
        "params": t("target"),
        "smaller": t("smaller"),
        "runner_up": t("runner-up"),
        "one_shot": t("one-shot"),
    }
