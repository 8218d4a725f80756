"""What every proxy must hold: ours, and a user's own.

def test_mine_holds_the_contract():
    hold_proxy("my_proxies.py:mine", load_model("demo"), split)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from depthprune.importance.proxies import ProxyScores, proxy_scores
from depthprune.tasks.task import TaskSplit

if TYPE_CHECKING:
    from depthprune.blocks.models import LoadedModel


def hold_proxy(
    name: str, loaded: LoadedModel, split: TaskSplit, *, tolerance: float = 1e-4
) -> ProxyScores:
    """Hold the contract; return the scores.

    Args:
        name: of the proxy, or `file.py:name` of a user's own.
        loaded: a model in float32.
        split: a few samples of different lengths.
        tolerance: largest relative difference of two scores that count as equal.

    Raises:
        AssertionError: the contract is broken.
    """
    before = {key: value._version for key, value in loaded.model.named_parameters()}
    found = proxy_scores(name, loaded, split, batch_size=len(split.samples))
    assert found.scores, "no block has a score"
    assert all(map(math.isfinite, found.scores.values())), "a score is not a finite number"
    # Neither the batch size, and with it padding, nor an earlier call changes a score.
    for batch_size in (1, len(split.samples)):
        again = proxy_scores(name, loaded, split, batch_size=batch_size)
        assert again.scores.keys() == found.scores.keys()
        for block, score in found.scores.items():
            assert math.isclose(again.scores[block], score, rel_tol=tolerance, abs_tol=1e-6), (
                f"block {block} has another score with batches of {batch_size}"
            )
    after = {key: value._version for key, value in loaded.model.named_parameters()}
    assert after == before, "the model's weights were changed"
    assert all(value.grad is None for value in loaded.model.parameters()), "gradients are left"
    return found
