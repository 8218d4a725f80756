"""Small studies whose single-block drops are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from depthprune.study import StudyStore
from tests.study.example import MODEL, SETTINGS, SPLIT

DROPS = {0: 0.5, 1: 0.25, 2: 0.0}


def measure(
    folder: Path,
    task: str,
    split: str,
    drops: dict[int, float],
    ids: tuple[str, ...] = ("a", "b"),
    settings: str = SETTINGS,
) -> None:
    """Add a baseline of 1 and single-block accuracies of 1 - drop to a study, on two samples."""
    model = replace(MODEL, num_blocks=3, block_parameters=None)
    record = replace(
        SPLIT, task=task, split=split, sample_ids=ids, fingerprint=f"{task}{split}{ids}"
    )
    with StudyStore.open(folder, model=model) as study:
        key = study.add_split(record)
        for removal, drop in {(): 0.0, **{(block,): drop for block, drop in drops.items()}}.items():
            scores = np.full(len(ids), 1 - drop, dtype=np.float32)
            study.add(key, settings, removal, scores, ids, 0.1)
