"""Measure a checkpoint on all demo datasets, whole and with blocks removed: training/RESULTS.md.

`python training/measure.py FOLDER` measures a checkpoint that is there already.
`python training/measure.py FOLDER --levels 0.2,0.4,0.6` shows how each dataset's accuracy would
change with its level of difficulty, for calibrating `SOURCES` in depthprune.tasks.demo.datasets.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from depthprune.blocks.models import load_model  # noqa: E402
from depthprune.engine.reference import ReferenceEvaluator  # noqa: E402
from depthprune.tasks import TaskSplit, get_task, load_split  # noqa: E402
from depthprune.tasks.demo import NAMES, SPLITS  # noqa: E402
from depthprune.tasks.demo.datasets import SOURCES  # noqa: E402

BLOCKS = 16
SEVERAL = (2, 3, 4, 5, 6)
Rows = list[tuple[str, list[float]]]


def load_evaluator(folder: Path) -> ReferenceEvaluator:
    """The slow and obvious evaluator: one plain `generate` per removal."""
    return ReferenceEvaluator(load_model(folder, dtype="float32", device="cpu"), batch_size=100)


def accuracies(
    evaluator: ReferenceEvaluator, splits: list[TaskSplit], removal: tuple[int, ...] = ()
) -> list[float]:
    """The mean score per dataset, in percent."""
    scores = [evaluator.evaluate(split, [removal]).scores for split in splits]
    return [100 * float(np.mean(score)) for score in scores]


def table(title: str, rows: Rows) -> str:
    """Rows of numbers per dataset as a Markdown table, with their mean."""
    names = [name.removeprefix("demo_") for name in NAMES]
    lines = [f"| {title} | {' | '.join(names)} | mean |", "|---" * (len(NAMES) + 2) + "|"]
    for label, values in rows:
        cells = [f"{value:.1f}" for value in [*values, float(np.mean(values))]]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def measure(folder: Path, count: int, report: Path) -> None:
    """Measure baselines, single blocks and a few blocks at once; print and write the tables."""
    begun = time.time()
    evaluator = ReferenceEvaluator(
        load_model(folder, dtype="float32", device="cpu"), batch_size=100
    )
    splits = {name: [load_split(get_task(task), name, count) for task in NAMES] for name in SPLITS}
    baselines: Rows = [(name, accuracies(evaluator, splits[name])) for name in SPLITS]
    print(table("accuracy", baselines), flush=True)
    whole = dict(baselines)["validation"]

    def drops(removal: tuple[int, ...]) -> list[float]:
        left = accuracies(evaluator, splits["validation"], removal)
        values = [before - after for before, after in zip(whole, left, strict=True)]
        print(removal, f"mean drop {np.mean(values):.1f}", flush=True)
        return values

    singles: Rows = [(f"block {block}", drops((block,))) for block in range(BLOCKS)]
    order = sorted(range(BLOCKS), key=lambda block: float(np.mean(singles[block][1])))
    several: Rows = []
    for size in SEVERAL:
        removal = tuple(sorted(order[:size]))
        several.append((f"blocks {', '.join(map(str, removal))}", drops(removal)))
    text = "\n\n".join(
        [
            "# The demo model, measured",
            f"Written by `training/measure.py`: {count} samples per dataset, plain `generate`, "
            "the project's own metrics, all numbers in percent. Drops are measured on the "
            "validation splits.",
            "## The whole model",
            table("accuracy", baselines),
            "## Drop when one block is removed",
            table("removed", singles),
            "## Drop when the least important blocks are removed together",
            table("removed", several),
        ]
    )
    report.write_text(text + "\n")
    print(text)
    print(f"measured in {time.time() - begun:.0f} s", flush=True)


def compare_levels(folder: Path, count: int, levels: list[float]) -> None:
    """Print each dataset's accuracy (train split) at several levels of difficulty."""
    evaluator = ReferenceEvaluator(
        load_model(folder, dtype="float32", device="cpu"), batch_size=100
    )
    for name, source in list(SOURCES.items()):
        parts = []
        for level in levels:
            SOURCES[name] = dataclasses.replace(source, level=level)
            value = accuracies(evaluator, [load_split(get_task(name), "train", count)])[0]
            parts.append(f"{level}: {value:.1f}")
        SOURCES[name] = source
        print(f"{name} (now {source.level})", *parts, sep="  ", flush=True)


def main() -> None:
    """Measure a checkpoint from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--levels", help="such as 0.2,0.4,0.6")
    parser.add_argument("--report", type=Path, default=ROOT / "training" / "RESULTS.md")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.levels:
        levels = [float(level) for level in options.levels.split(",")]
        compare_levels(options.folder, options.samples, levels)
    else:
        measure(options.folder, options.samples, options.report)


if __name__ == "__main__":
    main()
