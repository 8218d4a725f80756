"""Many removals at once, with all the work shared that can be."""

from depthprune.engine.shared.evaluator import SharedEvaluator
from depthprune.engine.shared.work import Statistics

__all__ = ["SharedEvaluator", "Statistics"]
