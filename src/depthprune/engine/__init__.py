"""How a model scores on a task under many removals."""

from typing import TYPE_CHECKING

from depthprune.base.lazy import lazily

if TYPE_CHECKING:
    from depthprune.engine.evaluator import Evaluation, Evaluator
    from depthprune.engine.reference import ReferenceEvaluator
    from depthprune.engine.shared import SharedEvaluator

__all__ = ["Evaluation", "Evaluator", "ReferenceEvaluator", "SharedEvaluator"]

__getattr__ = lazily(
    __name__,
    {
        "Evaluation": "depthprune.engine.evaluator",
        "Evaluator": "depthprune.engine.evaluator",
        "ReferenceEvaluator": "depthprune.engine.reference",
        "SharedEvaluator": "depthprune.engine.shared",
    },
)
