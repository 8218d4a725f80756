"""Measuring again: removals on fresh samples, and a cut model on the samples of the whole one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from pathlib import Path
from time import perf_counter

import numpy as np

from depthprune.base.errors import DepthpruneError, NoSampleLeftError
from depthprune.base.progress import progress
from depthprune.base.removal import Removal
from depthprune.engine.session import Session, SplitGroup, split_record
from depthprune.strategies.how import SearchedSplit, begin_run, begin_split, how_measured
from depthprune.strategies.model import OpenModel
from depthprune.strategies.runner import RunReport
from depthprune.study import SplitRecord, StudyStore
from depthprune.study.records import FEWEST_FRESH, UNVERIFIED, seen_samples
from depthprune.tasks.load import load_split
from depthprune.tasks.options import DataOptions
from depthprune.tasks.task import TaskSplit

_OTHER = {"train": "validation", "validation": "train", "test": "train"}


@dataclass(frozen=True)
class FreshSamples:
    """Samples to verify removals on.

    Attributes:
        splits: one of each dataset that has enough.
        unverified: why the others have none, as the study keeps it, see `UNVERIFIED`.
    """

    splits: tuple[TaskSplit, ...]
    unverified: Mapping[str, int | str]


@dataclass(frozen=True)
class VerificationReport(RunReport):
    """What one verification did.

    Attributes:
        unverified: why datasets could not be verified now, see `FreshSamples`.
    """

    unverified: Mapping[str, int | str] = field(default_factory=dict)


@dataclass(frozen=True)
class VerificationWork:
    """What verifying takes; shown before it begins.

    Attributes:
        removals: that are not measured yet on one of the datasets, without the whole model.
        samples: fresh ones of each dataset, by its name.
        seconds: by the pace at which each dataset was measured before; None where that is unknown.
    """

    removals: int
    samples: Mapping[str, int]
    seconds: float | None


def draw_fresh(
    study: StudyStore,
    searched: Iterable[SearchedSplit],
    num_samples: int | None = None,
    *,
    least: int = FEWEST_FRESH,
) -> FreshSamples:
    """Return samples of these datasets that are behind nothing that was searched.

    Of the other split, where nothing of it was searched; else the rest of the same draw. Where a
    share was held out it is that of the rest first. The same study gives the same samples.

    Args:
        study: what was searched.
        searched: the datasets.
        num_samples: of each; None takes as many as were searched.
        least: a dataset with fewer is left out.
    """
    seen = seen_samples(study.splits())
    used: dict[str, set[str]] = {}
    for stored in study.splits():
        parts = stored.record.split.replace("test", "validation").split("+")
        used.setdefault(stored.record.task, set()).update(parts)
    splits: list[TaskSplit] = []
    unverified: dict[str, int | str] = {}
    for one in searched:
        name = one.task.name
        wanted = num_samples or one.num_samples
        if wanted < least:
            unverified[name] = wanted
            continue
        other = _OTHER.get(one.split)
        places = [one.split]
        if other is not None and other not in used.get(name, ()):
            places = [one.split, other] if one.holdout else [other, one.split]
        best: TaskSplit | None = None
        for place in places:
            try:
                drawn = load_split(
                    *(one.task, place, wanted, one.seed),
                    seen=seen.ids.get(name, ()),
                    seen_pictures=seen.pictures,
                )
            except NoSampleLeftError:
                unverified[name] = max(0, _count(unverified.get(name)))
                continue
            except DepthpruneError as error:
                unverified.setdefault(name, error.what)
                continue
            if best is None or len(drawn.samples) > len(best.samples):
                best = drawn
            if len(drawn.samples) >= min(wanted, FEWEST_FRESH):
                break
        if best is not None and len(best.samples) >= least:
            splits.append(best)
            unverified.pop(name, None)
        elif best is not None:
            unverified[name] = len(best.samples)
    return FreshSamples(tuple(splits), unverified)


def verify_removals(
    study: StudyStore,
    model: OpenModel,
    fresh: FreshSamples,
    removals: Callable[[], Sequence[Removal]],
    *,
    seed: int = 0,
    announce: Callable[[VerificationWork], None] | None = None,
) -> VerificationReport:
    """Measure removals and the whole model on fresh samples; what is there already is kept.

    Args:
        study: open to be written.
        model: of the study.
        fresh: samples, from `draw_fresh`.
        removals: returns what is still to be verified; asked again until nothing is.
        seed: that chose the samples.
        announce: is told what it will take, before it begins.
    """
    started = perf_counter()
    report = RunReport()
    if fresh.splits and not removals():
        return VerificationReport(unverified=fresh.unverified)
    with progress("verifying", 0) as bar:
        session = Session(study, model.evaluator(bar), bar, role="verification")
        tasks, names = [one.task for one in fresh.splits], [one.split for one in fresh.splits]
        most = max((len(one.samples) for one in fresh.splits), default=0)
        how = how_measured(model, tasks, list(dict.fromkeys(names)), most, seed, DataOptions())
        begin_run(study, how | {UNVERIFIED: dict(sorted(fresh.unverified.items()))})
        for split in fresh.splits:
            begin_split(session, model, split)
        done: set[Removal] = set()
        while fresh.splits and (wanted := [one for one in removals() if one not in done]):
            asked = [(), *wanted]
            work = verification_work(session, fresh.splits, asked)
            if announce is not None and work.removals:
                announce(work)
            for split in fresh.splits:
                missing = session.missing(split, asked)
                bar.grow(len(missing) * len(split.samples))
                measured = session.measure(SplitGroup((split,)), asked)
                report += RunReport(measured, len(asked) - measured)
            done.update(wanted)
    return VerificationReport(
        report.measured,
        report.reused,
        perf_counter() - started,
        unverified=fresh.unverified,
    )


def verification_work(
    session: Session, splits: Sequence[TaskSplit], removals: Sequence[Removal]
) -> VerificationWork:
    """Return what measuring these removals on fresh samples will take."""
    missing = {one.task.name: session.missing(one, removals) for one in splits}
    pace = _pace(session.study, session.settings)
    seconds = [
        pace.get(one.task.name, float("nan")) * len(one.samples) * len(missing[one.task.name])
        for one in splits
    ]
    total = fsum(seconds)
    return VerificationWork(
        len({removal for ones in missing.values() for removal in ones if removal}),
        {one.task.name: len(one.samples) for one in splits},
        None if total != total else total,
    )


def _pace(study: StudyStore, settings: str) -> dict[str, float]:
    """Return the seconds that one sample took, by task, where it was measured here."""
    seconds: dict[str, float] = {}
    samples: dict[str, int] = {}
    for one in study.measurements(settings=settings, with_samples=False):
        if one.seconds > 0:
            seconds[one.task] = seconds.get(one.task, 0.0) + one.seconds
            samples[one.task] = samples.get(one.task, 0) + one.num_samples
    return {task: total / samples[task] for task, total in seconds.items() if samples[task]}


def _count(known: int | str | None) -> int:
    return known if isinstance(known, int) else 0


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
        StudyStore.open(folder, model=model.record) as own,
        progress("asking the cut model", sum(len(one.samples) for one in splits), own.tell) as bar,
        StudyStore.open(whole, read_only=True) as study,
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
            accuracy = None if skipped is None else skipped.accuracy
            scores = None if skipped is None else skipped.scores
            differing = None if scores is None else int(np.count_nonzero(found.scores != scores))
            checks.append(CutCheck(record, session.settings, found.accuracy, accuracy, differing))
    return CutChecks(tuple(checks), measured)
