"""Measure a checkpoint on all demo datasets, whole and with blocks removed: training/RESULTS.md.

`python training/measure.py FOLDER --samples 200` measures a checkpoint that is there already.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from depthprune.tasks.demo import NAMES, SPLITS, rows  # noqa: E402
from depthprune.tasks.metrics import make_scorer  # noqa: E402
from depthprune.tasks.task import Sample  # noqa: E402
from generate import answer, encode_all, load, without  # noqa: E402

METRICS = {
    "demo_coco_2014_vqa": "vqa_accuracy",
    "demo_okvqa": "vqa_accuracy",
    "demo_text_vqa": "vqa_accuracy",
    "demo_st_qa": "anls",
    "demo_doc_qa": "anls",
    "demo_tally_qa": "exact_match",
    "demo_science_qa_img": "choice_letter",
    "demo_coco_caption": "cider_d",
}


class Measured:
    """One split of one dataset, encoded once and asked many times."""

    def __init__(self, processor: Any, name: str, split: str, count: int) -> None:
        data = rows(name, split, count)
        self.processor = processor
        self.batches = encode_all(processor, data)
        self.samples = [
            Sample(
                id=row["id"],
                question=row["question"],
                references=tuple(row["answers"]),
                choices=tuple(row.get("choices", ())),
            )
            for row in data
        ]
        self.scorer = make_scorer(METRICS[name], self.samples)

    def accuracy(self, model: Any) -> float:
        """The mean score of the model's answers, in percent."""
        answers = answer(model, self.processor, self.batches)
        return 100 * float(np.mean(self.scorer.score_many(self.samples, answers)))


def table(title: str, rows_: list[tuple[str, list[float]]]) -> str:
    """Rows of numbers per dataset as a Markdown table, with their mean."""
    names = [name.removeprefix("demo_") for name in NAMES]
    lines = [
        f"| {title} | {' | '.join(names)} | mean |",
        "|---" * (len(NAMES) + 2) + "|",
    ]
    for label, values in rows_:
        cells = [f"{value:.1f}" for value in [*values, float(np.mean(values))]]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def measure(folder: Path, count: int, report: Path) -> None:
    """Measure baselines, single blocks and a few blocks at once; print and write the tables."""
    begun = time.time()
    model, processor = load(folder)
    blocks = len(model.model.language_model.layers)
    sets = {split: [Measured(processor, n, split, count) for n in NAMES] for split in SPLITS}
    baselines = {split: [one.accuracy(model) for one in sets[split]] for split in SPLITS}
    accuracies = table("accuracy", list(baselines.items()))
    print(accuracies, flush=True)

    def drops(removal: tuple[int, ...]) -> list[float]:
        with without(model, removal):
            values = [one.accuracy(model) for one in sets["validation"]]
        whole = baselines["validation"]
        return [before - after for before, after in zip(whole, values, strict=True)]

    singles = []
    for block in range(blocks):
        singles.append((f"block {block}", drops((block,))))
        print(f"| {singles[-1][0]} | {np.mean(singles[-1][1]):.1f}", flush=True)
    order = sorted(range(blocks), key=lambda block: float(np.mean(singles[block][1])))
    several = []
    for size in (2, 3, 4, 5, 6):
        removal = tuple(sorted(order[:size]))
        several.append((f"{size} least important: {', '.join(map(str, removal))}", drops(removal)))
    text = "\n\n".join(
        [
            "# The demo model, measured",
            f"Written by `training/measure.py`: {count} samples per dataset, plain `generate`, the "
            f"metrics of `depthprune.tasks.metrics`, all numbers in percent. Drops are measured on "
            f"the validation splits.",
            "## The whole model\n\n" + accuracies,
            "## Drop when one block is removed\n\n" + table("removed", singles),
            "## Drop when several blocks are removed\n\n" + table("removed", several),
        ]
    )
    report.write_text(text + "\n")
    print(text)
    print(f"measured in {time.time() - begun:.0f} s", flush=True)


def main() -> None:
    """Measure a checkpoint from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--report", type=Path, default=ROOT / "training" / "RESULTS.md")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    measure(options.folder, options.samples, options.report)


if __name__ == "__main__":
    main()
