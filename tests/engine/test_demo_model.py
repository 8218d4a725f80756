"""The shipped demo model has something to show: good, not perfect, unevenly worn by removals."""

from __future__ import annotations

import numpy as np
import pytest

from depthprune.blocks.models import load_model
from depthprune.engine import SharedEvaluator
from depthprune.tasks import get_task, load_split
from depthprune.tasks.demo import MODEL_PATH, NAMES

FATAL, FREE = 0, (4, 15)
OWN_WORK = {
    3: "demo_coco_2014_vqa",
    5: "demo_st_qa",
    8: "demo_doc_qa",
    10: "demo_tally_qa",
    14: "demo_coco_caption",
}


def accuracies(num_samples: int, removals: list[tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Return the accuracy of each removal, shape (R,), on the validation split of each task."""
    evaluator = SharedEvaluator(load_model(MODEL_PATH, dtype="float32", device="cpu"))
    splits = (load_split(get_task(name), "validation", num_samples) for name in NAMES)
    return {
        split.task.name: evaluator.evaluate(split, removals).scores.mean(axis=1) for split in splits
    }


def test_the_demo_has_a_fatal_block_free_ones_and_ones_with_work_of_their_own() -> None:
    removals = [(), (FATAL,), *((block,) for block in FREE), *((block,) for block in OWN_WORK)]
    found = accuracies(16, removals)
    drops = {name: values[0] - values for name, values in found.items()}
    mean = np.mean(list(drops.values()), axis=0)
    assert mean[1] > 0.5
    assert all(abs(mean[2 : 2 + len(FREE)]) < 0.03)
    for place, (_, task) in enumerate(OWN_WORK.items(), start=2 + len(FREE)):
        assert drops[task][place] > 0.1
        assert min(values[place] for values in drops.values()) < 0.05


@pytest.mark.slow
def test_every_baseline_is_between_80_and_97_of_100() -> None:
    for name, accuracy in accuracies(500, [()]).items():
        assert 0.80 <= accuracy[0] <= 0.97, name
