"""A model, a split and made-up scores, the same in every process."""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthprune.base.removal import Removal
from depthprune.study import ModelRecord, SplitRecord, StudyStore

MODEL = ModelRecord(
    name="tiny",
    fingerprint="model-1",
    architecture="LlamaForCausalLM",
    num_blocks=6,
    stack="model.layers",
    parameters=600,
    block_parameters=(90,) * 6,
)
SPLIT = SplitRecord(
    task="demo_okvqa",
    task_type="VQA",
    split="train+validation",
    fingerprint="task-1",
    sample_ids=tuple(f"validation/{number}" for number in range(8)),
    metric="vqa_accuracy",
)
SETTINGS = "greedy dtype=float32"
REMOVALS: tuple[Removal, ...] = tuple(
    removal for size in range(4) for removal in combinations(range(6), size)
)


def environment() -> dict[str, str]:
    """Return the environment of a child process that imports what this process imports."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


def scores_of(removal: Removal) -> NDArray[np.float32]:
    """Return scores that look random and depend on the removal alone."""
    generator = np.random.default_rng(zlib.crc32(repr(removal).encode()))
    return generator.random(len(SPLIT.sample_ids), dtype=np.float32)


def answers_of(removal: Removal) -> tuple[str, ...]:
    """Return answers with signs that are easily lost on the way to a disk."""
    odd = ("", "é\n\t", "a\0b", '"\\', "\ud800", "答案 🙂", "\u2028", "  ")
    return tuple(f"{removal}{text}" for text in odd)


def add(
    study: StudyStore, removal: Removal, *, key: int | None = None, settings: str = SETTINGS
) -> None:
    """Measure one removal into a study."""
    key = study.add_split(SPLIT) if key is None else key
    study.add(key, settings, removal, scores_of(removal), answers_of(removal), 0.25)


def filled_study(folder: Path, removals: Iterable[Removal] = REMOVALS[:12]) -> StudyStore:
    """Return an open study that holds these removals."""
    study = StudyStore.open(folder, model=MODEL)
    for removal in removals:
        add(study, removal)
    return study
