"""What every task must hold: ours, and a user's own.

def test_mine_holds_the_contract():
    hold_task(get_task("mine", files=["my_tasks.yaml"]))
"""

from __future__ import annotations

from depthprune.tasks.load import load_split
from depthprune.tasks.task import Task, TaskSplit, render_prompt


def hold_task(task: Task, split: str | None = None, *, num_samples: int = 8) -> TaskSplit:
    """Hold the contract; return the samples that were read.

    Args:
        task: under test, with its data.
        split: of it; None: one that plays validation.
        num_samples: that are read.

    Raises:
        AssertionError: the contract is broken.
        TaskError: the data cannot be used.
    """
    name = split or "validation"
    first = load_split(task, name, num_samples, 0)
    ids = [sample.id for sample in first.samples]
    assert ids, "the split has no samples"
    assert len(set(ids)) == len(ids), "two samples have the same id"
    # The same seed draws the same samples, and says so by the fingerprint.
    again = load_split(task, name, num_samples, 0)
    assert [sample.id for sample in again.samples] == ids, "a seed draws the same samples"
    assert again.fingerprint == first.fingerprint
    for sample in first.samples:
        assert sample.requests or task.answer == "read" or render_prompt(task, sample).strip(), (
            f"{sample.id} has an empty prompt"
        )
        for image in sample.images:
            assert image.open().mode == "RGB", f"{sample.id} has a picture that is not RGB"
    return first
