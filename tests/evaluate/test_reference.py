"""The reference evaluator fulfils the contract."""

from __future__ import annotations

from depthprune.blocks.models import LoadedModel
from depthprune.evaluate.reference import ReferenceEvaluator
from tests.evaluate.conformance import EvaluatorConformance


class TestReferenceEvaluator(EvaluatorConformance):
    def make(self, loaded: LoadedModel, batch_size: int) -> ReferenceEvaluator:
        return ReferenceEvaluator(loaded, batch_size=batch_size)
