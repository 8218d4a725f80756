"""What was measured, on disk: one SQLite file, and the documented result files as views of it."""

from depthprune.study.records import Measurement, ModelRecord, SplitRecord, StoredSplit
from depthprune.study.store import Study

__all__ = ["Measurement", "ModelRecord", "SplitRecord", "StoredSplit", "Study"]
