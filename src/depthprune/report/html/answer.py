"""The head of the page: the answer first, then what a reader must know before relying on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from depthprune.analysis.choice import choose
from depthprune.analysis.combinations import Combination
from depthprune.analysis.recommendations import Strategy, Target
from depthprune.analysis.whole import Analysis
from depthprune.base.language import filled, t
from depthprune.report.evidence import coverage_text, mark_text
from depthprune.report.html.text import (
    LONG,
    NOTHING,
    Column,
    TextTable,
    block_list,
    count,
    points,
    spread_text,
)
from depthprune.report.recommendations import notes
from depthprune.report.strategies import nothing_text, strategy_reason, unbounded_lines


@dataclass(frozen=True)
class Choice:
    """A recommendation on a card.

    Attributes:
        name: a strategy, or a target.
        blocks: to be removed, as text; what stands in the way where there are none.
        removal: the same as numbers, for the what-if strip; empty where there is none.
        drop, facts: what it costs, and how sure that is; empty likewise.
        reason: why these.
    """

    name: str
    blocks: str
    removal: str
    drop: str
    facts: str
    reason: str


@dataclass(frozen=True)
class Answer:
    """What the head of the page says."""

    model: str
    scope: str
    lead: str
    evidence: str
    choices: Sequence[Choice]
    never: Sequence[str]
    table: TextTable
    warnings: Sequence[str]


def answer(analysis: Analysis) -> Answer:
    """Return the head of the page."""
    results, found = analysis.results, analysis.recommendations
    lead, evidence = _lead(analysis)
    targets = [_target(analysis, one) for one in found.targets]
    scope = t(
        "{blocks} {blocks:block|blocks} · {datasets} {datasets:dataset|datasets} · "
        "{removals} {removals:removal|removals} measured · split: {split}"
    )
    return Answer(
        model=results.model,
        scope=filled(
            scope,
            blocks=found.num_blocks,
            datasets=found.num_datasets,
            removals=f"{len(analysis.table.removals):,}",
            split=", ".join(sorted(set(results.splits.values()))),
        ),
        lead=lead,
        evidence=evidence,
        choices=[
            *targets,
            *(one for each in found.strategies for one in _strategy(analysis, each)),
        ],
        never=list(_never(analysis)),
        table=_by_number(analysis),
        warnings=[
            *unbounded_lines(found),
            *_warnings(analysis),
            *notes(found),
        ],
    )


def _lead(analysis: Analysis) -> tuple[str, str]:
    found = analysis.recommendations
    choice = choose(found)
    if choice is None:
        return t("No removal is recommended."), nothing_text(found)
    one = choice.combination
    if len(one.removal) > LONG:
        text = t(
            "{number} of {total} {total:block|blocks} can go together: accuracy drops by "
            "{drop} points."
        )
    elif len(one.removal) == 1:
        text = t("Block {blocks} can go: accuracy drops by {drop} points.")
    else:
        text = t("Blocks {blocks} can go together: accuracy drops by {drop} points.")
    lead = filled(
        text,
        number=len(one.removal),
        total=found.num_blocks,
        blocks=block_list(one.removal),
        drop=points(one.mean),
    )
    return lead, _facts(analysis, one)


def _strategy(analysis: Analysis, strategy: Strategy) -> list[Choice]:
    found = analysis.recommendations
    names = {
        "conservative": t("Conservative"),
        "balanced": t("Balanced"),
        "aggressive": t("Aggressive"),
    }
    reason = strategy_reason(found, strategy)
    name, choice = names[strategy.name], choose(found)
    recommended = None if choice is None or choice.rule != strategy.name else choice.combination
    marked = t("{strategy} · recommended").format(strategy=name)
    ones: Sequence[Combination | None] = strategy.combinations or (None,)
    return [
        _choice(analysis, marked if one is not None and one is recommended else name, one, reason)
        for one in ones
    ]


def _target(analysis: Analysis, target: Target) -> Choice:
    names = {
        "max_drop": t("Drop of at most {value} {value:point|points}"),
        "speedup": t("{value} times as fast"),
        "params": t("{value} % of the parameters"),
    }
    value = f"{target.value:g}" if target.kind == "speedup" else points(target.value)
    reasons = {
        "max_drop": t("The most blocks whose best combination keeps to it."),
        "speedup": t("The fewest blocks that reach it; estimated from the parameters that stay."),
        "params": t("The fewest blocks that reach it."),
    }
    name = filled(names[target.kind], value=value)
    return _choice(analysis, name, target.combination, reasons[target.kind])


def _choice(analysis: Analysis, name: str, one: Combination | None, reason: str) -> Choice:
    if one is None:
        return Choice(name, t("none that is ranked"), "", "", "", reason)
    return Choice(
        name=name,
        blocks=block_list(one.removal),
        removal=",".join(map(str, one.removal)),
        drop=t("{drop} points").format(drop=points(one.mean)),
        facts=_facts(analysis, one),
        reason=reason,
    )


def _facts(analysis: Analysis, one: Combination) -> str:
    found = analysis.recommendations
    sure = t("95% interval {spread}") if one.interval is not None else t("{spread} std")
    facts = [
        *filter(None, [mark_text(one)]),
        sure.format(spread=spread_text(one)),
        t("datasets {coverage}").format(coverage=coverage_text(one, found.datasets)),
    ]
    if one.num_samples:
        facts.append(f"n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{count(one.num_samples)}")
    return " · ".join(facts)


def _never(analysis: Analysis) -> Iterator[str]:
    for one in analysis.recommendations.essential:
        text = t(
            "Block {block} must never go: alone it costs {drop} points, {share} % of the accuracy; "
            "worst on {worst} ({worst_drop}). {facts}."
        )
        yield text.format(
            block=one.combination.removal[0],
            drop=points(one.combination.mean),
            share=points(one.share, 0),
            worst=one.worst[0],
            worst_drop=points(one.worst[1]),
            facts=_facts(analysis, one.combination),
        )


def _by_number(analysis: Analysis) -> TextTable:
    found = analysis.recommendations
    rows = []
    for number in sorted(found.independent):
        named, active = _named(analysis, number), found.num_blocks - number
        if not named:
            nothing = [NOTHING] * 6
            rows.append([str(number), NOTHING, t("none ranked"), *nothing, str(active)])
        for place, (rules, one) in enumerate(named):
            rows.append(
                [
                    str(number) if place == 0 else "",
                    " · ".join(rules),
                    block_list(one.removal),
                    points(one.mean),
                    spread_text(one),
                    f"{one.coverage}/{found.num_datasets}",
                    count(one.num_samples),
                    points(found.adjusted.get(one.removal)),
                    points(one.accuracy),
                    str(active) if place == 0 else "",
                ]
            )
    return TextTable(
        title=t("Recommended for each number of blocks"),
        columns=[
            Column(t("removed")),
            Column(t("rule"), number=False),
            Column(t("blocks"), number=False),
            Column(t("drop (points)")),
            Column(t("95% interval or ± std")),
            Column(t("datasets")),
            Column("n"),
            Column(t("adjusted drop")),
            Column(t("accuracy %")),
            Column(t("active")),
        ],
        rows=rows,
        note=t(
            "Drop: baseline accuracy minus accuracy, mean over the datasets that measured "
            "it, in percentage points. Best: smallest mean drop among combinations "
            "measured on {least} {least:dataset|datasets} or more. Robust: the same for "
            "{robust} or more. Step by step: contains the step before. Adjusted drop: the "
            "mean over all datasets that the two-way additive model expects. Accuracies "
            "over different datasets are not comparable.",
            least=found.min_coverage,
            robust=found.robust_coverage,
        ),
    )


def _named(analysis: Analysis, number: int) -> list[tuple[list[str], Combination]]:
    """Return the combinations recommended for a number of blocks, with the rules that do so."""
    found = analysis.recommendations
    candidates = [
        (t("best"), found.independent[number].combinations[:1]),
        (t("robust"), found.robust[number].combinations[:1] if number in found.robust else ()),
        (
            t("step by step"),
            [s.combination for s in found.stepwise.steps if len(s.combination.removal) == number],
        ),
    ]
    rules: dict[tuple[int, ...], tuple[list[str], Combination]] = {}
    for rule, combinations in candidates:
        for one in combinations:
            rules.setdefault(one.removal, ([], one))[0].append(rule)
    return list(rules.values())


def _warnings(analysis: Analysis) -> Iterator[str]:
    found = analysis.recommendations
    for number, ranking in sorted(found.independent.items()):
        best = ranking.combinations[:1]
        if best and best[0].coverage < found.robust_coverage:
            text = t(
                "Removing {number}: the best, {blocks}, was measured on {coverage} of {total} "
                "{total:dataset|datasets} only; nothing is known about the others."
            )
            yield filled(
                text,
                number=number,
                blocks=block_list(best[0].removal),
                coverage=best[0].coverage,
                total=found.num_datasets,
            )
    for one in found.disagreements:
        text = t(
            "Removing {number}: plain means prefer {plain}, means adjusted for the datasets prefer "
            "{adjusted} (adjusted drops {plain_drop} and {adjusted_drop} points)."
        )
        yield filled(
            text,
            number=one.number,
            plain=block_list(one.plain.removal),
            adjusted=block_list(one.adjusted.removal),
            plain_drop=points(one.plain_adjusted_drop),
            adjusted_drop=points(one.adjusted_adjusted_drop),
        )
    for step in found.stepwise.steps:
        if step.jump:
            text = t("Step by step: the step to {blocks} is out of proportion, {more} points more.")
            yield filled(
                text, blocks=block_list(step.combination.removal), more=points(step.incremental)
            )
    if found.stepwise.missing is not None:
        text = t(
            "Step by step: no combination of {number} {number:block|blocks} contains the "
            "step before."
        )
        yield filled(text, number=found.stepwise.missing)
    low = sum(ranking.low_coverage for ranking in found.independent.values())
    improving = sum(ranking.improving for ranking in found.independent.values())
    if low:
        text = t(
            "Not ranked: {low} {low:combination|combinations} measured on fewer than "
            "{least} {least:dataset|datasets}."
        )
        yield filled(text, low=low, least=found.min_coverage)
    if improving:
        text = t(
            "Not ranked: {improving} {improving:combination|combinations} with a mean drop "
            "below --min-drop."
        )
        yield filled(text, improving=improving)
