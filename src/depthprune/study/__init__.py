"""What was measured, on disk: one SQLite file, and the documented result files as views of it."""

from depthprune.study.importing import ImportReport, import_results
from depthprune.study.reading import read_results
from depthprune.study.records import (
    DatasetResults,
    FoundResults,
    ImportanceComparison,
    Measurement,
    ModelRecord,
    Problem,
    Provenance,
    RemovalResult,
    SampleResult,
    SplitRecord,
    StoredSplit,
)
from depthprune.study.result_files import check_views, write_importance_comparison, write_views
from depthprune.study.store import Study

__all__ = [
    "DatasetResults",
    "FoundResults",
    "ImportReport",
    "ImportanceComparison",
    "Measurement",
    "ModelRecord",
    "Problem",
    "Provenance",
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
