"""The removal that is recommended, the strategies it is chosen from, and what fresh samples say."""

from __future__ import annotations

from collections.abc import Iterator
from math import isinf

from depthprune.analysis.combinations import Combination
from depthprune.analysis.intervals import FEWEST
from depthprune.analysis.recommend import Recommended
from depthprune.analysis.recommended_strategies import RecommendedStrategy, StrategyName, upper_end
from depthprune.analysis.verified import (
    Choice,
    Verified,
    VerifiedRemoval,
    VerifiedRole,
    choose,
    refused,
)
from depthprune.base.language import filled, t
from depthprune.base.removal import rounded
from depthprune.report.formatting import blocks, interval_text, percent
from depthprune.report.sections.evidence import (
    chosen_text,
    cost,
    evidence,
    fresh_drop,
    fresh_facts,
    searched_text,
    verdict,
)
from depthprune.report.table import Column, Section, Table, table_of
from depthprune.study.records import FEWEST_FRESH

LONG = 8
"""Blocks that a sentence names; more are counted."""


def strategies(found: Recommended) -> Section:
    """Return each strategy with its removals and its reason."""
    names = strategy_names()
    lines = []
    for strategy in found.strategies:
        removals = [removal_text(found, one) for one in strategy.combinations]
        lines += [
            t("{name}: {text}", name=names[strategy.name], text=text)
            for text in removals or [t("nothing fulfils the condition")]
        ]
        lines.append("  " + t("Why: {reason}", reason=strategy_reason(found, strategy)))
    return Section("strategies", t("Recommended strategies"), [*lines, *unbounded_lines(found)])


def strategy_names() -> dict[StrategyName, str]:
    """Return what the strategies are called."""
    return {
        "conservative": t("conservative"),
        "balanced": t("balanced"),
        "aggressive": t("aggressive"),
    }


def removal_text(found: Recommended, one: Combination) -> str:
    """Return which blocks go, and the evidence."""
    return t(
        "remove {number} of {total} {total:block|blocks} ({blocks}); {evidence}",
        number=len(one.removal),
        blocks=blocks(one.removal),
        total=found.num_blocks,
        evidence=t(", ").join(cost(found, one)),
    )


def strategy_reason(found: Recommended, strategy: RecommendedStrategy) -> str:
    """Return why a strategy has the removals that it has, or none, in one sentence."""
    if found.limit.drop <= 0:
        return t("the mean baseline accuracy is 0, so that no drop says what a removal costs.")
    if strategy.name == "aggressive":
        return _aggressive(found, strategy)
    if strategy.name == "conservative":
        return _conservative(found, strategy)
    return t(
        "the most blocks whose best removal measured on at least {least} of {total} "
        "{total:dataset|datasets} has {bound}.",
        least=found.robust_coverage,
        total=found.num_datasets,
        bound=_bound(found),
    )


def lead(found: Recommended, choice: Choice | None) -> str:
    """Return the answer in one sentence."""
    if choice is None:
        return t("No removal is recommended.")
    one = choice.combination
    if len(one.removal) > LONG:
        who = t("{number} of {total} {total:block|blocks} can go together")
    else:
        who = t("{number:Block|Blocks} {blocks} can go{number:| together}")
    who = filled(who, number=len(one.removal), total=found.num_blocks, blocks=blocks(one.removal))
    fresh = _known(found, choice)
    drop = fresh.drop if fresh else one.mean
    interval = fresh.interval if fresh else one.interval
    if rounded(drop) >= 0:
        sentence = t("{who}: accuracy drops by {drop} points.")
        if fresh:
            sentence = t("{who}: accuracy drops by {drop} points on fresh samples.")
    elif interval is None or interval.high < 0:
        sentence = t("{who}: accuracy rises by {drop} points.")
        if fresh:
            sentence = t("{who}: accuracy rises by {drop} points on fresh samples.")
    else:
        sentence = t("{who}: accuracy rises by {drop} points (not significant).")
        if fresh:
            sentence = t(
                "{who}: accuracy rises by {drop} points on fresh samples (not significant)."
            )
    return filled(sentence, who=who, drop=percent(abs(drop)))


def nothing_text(found: Recommended) -> str:
    """Return why no removal is recommended."""
    if found.is_weak:
        return t("nothing: a baseline is too weak for drops to say anything.")
    if refused(found):
        return t("nothing: on fresh samples no removal keeps to the limit.")
    return t(
        "nothing: no removal is certain enough to cost no more than the limit. More samples or "
        "more datasets may change that; `depthprune cut --remove` cuts all the same."
    )


def choice_reason(choice: Choice) -> str:
    """Return by which rule a removal was chosen."""
    return {
        "max_drop": t("meets the largest drop asked for"),
        "speedup": t("meets the speed-up asked for"),
        "params": t("meets the share of parameters asked for"),
        "conservative": t("the last conservative choice"),
        "asked": t("the best of the number asked for"),
    }[choice.rule]


def unbounded_lines(found: Recommended) -> list[str]:
    """Return which metrics may exceed 1, and how much of the limit is theirs."""
    text = t(
        "Note: the metric of {dataset} may exceed 1 (CIDEr-D, or unknown); it makes up {share} % "
        "of the mean baseline accuracy, and so {points} of the {limit} points of the limit."
    )
    limit = found.limit.drop
    return [
        filled(
            text,
            dataset=name,
            share=percent(share, 1),
            points=percent(share * limit),
            limit=percent(limit),
        )
        for name, share in found.limit.unbounded.items()
    ]


