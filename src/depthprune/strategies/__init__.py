"""Which removals to measure next, and the runner that measures them.

| strategy | file | asks for |
|---|---|---|
| `Ablation` | ablation.py | every single-block removal |
| `BeamSearch` | beam.py | one block more for each of the best removals of the step before |
| `greedy_search` | greedy.py | the same for the one best removal |
| `ExhaustiveSearch` | exhaustive.py | every removal of up to so many blocks |
| `EvolutionarySearch` | evolutionary.py | small changes of the best removals of each size |
| `Compared` | comparison.py | what a search asks for, then the one-shot removals |
"""

from depthprune.strategies.ablation import Ablation
from depthprune.strategies.beam import BeamSearch, BeamStep
from depthprune.strategies.comparison import Compared
from depthprune.strategies.evolutionary import EvolutionarySearch
from depthprune.strategies.exhaustive import ExhaustiveSearch
from depthprune.strategies.greedy import greedy_search
from depthprune.strategies.one_shot import one_shot_removals
from depthprune.strategies.runner import RunReport, run
from depthprune.strategies.space import SearchSpace
from depthprune.strategies.strategy import Strategy

__all__ = [
    "Ablation",
    "BeamSearch",
    "BeamStep",
    "Compared",
    "EvolutionarySearch",
    "ExhaustiveSearch",
    "RunReport",
    "SearchSpace",
    "Strategy",
    "greedy_search",
    "one_shot_removals",
    "run",
]
