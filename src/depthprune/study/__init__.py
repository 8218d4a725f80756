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
from depthprune.study.result_files import (
    check_result_files,
    write_importance_comparison,
    write_result_files,
)
from depthprune.study.store import StudyStore

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
    "StudyStore",
    "check_result_files",
    "import_results",
    "read_results",
    "write_importance_comparison",
    "write_result_files",
]
