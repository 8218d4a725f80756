"""Whether a cut model answers as the whole one does with its blocks skipped: sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from depthprune.base.progress import progress
from depthprune.base.removal import Removal
from depthprune.engine.session import Session, SplitGroup, split_record
from depthprune.strategies.how import begin_split
from depthprune.strategies.model import OpenModel
from depthprune.study import SplitRecord, Study
from depthprune.tasks.task import TaskSplit


@dataclass(frozen=True)
class CutCheck:
    """One task, answered by the cut model and by the whole one without the same blocks.

    Attributes:
        split: the samples, the same for both.
        settings: of decoding.
        cut: accuracy of the cut model.
        skipped: accuracy of the whole model without the blocks; None where it was not measured.
        differing: samples whose scores differ; None likewise.
    """

    split: SplitRecord
    settings: str
    cut: float
    skipped: float | None
    differing: int | None


@dataclass(frozen=True)
class CutChecks:
    """All tasks, and how many the cut model answered just now; the others were known."""

    checks: tuple[CutCheck, ...]
    measured: int


def check_cut_model(
    model: OpenModel,
    splits: Sequence[TaskSplit],
    removal: Removal,
    *,
    whole: Path,
    folder: Path,
) -> CutChecks:
    """Let a cut model answer the samples of a study, and compare with what skipping gave.

    Args:
        model: the cut model, loaded as the whole one was.
        splits: of the study.
        removal: the blocks that were cut out.
        whole: folder of the study of the whole model, which is only read.
        folder: of the cut model's own study, which keeps its answers.

    Raises:
        DepthpruneError: a sample cannot be answered, or a study cannot be used.
    """
    checks = []
    measured = 0
    with (
        Study.open(folder, model=model.record) as own,
        progress("asking the cut model", sum(len(one.samples) for one in splits), own.tell) as bar,
        Study.open(whole, read_only=True) as study,
    ):
        session = Session(own, model.evaluator(bar), bar)
        keys = {
            (one.record.task, one.record.split, one.record.fingerprint): one.key
            for one in study.splits()
        }
        for split in splits:
            record = split_record(split)
            bar.describe(record.task)
            begin_split(session, model, split)
            measured += session.measure(SplitGroup((split,)), [()])
            found = session.measurement(split, ())
            assert found is not None
            assert found.scores is not None
            key = keys.get((record.task, record.split, record.fingerprint))
            skipped = None if key is None else study.measurement(key, session.settings, removal)
            checks.append(
                CutCheck(
                    record,
                    session.settings,
                    found.accuracy,
                    None if skipped is None else skipped.accuracy,
                    None
                    if skipped is None or skipped.scores is None
                    else int(np.count_nonzero(found.scores != skipped.scores)),
                )
            )
    return CutChecks(tuple(checks), measured)
