"""Pure functions from measurements to findings; no torch, no files."""

from depthprune.analysis.bootstrap import Interval, bootstrap_drops, interval
from depthprune.analysis.combinations import (
    Combination,
    DatasetMeasurements,
    Ranking,
    combine,
    rank,
)
from depthprune.analysis.gain import Gain, search_gains
from depthprune.analysis.summary import Summary, summarise

__all__ = [
    "Combination",
    "DatasetMeasurements",
    "Gain",
    "Interval",
    "Ranking",
    "Summary",
    "bootstrap_drops",
    "combine",
    "interval",
    "rank",
    "search_gains",
    "summarise",
]
