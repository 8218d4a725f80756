"""Pure functions from measurements to findings; no torch. `collect` alone reads files.

`recommend.recommend` and `find.find` answer everything at once from one `ResultSet`.
"""

from depthprune.analysis.bootstrap import Interval, bootstrap_drops, interval
from depthprune.analysis.collect import read_result_set
from depthprune.analysis.combinations import (
    Combination,
    DatasetMeasurements,
    Ranking,
    combine,
    rank,
    with_intervals,
)
from depthprune.analysis.gain import Gain, search_gains
from depthprune.analysis.recommendations import Recommendations
from depthprune.analysis.result_set import ResultSet
from depthprune.analysis.score_order import scores_realising
from depthprune.analysis.summary import Summary, summarise
from depthprune.analysis.table import DropTable, drop_table

__all__ = [
    "Combination",
    "DatasetMeasurements",
    "DropTable",
    "Gain",
    "Interval",
    "Ranking",
    "Recommendations",
    "ResultSet",
    "Summary",
    "bootstrap_drops",
    "combine",
    "drop_table",
    "interval",
    "rank",
    "read_result_set",
    "scores_realising",
    "search_gains",
    "summarise",
    "with_intervals",
]
