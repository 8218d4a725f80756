"""`from depthprune.structure.summarize import summarize`, as the documentation once had it."""

from depthprune.base.lazy import make_callable
from depthprune.structure.summaries import summarize, summarize_model

__all__ = ["summarize", "summarize_model"]

make_callable(__name__, summarize)
