"""Which proxy orders the blocks of a real model as removing them does?

python benchmarks/real/proxies.py REAL

REAL is the folder that `build.py` wrote. Every proxy scores the blocks on a few training samples of
each multiple-choice task; every block is removed alone, and all samples of both halves are answered
(by `objectives.py`, 96 and 112 of each task). The table holds Spearman's rank correlation of the
scores with the drop in accuracy, and with the rise of the log-loss over the options. What is
computed is kept in REAL/rules and REAL/objectives, and not computed again.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from time import process_time

from objectives import TASKS, measured

from depthprune.blocks.models import load_model
from depthprune.importance.compare import rank_agreement
from depthprune.importance.proxies import PROXIES, ProxyScores, proxy_scores
from depthprune.tasks.load import load_split

FIRST = 8
"""How many of the least important blocks are held against each other."""


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
        # Both are higher for a block that is missed less.
        costs = [dict(enumerate(-one[what].mean(1))) for one in answers]
        print(f"\nagainst {what}: rank correlation (of the {FIRST} that cost least, found)")
        print(f"task | {' | '.join(proxies)}\n--- | {' | '.join('--:' for _ in proxies)}")
        for task, cost in zip(TASKS, costs, strict=True):
            cells = [agreement(scores[task].scores, cost) for scores, _ in proxies.values()]
            print(f"{task} | {' | '.join(cells)}")
    print(f"CPU s | {' | '.join(f'{seconds:.0f}' for _, seconds in proxies.values())}")


def agreement(scores: dict[int, float], costs: dict[int, float]) -> str:
    """Return how well scores order blocks as their costs do."""
    first, second = (set(sorted(one, key=one.__getitem__)[:FIRST]) for one in (scores, costs))
    return f"{rank_agreement(scores, costs).rho:.2f} ({len(first & second)})"


if __name__ == "__main__":
    main()
