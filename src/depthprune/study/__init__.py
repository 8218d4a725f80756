"""What was measured, on disk: one SQLite file, and the documented result files as views of it."""

from depthprune.study.importing import ImportReport, import_results
from depthprune.study.layouts import read_results
from depthprune.study.records import Measurement, ModelRecord, SplitRecord, StoredSplit
from depthprune.study.results import (
    DatasetResults,
    ImportanceComparison,
    Problem,
    Provenance,
    Reading,
    RemovalResult,
    SampleResult,
)
from depthprune.study.store import Study
from depthprune.study.views import check_views, write_importance_comparison, write_views

__all__ = [
    "DatasetResults",
    "ImportReport",
    "ImportanceComparison",
    "Measurement",
    "ModelRecord",
    "Problem",
    "Provenance",
    "Reading",
    "RemovalResult",
    "SampleResult",
    "SplitRecord",
    "StoredSplit",
    "Study",
    "check_views",
    "import_results",
    "read_results",
    "write_importance_comparison",
    "write_views",
]
