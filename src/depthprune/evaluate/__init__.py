"""How a model scores on a task under many removals."""

from typing import TYPE_CHECKING

from depthprune.base.lazy import lazily

if TYPE_CHECKING:
    from depthprune.evaluate.evaluator import Evaluation, Evaluator
    from depthprune.evaluate.reference import ReferenceEvaluator
    from depthprune.evaluate.shared import SharedEvaluator

__all__ = ["Evaluation", "Evaluator", "ReferenceEvaluator", "SharedEvaluator"]

__getattr__ = lazily(
    __name__,
    {
        "Evaluation": "depthprune.evaluate.evaluator",
        "Evaluator": "depthprune.evaluate.evaluator",
        "ReferenceEvaluator": "depthprune.evaluate.reference",
        "SharedEvaluator": "depthprune.evaluate.shared",
    },
)
