"""Search with a strategy of your own: here, neighbours of the least important blocks.

    python examples/own_strategy.py FOLDER [SAMPLES]

FOLDER gets the study. A strategy is a frozen dataclass of its options with one method, `ask`: given
what was measured it returns what to measure next, or nothing. The same class works on the command
line: `depthprune search MODEL --strategy examples/own_strategy.py:Neighbours`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import depthprune as dp
from depthprune.strategies import SearchSpace, Strategy


@dataclass(frozen=True)
class Neighbours(Strategy):
    """Every block alone, then each of the best blocks with its neighbours."""

    best: int = 3
    """How many blocks are tried with their neighbours."""

    def ask(self, space: SearchSpace, drops: Mapping[dp.Removal, float]) -> Sequence[dp.Removal]:
        """Return the removals to measure next."""
        alone = space.extend(())
        if missing := [one for one in alone if one not in drops]:
            return missing
        least = sorted(alone, key=lambda one: drops[one])[: self.best]
        pairs = {pair for one in least for pair in space.extend(one) if pair[1] - pair[0] == 1}
        return sorted(pairs - drops.keys())


def main(folder: str, samples: str = "16") -> None:
    """Search two small tasks together, and print the best pairs."""
    tasks = dp.load_tasks("demo_okvqa", "demo_doc_qa", num_samples=int(samples))
    study = dp.search("demo", tasks, folder=folder, strategy=Neighbours(best=2), joint=True)
    pairs = [row for row in dp.recommend(study).table() if row["removed"] == 2]
    for row in pairs[:3]:
        print(f"{row['removal']}: drop {row['drop']:.4f} on {row['datasets']} datasets")


if __name__ == "__main__":
    main(*sys.argv[1:])
