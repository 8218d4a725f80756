"""Many removals at once, with all the work shared that can be."""

from depthprune.engine.shared.block_tracing import Statistics
from depthprune.engine.shared.evaluator import SharedEvaluator

__all__ = ["SharedEvaluator", "Statistics"]
