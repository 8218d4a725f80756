"""The recommended strategies and the removal that is recommended, in sentences."""

from __future__ import annotations

from math import isinf

from depthprune.analysis.choice import Choice, refused
from depthprune.analysis.combinations import Combination
from depthprune.analysis.intervals import FEWEST
from depthprune.analysis.recommendations import Recommendations, Strategy, StrategyName
from depthprune.analysis.strategies import upper_end
from depthprune.base.language import filled, t
from depthprune.report.evidence import whole_evidence
from depthprune.report.table import Section
from depthprune.report.tables import blocks, percent

LONG = 8
"""Blocks that a sentence names; more are counted."""


def strategies(found: Recommendations) -> Section:
    """Return each strategy with its removals and its reason."""
    names = strategy_names()
    line = t("{name}: {text}")
    lines = []
    for strategy in found.strategies:
        removals = [removal_text(found, one) for one in strategy.combinations]
        lines += [
            filled(line, name=names[strategy.name], text=text)
            for text in removals or [t("nothing fulfils the condition")]
        ]
        why = strategy_reason(found, strategy)
        lines.append("  " + t("Why: {reason}", reason=why))
    sentences = [*lines, *unbounded_lines(found)]
    return Section("strategies", t("Recommended strategies"), sentences)


def strategy_names() -> dict[StrategyName, str]:
    """Return what the strategies are called."""
    return {
        "conservative": t("conservative"),
        "balanced": t("balanced"),
        "aggressive": t("aggressive"),
    }


def removal_text(found: Recommendations, one: Combination) -> str:
    """Return which blocks go, and the evidence."""
    return t(
        "remove {number} of {total} {total:block|blocks} ({blocks}); {evidence}",
        number=len(one.removal),
        blocks=blocks(one.removal),
        total=found.num_blocks,
        evidence=whole_evidence(found, one),
    )


def strategy_reason(found: Recommendations, strategy: Strategy) -> str:
    """Return why a strategy has the removals that it has, or none, in one sentence."""
    if found.limit.drop <= 0:
        return t("the mean baseline accuracy is 0, so that no drop says what a removal costs.")
    if strategy.name == "conservative":
        return _conservative(found, strategy)
    if strategy.name == "balanced":
        text = t(
            "the most blocks whose best removal measured on at least {least} of {total} "
            "{total:dataset|datasets} has {bound}."
        )
        return filled(
            text, least=found.robust_coverage, total=found.num_datasets, bound=_bound(found)
        )
    return _aggressive(found, strategy)


def lead(found: Recommendations, choice: Choice | None) -> str:
    """Return the answer in one sentence."""
    if choice is None:
        return t("No removal is recommended.")
    one = choice.combination
    fresh = found.on_fresh_samples(one.removal)
    if len(one.removal) > LONG:
        who = t("{number} of {total} {total:block|blocks} can go together")
    else:
        who = t("{number:Block|Blocks} {blocks} can go{number:| together}")
    costs = (
        t("{who}: accuracy drops by {drop} points on fresh samples.")
        if fresh
        else t("{who}: accuracy drops by {drop} points.")
    )
    told = filled(who, number=len(one.removal), total=found.num_blocks, blocks=blocks(one.removal))
    return filled(costs, who=told, drop=percent(fresh.drop if fresh else one.mean))


def nothing_text(found: Recommendations) -> str:
    """Return what is said where no removal is recommended."""
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


def unbounded_lines(found: Recommendations) -> list[str]:
    """Return which metrics may exceed 1, and how much of the limit is theirs."""
    limit = found.limit
    text = t(
        "Note: the metric of {dataset} may exceed 1 (CIDEr-D, or unknown); it makes up {share} % "
        "of the mean baseline accuracy, and so {points} of the {limit} points of the limit."
    )
    return [
        filled(
            text,
            dataset=name,
            share=percent(share, 1),
            points=percent(share * limit.drop),
            limit=percent(limit.drop),
        )
        for name, share in limit.unbounded.items()
    ]


def _conservative(found: Recommendations, strategy: Strategy) -> str:
    if not strategy.combinations:
        return _none_conservative(found)
    text = t(
        "the last steps of the stepwise path measured on at least {least} of {total} "
        "{total:dataset|datasets} that have {bound}."
    )
    told = filled(text, least=found.limit.coverage, total=found.num_datasets, bound=_bound(found))
    path = {len(step.combination.removal): step.combination for step in found.stepwise.steps}
    for one in strategy.combinations:
        step = path[len(one.removal)]
        if step.removal != one.removal:
            better = t(" {better} takes the place of the step {step} ({drop} points).")
            told += filled(
                better,
                better=blocks(one.removal),
                step=blocks(step.removal),
                drop=percent(step.mean),
            )
    return told


def _none_conservative(found: Recommendations) -> str:
    judged = [one for ones in found.candidates.steps for one in ones]
    if not judged:
        text = t(
            "no step of the stepwise path without a block that must never go was measured on "
            "at least {least} of {total} {total:dataset|datasets}."
        )
        return filled(text, least=found.limit.coverage, total=found.num_datasets)
    nearest = min(judged, key=upper_end)
    if isinf(upper_end(nearest)):
        text = t(
            "{samples} {samples:sample is|samples are} too few to tell what a removal costs; "
            "{least} are needed."
        )
        return filled(text, samples=nearest.num_samples, least=FEWEST)
    text = t(
        "no step of the stepwise path measured on at least {least} of {total} "
        "{total:dataset|datasets} has {bound}; the nearest is {nearest}, with {reached}."
    )
    return filled(
        text,
        least=found.limit.coverage,
        total=found.num_datasets,
        bound=_bound(found),
        nearest=blocks(nearest.removal),
        reached=percent(upper_end(nearest)),
    )


def _aggressive(found: Recommendations, strategy: Strategy) -> str:
    if not strategy.combinations:
        return t(
            "no removal without a block that must never go keeps half of the baseline accuracy."
        )
    text = t(
        "with {number} removed, the most at which a removal keeps half of the baseline accuracy, "
        "the best"
    )
    told = filled(text, number=len(strategy.combinations[0].removal))
    if strategy.combinations[1:]:
        beside = t(
            ", and the best measured on at least {least} of {total} {total:dataset|datasets}"
        )
        told += filled(beside, least=found.robust_coverage, total=found.num_datasets)
    kept = t("; {kept} of {baseline} points stay")
    return (
        told
        + "".join(
            filled(kept, kept=percent(one.accuracy), baseline=percent(one.accuracy + one.mean))
            for one in strategy.combinations
            if one.accuracy == one.accuracy
        )
        + t(".")
    )


def _bound(found: Recommendations) -> str:
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
