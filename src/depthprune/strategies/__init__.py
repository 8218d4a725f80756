"""Which removals to measure next, and the runner that measures them.

A strategy is a frozen dataclass of its options with one method, `ask(space, drops)`:

| strategy | asks for |
|---|---|
| `Ablation` | every single-block removal |
| `Beam` | one block more for each of the best removals of the step before |
| `Greedy` | the same for the one best removal |
| `Exhaustive` | every removal of up to so many blocks |
| `Evolutionary` | small changes of the best removals of each size |
| `Compared` | what a search asks for, then the one-shot removals |
"""

from depthprune.strategies.kinds.beam import Beam, BeamStep, Greedy, RaceOptions
from depthprune.strategies.kinds.evolutionary import Evolutionary
from depthprune.strategies.kinds.exhaustive import Ablation, Exhaustive
from depthprune.strategies.one_shot import Compared, one_shot_removals
from depthprune.strategies.strategy import STRATEGIES, LimitedStrategy, SearchSpace, Strategy

__all__ = [
    "STRATEGIES",
    "Ablation",
    "Beam",
    "BeamStep",
    "Compared",
    "Evolutionary",
    "Exhaustive",
    "Greedy",
    "LimitedStrategy",
    "RaceOptions",
    "SearchSpace",
    "Strategy",
    "one_shot_removals",
]