def _conservative(found: Recommended, strategy: RecommendedStrategy) -> str:
    known = {"least": found.limit.coverage, "total": found.num_datasets, "bound": _bound(found)}
    if not strategy.combinations:
        return _none_conservative(found, known)
    text = t(
        "the last steps of the stepwise path measured on at least {least} of {total} "
        "{total:dataset|datasets} that have {bound}.",
        **known,
    )
    path = {len(step.combination.removal): step.combination for step in found.stepwise.steps}
    for one in strategy.combinations:
        step = path[len(one.removal)]
        if step.removal != one.removal:
            text += t(
                " {better} takes the place of the step {step} ({drop} points).",
                better=blocks(one.removal),
                step=blocks(step.removal),
                drop=percent(step.mean),
            )
    return text


def _none_conservative(found: Recommended, known: dict[str, object]) -> str:
    judged = [one for ones in found.candidates.steps for one in ones]
    if not judged:
        return t(
            "no step of the stepwise path without a block that must never go was measured on "
            "at least {least} of {total} {total:dataset|datasets}.",
            **known,
        )
    nearest = min(judged, key=upper_end)
    if isinf(upper_end(nearest)):
        return t(
            "{samples} {samples:sample is|samples are} too few to tell what a removal costs; "
            "{least} are needed.",
            samples=nearest.num_samples,
            least=FEWEST,
        )
    return t(
        "no step of the stepwise path measured on at least {least} of {total} "
        "{total:dataset|datasets} has {bound}; the nearest is {nearest}, with {reached}.",
        **known,
        nearest=blocks(nearest.removal),
        reached=percent(upper_end(nearest)),
    )


def _aggressive(found: Recommended, strategy: RecommendedStrategy) -> str:
    if not strategy.combinations:
        return t(
            "no removal without a block that must never go keeps half of the baseline accuracy."
        )
    text = t(
        "with {number} removed, the most at which a removal keeps half of the baseline accuracy, "
        "the best",
        number=len(strategy.combinations[0].removal),
    )
    if strategy.combinations[1:]:
        text += t(
            ", and the best measured on at least {least} of {total} {total:dataset|datasets}",
            least=found.robust_coverage,
            total=found.num_datasets,
        )
    for one in strategy.combinations:
        if one.accuracy == one.accuracy:  # not NaN
            kept, baseline = percent(one.accuracy), percent(one.accuracy + one.mean)
            text += t("; {kept} of {baseline} points stay", kept=kept, baseline=baseline)
    return text + t(".")


def _bound(found: Recommended) -> str:
    """Return what must be within the limit, and what the limit is."""
    limit = found.limit
    if limit.baseline is None:
        share = t("a tenth of the baseline accuracy, which is unknown and taken as 100")
    else:
        share = t(
            "a tenth of the mean baseline accuracy, {baseline}", baseline=percent(limit.baseline)
        )
    judged = [*found.candidates.robust, *(one for ones in found.candidates.steps for one in ones)]
    if any(one.interval is not None for one in judged):
        text = t("a 95% interval that ends at {limit} {limit:point|points} or below ({share})")
    else:
        text = t("a drop of at most {limit} {limit:point|points} ({share})")
    return filled(text, limit=percent(limit.drop), share=share)


def answer(found: Recommended, choice: Choice | None) -> Section:
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


def answer_rows(found: Recommended, choice: Choice | None) -> Iterator[tuple[str, str]]:
    """Yield the answer as facts, each with its name."""
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
            yield t("It costs:"), t("; ").join(filter(None, [_fresh(found, known), verdict(known)]))
            if searched := searched_text(known):
                yield t("When chosen:"), searched
            if gain := _gain(known):
                yield t("One-shot:"), gain
    yield from _refused(found, choice)
    if found.verified is not None and found.verified.missing:
        yield t("Verified:"), _coverage(found.verified)


def _known(found: Recommended, choice: Choice | None) -> VerifiedRemoval | None:
    return None if choice is None else found.on_fresh_samples(choice.combination.removal)


def _fresh(found: Recommended, one: VerifiedRemoval) -> str:
    return t(", ").join([fresh_drop(one), fresh_facts(found, one)])


def _refused(found: Recommended, choice: Choice | None) -> Iterator[tuple[str, str]]:
    """Yield what fresh samples did not confirm, and what became of it."""
    if (taken := choose(found)) is None:
        then = t("nothing smaller is left")
    else:
        then = t("remove {blocks} instead", blocks=blocks(taken.combination.removal))
    for removal in refused(found):
        known = found.on_fresh_samples(removal)
        is_told = choice is not None and choice.combination.removal == removal
        if known is not None and known.limit is not None and not is_told:
            text = t(
                "{blocks}: {evidence}, above the limit of {limit} {limit:point|points}; {then}",
                blocks=blocks(removal),
                evidence=_fresh(found, known),
                limit=percent(known.limit),
                then=then,
            )
            yield t("Not confirmed:"), text


def _coverage(verified: Verified) -> str:
    """Return on how many datasets, and why not on the others."""
    few = t("{dataset} ({n} fresh {n:sample|samples}, {least} are needed)")
    missing = []
    for one in verified.missing:
        if one.num_samples is not None:
            missing.append(filled(few, dataset=one.dataset, n=one.num_samples, least=FEWEST_FRESH))
        elif one.reason:
            missing.append(t("{dataset} ({reason})", dataset=one.dataset, reason=one.reason))
        else:
            missing.append(one.dataset)
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
        "({blocks}), on the same fresh samples",
        gain=percent(one.gain.gain),
        n=len(one.removal),
        blocks=blocks(one.gain.one_shot),
    )
    if (ends := one.gain.interval) is None:
        return text
    text = t(", ").join([text, t("95% interval {interval}", interval=interval_text(ends))])
    is_unsure = rounded(ends.low) <= 0 <= rounded(ends.high)
    return t("; ").join([text, t("not separable from 0")]) if is_unsure else text


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


def _removals(found: Recommended, verified: Verified) -> Table:
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
