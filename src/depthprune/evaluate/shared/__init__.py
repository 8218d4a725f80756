"""Many removals at once, with all the work shared that can be."""

from depthprune.evaluate.shared.evaluator import SharedEvaluator
from depthprune.evaluate.shared.work import Statistics

__all__ = ["SharedEvaluator", "Statistics"]
