"""Which removals to measure next, and the runner that measures them.

| strategy | file | asks for |
|---|---|---|
| `Ablation` | ablation.py | every single-block removal |
| `BeamSearch` | beam.py | one block more for each of the best removals of the step before |
| `greedy_search` | greedy.py | the same for the one best removal |
"""

from depthprune.search.ablation import Ablation
from depthprune.search.beam import BeamSearch, BeamStep
from depthprune.search.greedy import greedy_search
from depthprune.search.runner import RunReport, run
from depthprune.search.space import SearchSpace
from depthprune.search.strategy import Strategy

__all__ = [
    "Ablation",
    "BeamSearch",
    "BeamStep",
    "RunReport",
    "SearchSpace",
    "Strategy",
    "greedy_search",
    "run",
]
