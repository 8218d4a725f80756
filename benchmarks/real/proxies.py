"""Which proxy orders the blocks of a real model as removing them does?

python benchmarks/real/proxies.py REAL

REAL is the folder that `build.py` wrote. Every proxy scores the blocks on a few training samples of
each multiple-choice task; every block is removed alone, and all samples of both halves are answered
(by `objectives.py`, 96 and 112 of each task). The table holds Spearman's rank correlation of the
scores with the drop in accuracy, and with the rise of the log-loss over the options; beside them,
that of the number measured on as few samples with that on all others. What is computed is kept in
REAL/rules and REAL/objectives, and not computed again.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from time import process_time

import numpy as np
from numpy.typing import NDArray
from objectives import TASKS, measured

from depthprune.blocks.models import load_model
from depthprune.importance.compare import rank_agreement
from depthprune.importance.proxies import PROXIES, ProxyScores, proxy_scores
from depthprune.tasks.load import load_split

FIRST = 8
"""How many of the least important blocks are held against each other."""

DRAWS = 100


def scored(real: Path, samples: int) -> dict[str, tuple[dict[str, ProxyScores], float]]:
    """Return for each proxy its scores by task, and the CPU seconds that they took; compute what is
    not kept yet."""
    os.environ["DEPTHPRUNE_REAL"] = str(real)
    import tasks

    found = {}
    for name in PROXIES:
        path = real / "rules" / f"proxy-{name}-{samples}.json"
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            loaded = load_model(str(real / "model"), dtype="float32", device="cpu")
            splits = [load_split(getattr(tasks, one), "train", samples, 0) for one in TASKS]
            before = process_time()
            scores = [proxy_scores(name, loaded, split) for split in splits]
            seconds = process_time() - before
            kept = [[[*one.scores.items()], [*one.runs.items()]] for one in scores]
            path.write_text(json.dumps([kept, seconds]), encoding="utf-8")
            print(f"{name}: {seconds:.0f} CPU s", flush=True)
        kept, seconds = json.loads(path.read_text(encoding="utf-8"))
        by_task = {
            task: ProxyScores(name, dict(scores), {tuple(run): one for run, one in runs})
            for task, (scores, runs) in zip(TASKS, kept, strict=True)
        }
        found[name] = by_task, seconds
    return found


def main() -> None:
    """Score, measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("real", type=Path)
    parser.add_argument("--samples", type=int, default=16, help="of each task, that proxies read")
    asked = parser.parse_args()
    proxies = scored(asked.real, asked.samples)
    blocks = json.loads((asked.real / "model" / "config.json").read_text())["num_hidden_layers"]
    singles = [(block,) for block in range(blocks)]
    answers = list(measured(asked.real, singles, (96, 112), asked.real / "objectives"))
    for what in ("accuracy", "loss"):
        names = [*proxies, f"{what} on {asked.samples}"]
        print(f"\nagainst {what}: rank correlation (of the {FIRST} that cost least, found)\n")
        print(f"| task | {' | '.join(names)} |\n|---|{'--:|' * len(names)}")
        for task, one in zip(TASKS, answers, strict=True):
            # Both are higher for a block that is missed less.
            costs = dict(enumerate(-one[what].mean(1)))
            found = [agreement(scores[task].scores, costs) for scores, _ in proxies.values()]
            drawn = [agreement(*halves(-one[what], asked.samples, seed)) for seed in range(DRAWS)]
            cells = [f"{rho:.2f} ({common:.0f})" for rho, common in found]
            rho, common = np.mean(drawn, axis=0)
            print(f"| {task} | {' | '.join(cells)} | {rho:.2f} ({common:.1f}) |")
    print(f"| CPU s | {' | '.join(f'{seconds:.0f}' for _, seconds in proxies.values())} | |")


def halves(
    costs: NDArray[np.float64], samples: int, seed: int
) -> tuple[dict[int, float], dict[int, float]]:
    """Return the cost of each block on so many samples, drawn at random, and on all others."""
    order = np.random.default_rng(seed).permutation(costs.shape[1])
    few, rest = (costs[:, one].mean(1) for one in (order[:samples], order[samples:]))
    return dict(enumerate(few)), dict(enumerate(rest))


def agreement(scores: Mapping[int, float], costs: Mapping[int, float]) -> tuple[float, int]:
    """Return the rank correlation of scores with costs, and how many of the first are in common."""
    first, second = (set(sorted(one, key=one.__getitem__)[:FIRST]) for one in (scores, costs))
    return rank_agreement(scores, costs).rho or 0.0, len(first & second)


if __name__ == "__main__":
    main()
