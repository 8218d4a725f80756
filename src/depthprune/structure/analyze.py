"""`from depthprune.structure.analyze import analyze`, as the documentation once had it."""

from depthprune.base.lazy import make_callable
from depthprune.structure.analyses import analyze, read_model

__all__ = ["analyze", "read_model"]

make_callable(__name__, analyze)
