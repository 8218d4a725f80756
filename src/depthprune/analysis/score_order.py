"""Importance scores whose order realises the recommended removals."""

from __future__ import annotations

from depthprune.analysis.recommendations import Recommendations


def scores_realising(recommendations: Recommendations) -> dict[int, float]:
    """Return a score for every block: removing the lowest ones follows the stepwise path.

    The n blocks with the lowest scores are those of step n; so the selection of
    `num_blocks - n` active blocks gives exactly that step. Only removals that contain each other
    have an order: where the independent best ones do not, it is the stepwise path that is realised.
    A selection that protects the first and the last block follows the path as far as it removes
    neither (`Recommendations.path_ends` says when it does).

    The scores are places, 0 for the block that goes first: drops would tie or come out of order,
    as a mean over other datasets may fall from step to step. Behind the path follow the other
    blocks by their drop alone, then those that were never measured alone, then the essential ones.

    Returns:
        By block, ascending by block.
    """
    order: list[int] = []
    for step in recommendations.stepwise.steps:
        order += [block for block in step.combination.removal if block not in order]
    essential = recommendations.essential_blocks
    singles = recommendations.singles

    def place(block: int) -> tuple[bool, bool, float, int]:
        measured = block in singles
        return block in essential, not measured, singles.get(block, 0.0), block

    rest = set(range(recommendations.num_blocks)) - set(order)
    order += sorted(rest, key=place)
    return {block: float(order.index(block)) for block in sorted(order)}
