"""Fresh samples: drawn so that none had a part in finding a removal, and measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from time import perf_counter

from depthprune.base.errors import DepthpruneError, NoSampleLeftError
from depthprune.base.progress import progress
from depthprune.base.removal import Removal
from depthprune.engine.session import Session, SplitGroup
from depthprune.strategies.again import SearchedSplit
from depthprune.strategies.how import begin_run, begin_split, how_measured
from depthprune.strategies.model import OpenModel
from depthprune.strategies.runner import RunReport
from depthprune.study import Study
from depthprune.study.seen import FEWEST_FRESH, UNVERIFIED, seen_samples
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
    study: Study,
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
    seen = seen_samples(study)
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
    study: Study,
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


def _pace(study: Study, settings: str) -> dict[str, float]:
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
