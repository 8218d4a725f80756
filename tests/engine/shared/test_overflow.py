"""Numbers that overflow in a draft spoil no answer: without the draft they were not there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from depthprune.base.removal import Removal
from depthprune.engine import ReferenceEvaluator, SharedEvaluator
from depthprune.testing import evaluators as conformance
from depthprune.testing.evaluators import assert_same

REMOVALS: tuple[Removal, ...] = ((), (0,), (3,), (1, 2), (0, 3), (0, 1, 2), (1, 2, 3))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("token", range(16, 29, 2))
def test_a_token_that_overflows_matters_only_where_it_is_written(token: int, number: float) -> None:
    subject = conformance.llama_writes()
    done: list[int] = []
    evaluator = SharedEvaluator(
        subject.loaded, batch_size=3, self_check=False, on_batch=done.append
    )
    # The trial of the model, before anything overflows; nothing of this split is used again.
    evaluator.evaluate(replace(subject.split), [()])

    def overflow(_: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        return output.masked_fill((inputs[0] == token)[..., None], number)

    subject.loaded.model.get_input_embeddings().register_forward_hook(overflow)
    plain = ReferenceEvaluator(subject.loaded, batch_size=3).evaluate(subject.split, REMOVALS)
    done.clear()
    for call in (1, 2, 3):
        assert_same(evaluator.evaluate(subject.split, REMOVALS), plain)
        assert sum(done) == call * len(REMOVALS) * len(subject.split.samples)
    seen = evaluator.statistics
    assert seen.fallbacks == 0
    assert seen.answers == (3 * len(REMOVALS) + 1) * len(subject.split.samples)
