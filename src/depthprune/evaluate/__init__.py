"""How a model scores on a task under many removals."""

from depthprune.evaluate.evaluator import Evaluation, Evaluator
from depthprune.evaluate.reference import ReferenceEvaluator
from depthprune.evaluate.shared import SharedEvaluator

__all__ = ["Evaluation", "Evaluator", "ReferenceEvaluator", "SharedEvaluator"]
