"""Findings as plain JSON data: drops are fractions, what is unknown is null."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from depthprune.analysis.combinations import (
    Combination,
    RankedCombinations,
    mark,
    table_combinations,
)
from depthprune.analysis.dataset_agreement import Pair, extreme_pairs
from depthprune.analysis.drop_table import Distribution, DropTable
from depthprune.analysis.findings import Analysis
from depthprune.analysis.recommend import Recommended, scores_realising
from depthprune.analysis.recommended_strategies import RecommendedStrategy
from depthprune.analysis.verified import VerifiedRemoval, choose, refused
from depthprune.base.language import language
from depthprune.base.removal import active_blocks, format_removal
from depthprune.report.render.plain import plain
from depthprune.report.sections.answers import damage_by_dataset
from depthprune.report.sections.choice import strategy_reason
from depthprune.report.sections.inputs import samples_by_dataset, weak_value
from depthprune.report.sections.recommendations import SHOWN, notes


def combination_value(one: Combination, found: Recommended) -> dict[str, Any]:
    """Return a combination with everything that is known of it but its drops by dataset."""
    chosen = found.selections.get(one.removal)
    return {
        "removed_blocks": one.removal,
        "num_removed": len(one.removal),
        "num_active_blocks": found.num_blocks - len(one.removal),
        "avg_accuracy_drop": one.mean,
        "std_accuracy_drop": one.std,
        "confidence_interval": one.interval,
        "mark": mark(one, chosen),
        "avg_accuracy": one.accuracy,
        "adjusted_accuracy_drop": found.adjusted.get(one.removal),
        "num_datasets_tested": one.coverage,
        "num_datasets": found.num_datasets,
        "datasets": list(one.drops),
        "num_samples": one.num_samples or None,
        "selection": chosen
        and {
            "chosen_among": chosen.among,
            "corrected_accuracy_drop": chosen.drop,
            "confidence_interval": chosen.interval,
        },
    }


def distribution_value(drops: Distribution | None) -> dict[str, Any] | None:
    """Return a distribution in numbers; null where nothing was measured."""
    if drops is None:
        return None
    return {
        "count": drops.count,
        "mean": drops.mean,
        "std": drops.std,
        "min": drops.minimum,
        "quartile_1": drops.quartiles[0],
        "median": drops.median,
        "quartile_3": drops.quartiles[1],
        "max": drops.maximum,
    }


def verified_value(found: Recommended) -> dict[str, Any] | None:
    """Return what was measured again on fresh samples; null where nothing ever was."""
    known = found.verified
    if known is None:
        return None
    return {
        "datasets": known.datasets,
        "not_verified": [
            {
                "dataset": one.dataset,
                "num_fresh_samples": one.num_samples,
                "reason": one.reason or None,
            }
            for one in known.missing
        ],
        "not_confirmed": refused(found),
        "removals": [fresh_value(one) for one in known.removals],
    }


def fresh_value(one: VerifiedRemoval | None) -> dict[str, Any] | None:
    """Return a removal on fresh samples, drops as fractions; null where it was not verified."""
    if one is None:
        return None
    gain = one.gain
    return {
        "removed_blocks": one.removal,
        "roles": one.roles,
        "avg_accuracy_drop": one.drop,
        "confidence_interval": one.interval,
        "num_samples": one.num_samples,
        "num_datasets_tested": len(one.datasets),
        "max_drop": one.limit,
        "confirmed": one.confirmed,
        "when_chosen": {
            "avg_accuracy_drop": one.searched,
            "confidence_interval": one.searched_interval,
            "num_datasets_tested": one.num_searched,
        },
        "gain_over_one_shot": gain
        and {
            "one_shot": gain.one_shot,
            "one_shot_accuracy_drop": gain.drop,
            "gain": gain.gain,
            "confidence_interval": gain.interval,
        },
        "datasets": [
            {
                "dataset": each.dataset,
                "split": each.split,
                "num_samples": each.num_samples,
                "accuracy_drop": each.drop,
                "accuracy_drop_when_chosen": each.searched,
            }
            for each in one.datasets
        ],
    }


SCORES = "importance_scores_recommended.json"
FIELD = "importance_scores"


@language("en")
def recommendations_value(analysis: Analysis) -> dict[str, Any]:
    """Return every recommendation with its evidence as plain JSON data, drops as fractions."""
    found, results = analysis.recommendations, analysis.results
    value = {
        "model": results.model,
        "num_blocks": found.num_blocks,
        "num_datasets": found.num_datasets,
        "splits": results.splits,
        "min_coverage": found.min_coverage,
        "robust_coverage": found.robust_coverage,
        "recommended": _recommended(found),
        "verified": verified_value(found),
        "independent_best": _rankings(found.independent, found),
        "stepwise": {
            "steps": [
                combination_value(step.combination, found)
                | {
                    "incremental_drop": step.incremental,
                    "paired_incremental_drop": step.paired,
                    "paired_confidence_interval": step.interval,
                    "paired_num_samples": step.num_samples or None,
                    "jump": step.jump,
                }
                for step in found.stepwise.steps
            ],
            "no_superset_for_num_removed": found.stepwise.missing,
        },
        "robust_best": _rankings(found.robust, found),
        "strategies": {
            strategy.name: [combination_value(one, found) for one in strategy.combinations]
            for strategy in found.strategies
        },
        "strategy_reasons": {
            strategy.name: strategy_reason(found, strategy) for strategy in found.strategies
        },
        "limit": {
            "drop": found.limit.drop,
            "mean_baseline_accuracy": found.limit.baseline,
            "min_datasets": found.limit.coverage,
            "share_of_metrics_that_may_exceed_1": found.limit.unbounded,
        },
        "levels": {
            strategy.name: {
                "reason": strategy_reason(found, strategy),
                "max_drop": None if strategy.name == "aggressive" else found.limit.drop,
                "recommendation": _or_null(_last(strategy), found),
            }
            for strategy in found.strategies
        },
        "must_keep": [
            combination_value(one.combination, found)
            | {
                "block": one.combination.removal[0],
                "share_of_accuracy_lost": one.share,
                "hit_hardest": {"dataset": one.worst[0], "accuracy_drop": one.worst[1]},
            }
            for one in found.essential
        ],
        "disagreements": [
            {
                "num_removed": one.number,
                "plain_winner": combination_value(one.plain, found),
                "adjusted_winner": combination_value(one.adjusted, found),
            }
            for one in found.disagreements
        ],
        "targets": [
            {
                "kind": one.kind,
                "value": one.value,
                "met": one.combination is not None,
                "reached": one.reached,
                "exact": one.exact,
                "recommendation": _or_null(one.combination, found),
            }
            for one in found.targets
        ],
        "weak_baselines": weak_value(found.weak),
        "notes": notes(found),
        "problems": results.problems,
    }
    return _plain(value)


def block_configs_value(analysis: Analysis) -> dict[str, Any]:
    """Return lists of blocks by number of active blocks, in the layout that `select` writes.

    `block_configs` holds the stepwise path, which the score file realises; where the path ends, the
    robust best, and else the independent best of that number. `kind` says which it is. None of
    these fallbacks removes a block that must stay.
    """
    found = analysis.recommendations
    kinds = {
        "stepwise": {len(one.combination.removal): one.combination for one in found.stepwise.steps},
        "robust": _first(found.robust),
        "independent": _first(found.independent),
    }
    by_kind = {
        kind: {
            found.num_blocks - removed: _config(one, kind, found)
            for removed, one in sorted(ones.items())
        }
        for kind, ones in kinds.items()
    }
    main = {}
    for removed in sorted(kinds["independent"]):
        for kind, ones in kinds.items():
            one = ones.get(removed)
            if one and (kind == "stepwise" or not found.essential_blocks & set(one.removal)):
                main[found.num_blocks - removed] = by_kind[kind][found.num_blocks - removed]
                break
    levels = {one.name: _last(one) for one in found.strategies}
    return _plain(
        {
            "importance_scores_file": SCORES,
            "instead_of": None,
            "scores_field": FIELD,
            "num_blocks": found.num_blocks,
            "protected_blocks": [],
            "must_keep": sorted(found.essential_blocks),
            "block_configs": main,
            "by_kind": by_kind,
            "levels": {name: one and _config(one, name, found) for name, one in levels.items()},
        }
    )


def scores_value(analysis: Analysis) -> dict[str, Any]:
    """Return scores whose order realises the stepwise path: the lowest go first.

    `select --num_active_blocks` gives exactly its steps; where the path removes the first or the
    last block, with `--protect none`.
    """
    found = analysis.recommendations
    scores = scores_realising(found)
    value = {
        "source": "places in the recommended order of removal (0 goes first), not drops",
        "num_blocks": found.num_blocks,
        "removal_order": sorted(scores, key=lambda block: scores[block]),
        "stepwise_num_removed": len(found.stepwise.steps),
        "needs_protect_none": bool(found.path_ends),
        FIELD: scores,
    }
    return _plain(value)


def _rankings(rankings: Mapping[int, RankedCombinations], found: Recommended) -> dict[int, Any]:
    return {
        removed: {
            "best": _or_null(next(iter(ranking.combinations), None), found),
            "top": [combination_value(one, found) for one in ranking.combinations[:SHOWN]],
            "num_ranked": len(ranking.combinations),
            "left_out_low_coverage": ranking.low_coverage,
            "left_out_below_min_drop": ranking.improving,
        }
        for removed, ranking in rankings.items()
    }


def _recommended(found: Recommended) -> dict[str, Any] | None:
    choice = choose(found)
    if choice is None:
        return None
    fresh = found.on_fresh_samples(choice.combination.removal)
    first = {"rule": choice.rule, "on_fresh_samples": fresh_value(fresh)}
    return first | combination_value(choice.combination, found)


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = plain(value)
    return made


def _or_null(one: Combination | None, found: Recommended) -> dict[str, Any] | None:
    return None if one is None else combination_value(one, found)


def _last(strategy: RecommendedStrategy) -> Combination | None:
    return strategy.combinations[-1] if strategy.combinations else None


def _first(rankings: Mapping[int, RankedCombinations]) -> dict[int, Combination]:
    return {
        removed: ranking.combinations[0]
        for removed, ranking in rankings.items()
        if ranking.combinations
    }


def _config(one: Combination, kind: str, found: Recommended) -> dict[str, Any]:
    return {
        "num_active_blocks": found.num_blocks - len(one.removal),
        "removed_block_indices": one.removal,
        "active_block_indices": active_blocks(one.removal, found.num_blocks),
        "spared_by_protection": [],
        "tied": [],
        "kind": kind,
    } | combination_value(one, found)


def pairwise_value(analysis: Analysis) -> dict[str, Any]:
    """Return correlations and mean differences of all pairs of datasets as plain JSON data."""
    found = analysis.findings
    alike, unlike = extreme_pairs(found.pairs)
    value = {
        "num_pairs": len(found.pairs),
        "pairs": [_pair(one) for one in found.pairs],
        "most_alike": [_pair(one) for one in alike],
        "least_alike": [_pair(one) for one in unlike],
        "by_task_type": {
            "same" if group.same_type else "different": {
                "num_pairs": group.count,
                "pearson": distribution_value(group.pearson),
                "spearman": distribution_value(group.spearman),
                "absolute_mean_difference": distribution_value(group.difference),
            }
            for group in found.pair_groups
        },
    }
    return _plain(value)


def _pair(one: Pair) -> dict[str, Any]:
    return {
        "datasets": [one.first, one.second],
        "num_common_combinations": one.common,
        "pearson": one.pearson,
        "spearman": one.spearman,
        "mean_difference": one.difference,
        "same_task_type": one.same_type if one.types_known else None,
    }


BEST = 10
"""Combinations of each number removed that are listed as the best ones."""

AT_ONCE = 4096
"""Combinations that are held at once beside those of the recommendations."""


def cross_dataset_pieces(analysis: Analysis) -> Iterator[bytes]:
    """Yield the document; one line for each combination, however many there are."""
    yield b'{\n "combination_stats": {'
    separator = "\n  "
    for one in _combinations(analysis):
        line = _json(_stats(one, analysis))
        yield f'{separator}"{format_removal(one.removal)}": {line}'.encode(
            "utf-8", "backslashreplace"
        )
        separator = ",\n  "
    yield b"\n },\n"
    rest = _json(_rest(analysis), indent=1)
    yield rest.removeprefix("{\n").encode("utf-8", "backslashreplace")
    yield b"\n"


def _json(value: dict[str, Any], indent: int | None = None) -> str:
    """Return a value as JSON; only one with numbers that are not finite is made plain first."""
    form: dict[str, Any] = {"indent": indent, "ensure_ascii": False, "allow_nan": False}
    try:
        return json.dumps(value, default=plain, **form)
    except ValueError:
        return json.dumps(plain(value), **form)


def _combinations(analysis: Analysis) -> Iterator[Combination]:
    known = {
        one.removal: one
        for ranking in analysis.recommendations.independent.values()
        for one in ranking.combinations
    }
    for start in range(0, len(analysis.table.removals), AT_ONCE):
        for one in table_combinations(_rows(analysis.table, start, start + AT_ONCE)):
            # Only what is ranked has an interval.
            yield known.get(one.removal, one)


def _rows(table: DropTable, start: int, stop: int) -> DropTable:
    return replace(
        table,
        removals=table.removals[start:stop],
        drops=table.drops[start:stop],
        accuracies=table.accuracies[start:stop],
        num_samples=table.num_samples[start:stop],
    )


def _stats(one: Combination, analysis: Analysis) -> dict[str, Any]:
    damaged = damage_by_dataset(analysis, one.removal)
    value = combination_value(one, analysis.recommendations)
    value["accuracy_drops_by_dataset"] = one.drops
    return value | ({"damaged_answers": damaged} if damaged else {})


def _rest(analysis: Analysis) -> dict[str, Any]:
    found = analysis.recommendations
    return {
        "best_combinations": {
            removed: [combination_value(one, found) for one in ranking.combinations[:BEST]]
            for removed, ranking in found.independent.items()
        },
        "dataset_specific_best": _dataset_specific(analysis),
        "summary_stats": _summary(analysis),
    }


def _dataset_specific(analysis: Analysis) -> dict[str, Any]:
    table = analysis.table
    rows = {removal: row for row, removal in enumerate(table.removals)}
    columns = {dataset: column for column, dataset in enumerate(table.datasets)}
    return {
        one.dataset: {
            removed: {
                "removed_blocks": removal,
                "num_active_blocks": table.num_blocks - removed,
                "accuracy_drop": drop,
                "accuracy": table.accuracies[rows[removal], columns[one.dataset]],
                "num_samples": int(table.num_samples[rows[removal], columns[one.dataset]]) or None,
            }
            for removed, (removal, drop) in one.best.items()
        }
        for one in sorted(analysis.findings.responses, key=lambda one: columns[one.dataset])
    }


def _summary(analysis: Analysis) -> dict[str, Any]:
    found, table, results = analysis.recommendations, analysis.table, analysis.results
    samples = samples_by_dataset(analysis)
    return {
        "model": results.model,
        "num_total_blocks": table.num_blocks,
        "num_datasets": len(table.datasets),
        "datasets": {
            one.dataset: {
                "split": results.splits[one.dataset],
                "task_type": one.task_type or None,
                "metric": one.metric or None,
                "baseline_accuracy": one.baseline.accuracy,
                "num_samples": samples[one.dataset] or None,
                "num_removals": len(one.measurements),
            }
            for one in results.datasets
        },
        "num_combinations": len(table.removals),
        "num_drops": int(table.coverage.sum()),
        "min_coverage": found.min_coverage,
        "robust_coverage": found.robust_coverage,
        "accuracy_drops": distribution_value(analysis.findings.overall),
        "by_num_removed": {
            removed: {
                "num_combinations": int((table.sizes == removed).sum()),
                "num_ranked": len(ranking.combinations),
                "left_out_low_coverage": ranking.low_coverage,
                "left_out_below_min_drop": ranking.improving,
                "accuracy_drops": distribution_value(analysis.findings.by_number.get(removed)),
            }
            for removed, ranking in found.independent.items()
        },
        "problems": results.problems,
    }
