"""Which blocks to remove, for the terminal and for text files. Only formatting."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import isnan

from rich.console import RenderableType

from depthprune.analysis.combinations import Ranking
from depthprune.analysis.recommendations import Recommendations, Step, Target
from depthprune.base.language import filled, t
from depthprune.report.baseline import weak_lines
from depthprune.report.evidence import (
    coverage_text,
    dataset_lines,
    evidence,
    mark_lines,
    samples_text,
)
from depthprune.report.recommendation_tables import path_table, ranking_table, step_table
from depthprune.report.strategies import recommended_lines, strategy_lines
from depthprune.report.tables import below_limit_note, blocks, interval_note, percent

SHOWN = 5
"""Combinations of each number removed that the rankings show."""


ROBUST_SHOWN = 2


def recommendation_parts(
    found: Recommendations, *, shown: int = SHOWN, wide: bool = False
) -> list[RenderableType]:
    """Return every recommendation with its evidence, in reading order.

    Args:
        found: what is recommended.
        shown: combinations of each number removed.
        wide: more than 80 columns are there, so that accuracies fit beside intervals.
    """
    parts: list[RenderableType] = [*notes(found)]
    if found.is_weak:
        return parts
    parts += [
        "",
        t("Independent best: for each number removed, the smallest mean drops"),
        ranking_table(found, found.independent, shown=shown, wide=wide),
        *combination_notes(found, found.independent, shown=shown),
        left_out(found.independent, found.min_coverage),
        "",
        t("Stepwise: each step removes one more block than the step before"),
        *stepwise_parts(found, wide=wide),
        "",
        t(
            "Robust: the best of those with a coverage of at least {coverage} "
            "{coverage:dataset|datasets}",
            coverage=found.robust_coverage,
        ),
        ranking_table(found, found.robust, shown=ROBUST_SHOWN, wide=wide),
        *combination_notes(found, found.robust, shown=ROBUST_SHOWN),
        left_out(found.robust, found.robust_coverage),
        "",
        t("Recommended strategies"),
        *strategy_lines(found),
        *recommended_lines(found),
        "",
        t("Blocks that must never go"),
        *essential_parts(found),
        "",
        t("Adjusted for the datasets"),
        *adjusted_lines(found),
    ]
    if found.targets:
        parts += ["", t("Targets"), *target_lines(found)]
    return [*parts, "", reading_note()]


def combination_notes(
    found: Recommendations, rankings: Mapping[int, Ranking], *, shown: int
) -> list[str]:
    """Return what a table of rankings has no room for: marks, and the names of the datasets."""
    ones = [one for _, each in sorted(rankings.items()) for one in each.combinations[:shown]]
    return [*mark_lines(ones), *dataset_lines(ones, found.datasets)]


def left_out(rankings: Mapping[int, Ranking], min_coverage: int) -> str:
    """Return the line that counts what the rankings leave out, and why."""
    text = t(
        "Left out: {low} measured on fewer than {coverage} {coverage:dataset|datasets}.",
        low=sum(ranking.low_coverage for ranking in rankings.values()),
        coverage=min_coverage,
    )
    return text + below_limit_note(rankings.values())


def stepwise_parts(found: Recommendations, *, wide: bool = False) -> list[RenderableType]:
    """Return the stepwise path with cumulative and incremental drops, and where it jumps."""
    path = found.stepwise
    parts: list[RenderableType] = []
    if path.steps:
        parts.append(path_table(found, wide=wide))
    if path.missing is not None:
        missing = t(
            "No superset of the last step with {number} {number:block|blocks} is ranked "
            "(measured on enough datasets): the path ends here. Measure more: depthprune "
            "search --complete 3."
        )
        if not path.steps:
            missing = t("No single block is ranked: there is no path.")
        parts.append(filled(missing, number=path.missing))
    jumps = [(before, step) for before, step in pairwise(path.steps) if step.jump]
    for before, step in jumps:
        jump = t(
            "Jump (!): the step to {number} {number:block|blocks} costs {increment} points "
            "more, more than three times the median of the steps before it."
        )
        increment = percent(step.incremental or 0.0)
        told = filled(jump, number=len(step.combination.removal), increment=increment)
        parts.append(told + _on_common_sets(before, step))
    if path.steps[1:]:
        if not jumps:
            parts.append(t("No step jumps."))
        parts += [
            t("What each step adds, in percentage points"),
            step_table(path.steps),
            t(
                "Increment: this mean drop minus the one before, each over its own datasets. "
                "Paired: over the sets that measured both."
            ),
        ]
    return parts


def essential_parts(found: Recommendations) -> list[str]:
    """Return the blocks that must stay, with the evidence."""
    if not found.num_judged:
        unknown = t(
            "Unknown: no block was measured alone on {coverage} "
            "{coverage:dataset|datasets} or more."
        )
        return [filled(unknown, coverage=found.min_coverage)]
    if not found.essential:
        return [
            t(
                "None of the {judged} {judged:block that was|blocks that were} measured alone "
                "on {coverage} {coverage:dataset|datasets} or more (of {total}) costs more "
                "than half of the accuracy.",
                judged=found.num_judged,
                coverage=found.min_coverage,
                total=found.num_blocks,
            )
        ]
    line = t(
        "Block {block}: {evidence}; {share} % of the accuracy is lost; "
        "hit hardest is {dataset} ({drop} points)"
    )
    return [
        filled(
            line,
            block=blocks(one.combination.removal),
            evidence=evidence(one.combination, found.datasets),
            share=percent(one.share, 0),
            dataset=one.worst[0],
            drop=percent(one.worst[1]),
        )
        for one in found.essential
    ]


def adjusted_lines(found: Recommendations) -> list[str]:
    """Return where plain means and adjusted drops name different winners, and what is assumed."""
    if not found.adjusted or all(isnan(drop) for drop in found.adjusted.values()):
        return [t("The drops cannot be adjusted for the datasets.")]
    if not found.disagreements:
        same = t("Plain means and drops adjusted for the datasets name the same winners.")
        return [same, *_assumption(found)]
    warning = t(
        "Warning, {number} removed: the plain mean favours {plain} ({plain_sets}, n = {plain_n}: "
        "{plain_drop} points, adjusted {plain_adjusted}), but over equal datasets {other} costs "
        "less ({other_sets}, n = {other_n}: {other_drop} points, adjusted {other_adjusted})."
    )
    return [
        warning.format(
            number=one.number,
            plain=blocks(one.plain.removal),
            plain_sets=coverage_text(one.plain, found.datasets),
            plain_n=samples_text(one.plain.num_samples),
            plain_drop=percent(one.plain.mean),
            plain_adjusted=percent(one.plain_adjusted_drop),
            other=blocks(one.adjusted.removal),
            other_sets=coverage_text(one.adjusted, found.datasets),
            other_n=samples_text(one.adjusted.num_samples),
            other_drop=percent(one.adjusted.mean),
            other_adjusted=percent(one.adjusted_adjusted_drop),
        )
        for one in found.disagreements
    ] + _assumption(found)


def _assumption(found: Recommendations) -> list[str]:
    """Return what the adjusted drop assumes, where it is more than the plain mean."""
    if not found.num_incomplete:
        return []
    return [
        t(
            "The adjusted drop assumes that cells are missing at random: that which datasets "
            "measured a combination has nothing to do with what it costs there. Searches on each "
            "dataset by itself measure what is cheap there, so it comes out too low after them."
        )
    ]


def target_lines(found: Recommendations) -> list[str]:
    """Return what meets each target that was asked for."""
    lines = []
    for target in found.targets:
        asked = _asked(target)
        one = target.combination
        if one is None:
            lines.append(t("{target}: no ranked combination meets it", target=asked))
            continue
        met = t(
            "{target}: remove {number} of {total} {total:block|blocks} ({blocks}); "
            "{evidence}{reached}"
        )
        lines.append(
            filled(
                met,
                target=asked,
                number=len(one.removal),
                blocks=blocks(one.removal),
                total=found.num_blocks,
                evidence=evidence(one, found.datasets),
                reached=_reached(target),
            )
        )
    return lines


def notes(found: Recommendations) -> list[str]:
    """Return what a reader must know before the tables."""
    lines = []
    if found.num_datasets == 1:
        lines.append(
            t(
                "Note: only one dataset was measured: its drops are ranked as they are, and say "
                "nothing about other datasets."
            )
        )
    lines += weak_lines(found.weak)
    if found.is_weak:
        lines.append(
            t(
                "Nothing is recommended: drops from a weak baseline say nothing. Mend the model or "
                "the task and measure in a new study, or measure without it."
            )
        )
    elif not any(ranking.combinations for ranking in found.independent.values()):
        nothing = t(
            "Note: no removal that is ranked was measured on {coverage} "
            "{coverage:dataset|datasets} or more: nothing can be recommended. "
            "--min-coverage changes the limit."
        )
        lines.append(filled(nothing, coverage=found.min_coverage))
    elif all(isnan(drop) for drop in found.adjusted.values()):
        lines.append(
            t(
                "Note: the datasets fall into groups that share no measured removal; means over "
                "different groups are not comparable."
            )
        )
    if found.num_incomplete:
        text = t(
            "Note: {incomplete} of {all} {all:combination|combinations} "
            "{incomplete:was|were} measured on some of the {total} datasets only, as "
            "searches on each dataset by itself do. On equal ground: `depthprune search "
            "--joint`, or `--complete 3` for the best of each number."
        )
        counts = {"incomplete": found.num_incomplete, "all": found.num_combinations}
        lines.append(filled(text, **counts, total=found.num_datasets))
    if found.path_ends:
        ends = t(
            "Note: the stepwise path removes block {blocks}, an end of the stack: `select` follows "
            "it with --protect none only."
        )
        lines.append(filled(ends, blocks=blocks(found.path_ends)))
    return lines


def reading_note() -> str:
    """Return how the tables are to be read."""
    text = t(
        "Drop: accuracy of the unpruned model minus accuracy, in percentage points, mean over the "
        "datasets; negative = better. Std: population, over datasets. Acc.: mean accuracy. Sets: "
        "datasets measured of all. n: samples, - = unknown. Adj.: adjusted, expected over all "
        "datasets (effect of the removal + effect of the dataset)."
    )
    return f"{text} {interval_note()}"


def _on_common_sets(before: Step, step: Step) -> str:
    """Return what a step adds on the datasets that measured both, where these are not the same."""
    one, known = step.combination.drops.keys(), before.combination.drops.keys()
    if step.paired is None or one == known:
        return ""
    text = t(
        " On the {sets} {sets:dataset|datasets} that measured both it adds {paired} (n "
        "= {samples})."
    )
    return filled(
        text,
        sets=len(one & known),
        paired=percent(step.paired),
        samples=samples_text(step.num_samples),
    )


def _asked(target: Target) -> str:
    if target.kind == "max_drop":
        return t("drop of at most {value} {value:point|points}", value=percent(target.value))
    if target.kind == "speedup":
        return t("{value:g} times as fast").format(value=target.value)
    return t("at most {value} % of the parameters").format(value=percent(target.value, 1))


def _reached(target: Target) -> str:
    if target.reached is None or target.kind == "max_drop":
        return ""
    if target.kind == "speedup":
        return t(
            "; about {reached:.2f} times as fast (estimated from the share that stays)"
        ).format(reached=target.reached)
    if target.exact:
        share = t("; {reached} % of the parameters stay")
    else:
        share = t("; {reached} % of the blocks stay (parameters unknown)")
    return share.format(reached=percent(target.reached, 1))
