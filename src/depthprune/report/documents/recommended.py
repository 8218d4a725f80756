"""The recommendations as files that other commands read: choices, block lists, scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from depthprune.analysis.choice import choose
from depthprune.analysis.combinations import Combination, Ranking
from depthprune.analysis.recommendations import Recommendations, Strategy, Target
from depthprune.analysis.score_order import scores_realising
from depthprune.analysis.whole import Analysis
from depthprune.base.language import language
from depthprune.report.baseline import weak_value
from depthprune.report.documents.values import (
    combination_value,
    fresh_value,
    interval_value,
    number,
    verified_value,
)
from depthprune.report.sections.recommendations import SHOWN, notes
from depthprune.report.sections.strategies import strategy_reason

SCORES = "importance_scores_recommended.json"
FIELD = "importance_scores"


@language("en")
def recommendations_value(analysis: Analysis) -> dict[str, Any]:
    """Return every recommendation with its evidence as plain JSON data, drops as fractions."""
    found, results = analysis.recommendations, analysis.results
    return {
        "model": results.model,
        "num_blocks": found.num_blocks,
        "num_datasets": found.num_datasets,
        "splits": dict(results.splits),
        "min_coverage": found.min_coverage,
        "robust_coverage": found.robust_coverage,
        "recommended": _recommended(found),
        "verified": verified_value(found),
        "independent_best": _rankings(found.independent, found),
        "stepwise": {
            "steps": [
                combination_value(step.combination, found)
                | {
                    "incremental_drop": number(step.incremental),
                    "paired_incremental_drop": number(step.paired),
                    "paired_confidence_interval": interval_value(step.interval),
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
            "mean_baseline_accuracy": number(found.limit.baseline),
            "min_datasets": found.limit.coverage,
            "share_of_metrics_that_may_exceed_1": dict(found.limit.unbounded),
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
                "share_of_accuracy_lost": number(one.share),
                "hit_hardest": {"dataset": one.worst[0], "accuracy_drop": number(one.worst[1])},
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
        "targets": [_target(one, found) for one in found.targets],
        "weak_baselines": weak_value(found.weak),
        "notes": notes(found),
        "problems": list(results.problems),
    }


def block_configs_value(analysis: Analysis) -> dict[str, Any]:
    """Return lists of blocks by number of active blocks, in the layout that `select` writes.

    `block_configs` holds the stepwise path, which the score file realises; where the path ends, the
    robust best, and else the independent best of that number. `kind` says which it is. None of
    these fallbacks removes a block that must stay.
    """
    found = analysis.recommendations
    essential = found.essential_blocks
    stepwise = {len(step.combination.removal): step.combination for step in found.stepwise.steps}
    robust = _first(found.robust)
    independent = _first(found.independent)
    main: dict[int, tuple[Combination, str]] = {}
    for removed in sorted(independent):
        for kind, ones in (
            ("stepwise", stepwise),
            ("robust", robust),
            ("independent", independent),
        ):
            one = ones.get(removed)
            if one is not None and (kind == "stepwise" or not essential & set(one.removal)):
                main[removed] = one, kind
                break
    return {
        "importance_scores_file": SCORES,
        "instead_of": None,
        "scores_field": FIELD,
        "num_blocks": found.num_blocks,
        "protected_blocks": [],
        "must_keep": sorted(essential),
        "block_configs": _configs(found, main),
        "by_kind": {
            "stepwise": _configs(found, {n: (one, "stepwise") for n, one in stepwise.items()}),
            "robust": _configs(found, {n: (one, "robust") for n, one in robust.items()}),
            "independent": _configs(
                found, {n: (one, "independent") for n, one in independent.items()}
            ),
        },
        "levels": {
            strategy.name: None
            if (last := _last(strategy)) is None
            else _config(last, strategy.name, found)
            for strategy in found.strategies
        },
    }


def scores_value(analysis: Analysis) -> dict[str, Any]:
    """Return scores whose order realises the stepwise path: the lowest go first.

    `select --num_active_blocks` gives exactly its steps; where the path removes the first or the
    last block, with `--protect none`.
    """
    found = analysis.recommendations
    scores = scores_realising(found)
    path = found.stepwise.steps
    return {
        "source": "places in the recommended order of removal (0 goes first), not drops",
        "num_blocks": found.num_blocks,
        "removal_order": sorted(scores, key=lambda block: scores[block]),
        "stepwise_num_removed": len(path),
        "needs_protect_none": bool(found.path_ends),
        FIELD: {str(block): score for block, score in scores.items()},
    }


def _rankings(rankings: Mapping[int, Ranking], found: Recommendations) -> dict[str, Any]:
    return {
        str(removed): {
            "best": _or_null(next(iter(ranking.combinations), None), found),
            "top": [combination_value(one, found) for one in ranking.combinations[:SHOWN]],
            "num_ranked": len(ranking.combinations),
            "left_out_low_coverage": ranking.low_coverage,
            "left_out_below_min_drop": ranking.improving,
        }
        for removed, ranking in rankings.items()
    }


def _recommended(found: Recommendations) -> dict[str, Any] | None:
    choice = choose(found)
    if choice is None:
        return None
    fresh = found.on_fresh_samples(choice.combination.removal)
    first = {"rule": choice.rule, "on_fresh_samples": fresh_value(fresh)}
    return first | combination_value(choice.combination, found)


def _last(strategy: Strategy) -> Combination | None:
    return strategy.combinations[-1] if strategy.combinations else None


def _or_null(one: Combination | None, found: Recommendations) -> dict[str, Any] | None:
    return None if one is None else combination_value(one, found)


def _target(one: Target, found: Recommendations) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "value": one.value,
        "met": one.combination is not None,
        "reached": number(one.reached),
        "exact": one.exact,
        "recommendation": _or_null(one.combination, found),
    }


def _first(rankings: Mapping[int, Ranking]) -> dict[int, Combination]:
    return {
        removed: ranking.combinations[0]
        for removed, ranking in rankings.items()
        if ranking.combinations
    }


def _configs(
    found: Recommendations, chosen: Mapping[int, tuple[Combination, str]]
) -> dict[str, Any]:
    return {
        str(found.num_blocks - removed): _config(one, kind, found)
        for removed, (one, kind) in sorted(chosen.items())
    }


def _config(one: Combination, kind: str, found: Recommendations) -> dict[str, Any]:
    return {
        "num_active_blocks": found.num_blocks - len(one.removal),
        "removed_block_indices": list(one.removal),
        "active_block_indices": sorted(set(range(found.num_blocks)) - set(one.removal)),
        "spared_by_protection": [],
        "tied": [],
        "kind": kind,
    } | combination_value(one, found)
