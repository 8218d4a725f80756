"""Anatomy of checkpoints, without loading weights.

`analyze` says what a checkpoint consists of and what it lost against its original, `batch` does so
for every model below a folder, `summarize` reads what is known of many models, and `table` sets
them side by side.
"""

from __future__ import annotations

from depthprune.base.lazy import lazily

TYPE_CHECKING = False
if TYPE_CHECKING:
    from depthprune.structure.analyses import analyze, read_model
    from depthprune.structure.batches import batch
    from depthprune.structure.model_table import table
    from depthprune.structure.summaries import facts_of, summarize

__all__ = ["analyze", "batch", "facts_of", "read_model", "summarize", "table"]

__getattr__ = lazily(
    __name__,
    {
        "analyze": "depthprune.structure.analyses",
        "batch": "depthprune.structure.batches",
        "facts_of": "depthprune.structure.summaries",
        "read_model": "depthprune.structure.analyses",
        "summarize": "depthprune.structure.summaries",
        "table": "depthprune.structure.model_table",
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
