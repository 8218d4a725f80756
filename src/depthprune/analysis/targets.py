"""Targets instead of a number of blocks: a largest drop, a speed-up, a share of the parameters.

The speed-up is an estimate. Generating text is bound by reading the weights, so its time goes with
the parameters that stay: speed-up = all parameters / those that stay. Where the parameters are
unknown the blocks are counted instead, as if nothing but blocks took time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from depthprune.analysis.combinations import Combination, Ranking
from depthprune.analysis.options import Targets
from depthprune.analysis.recommendations import Target, TargetKind
from depthprune.analysis.result_set import ResultSet
from depthprune.base.removal import Removal, settled


def choose_targets(
    independent: Mapping[int, Ranking],
    results: ResultSet,
    asked: Targets,
) -> tuple[Target, ...]:
    """Return for each target that is given the combination that meets it.

    For `max_drop` the most blocks whose best combination keeps to it; for the others the fewest
    blocks of which a combination reaches it, and the best of those that do.

    Args:
        independent: rankings by number removed.
        results: for the numbers of blocks and parameters.
        asked: the largest mean drop, a speed-up at least, and the share of the parameters that
            stays at most.
    """
    max_drop, speedup, params = asked.max_drop, asked.speedup, asked.params
    numbers = sorted(independent)
    share = partial(share_that_stays, results)
    exact = results.parameters is not None and results.block_parameters is not None
    targets = []
    if max_drop is not None:
        keeping = _best(
            independent, reversed(numbers), lambda one: settled(one.mean) <= settled(max_drop)
        )
        reached = None if keeping is None else keeping.mean
        targets.append(_target("max_drop", max_drop, keeping, reached, exact=True))
    if speedup is not None:
        # Shares, not ratios, are compared: the same rounding on both sides.
        fast = _best(
            independent,
            numbers,
            lambda one: settled(share(one.removal)) <= settled(1 / speedup),
        )
        reached = None if fast is None else 1 / share(fast.removal)
        targets.append(_target("speedup", speedup, fast, reached, exact=False))
    if params is not None:
        small = _best(
            independent, numbers, lambda one: settled(share(one.removal)) <= settled(params)
        )
        reached = None if small is None else share(small.removal)
        targets.append(_target("params", params, small, reached, exact=exact))
    return tuple(targets)


def share_that_stays(results: ResultSet, removal: Removal) -> float:
    """Return the share of the model's parameters, else of its blocks, that a removal leaves."""
    if results.parameters is None or results.block_parameters is None:
        return 1 - len(removal) / results.num_blocks
    return 1 - sum(results.block_parameters[block] for block in removal) / results.parameters


def _best(
    independent: Mapping[int, Ranking],
    numbers: Iterable[int],
    meets: Callable[[Combination], bool],
) -> Combination | None:
    """Return the best combination that meets the target, of the first number that has one."""
    return next(
        (one for number in numbers for one in independent[number].combinations if meets(one)), None
    )


def _target(
    kind: TargetKind, value: float, met: Combination | None, reached: float | None, *, exact: bool
) -> Target:
    return Target(kind, value, None if met is None else len(met.removal), met, reached, exact)
