"""Measures a study to its end, saying to a log what it does; test_kill.py kills it."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from depthprune.base.removal import Removal
from depthprune.study import SplitRecord, StudyStore
from tests.study.example import MODEL, SETTINGS, SPLIT, answers_of, scores_of

REMOVALS: list[Removal] = [
    removal for size in range(6) for removal in combinations(range(MODEL.num_blocks), size)
]
SPLITS = 5


def measure(folder: Path, log: int, seconds: float) -> None:
    """Measure what is missing of `REMOVALS` on `SPLITS` splits, each taking `seconds`."""
    with StudyStore.open(folder, model=MODEL) as study:
        for number in range(SPLITS):
            key = study.add_split(split_record(number))
            for removal in study.missing(key, REMOVALS, SETTINGS):
                name = f"{number} {','.join(map(str, removal))}\n".encode()
                os.write(log, b"measuring " + name)
                time.sleep(seconds)
                scores, answers = scores_of((number, *removal)), answers_of(removal)
                study.add(key, SETTINGS, removal, scores, answers, 0.25)
                os.write(log, b"stored " + name)


def split_record(number: int) -> SplitRecord:
    """Return one of the splits, which differ by name."""
    return replace(SPLIT, split=f"part{number}")
