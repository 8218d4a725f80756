"""The shared evaluator fulfils the contract of evaluators."""

from __future__ import annotations

from depthprune.blocks.models import LoadedModel
from depthprune.engine.shared import SharedEvaluator
from depthprune.testing.evaluators import EvaluatorConformance


class TestSharedEvaluator(EvaluatorConformance):
    """The shared evaluator fulfils the contract."""

    def make(self, loaded: LoadedModel, batch_size: int) -> SharedEvaluator:
        return SharedEvaluator(loaded, batch_size=batch_size)
