"""Measure what is recommended again, on samples that the search never saw."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from depthprune.analysis.collect import read_result_set
from depthprune.analysis.from_study import dataset_measurements
from depthprune.analysis.options import Ranking, Targets
from depthprune.analysis.recommend import Recommended, recommend
from depthprune.analysis.verified import choose, choose_number, removals_to_verify, verified
from depthprune.base.errors import DepthpruneError, TaskError
from depthprune.base.progress import shown
from depthprune.base.removal import Removal, check_removal, make_removal
from depthprune.engine.options import Workers
from depthprune.strategies.how import (
    FoundAgain,
    SearchedSplit,
    StudyPlaces,
    measured_how,
    model_again,
    splits_again,
)
from depthprune.strategies.model import OpenModel, open_model
from depthprune.strategies.verification import (
    FreshSamples,
    VerificationReport,
    VerificationWork,
    draw_fresh,
    verify_removals,
)
from depthprune.study import StoredSplit
from depthprune.study.records import FEWEST_FRESH
from depthprune.study.store import StudyStore
from depthprune.tasks.task import TaskSplit
from depthprune.workflow.measuring import check_measurable
from depthprune.workflow.models import Model, as_model
from depthprune.workflow.studies import DROP_COLUMNS, Study, Table, as_study, drop_rows

if TYPE_CHECKING:
    from torch import nn

Announce = Callable[[VerificationWork], None]
"""Is told what verifying will take, before it begins."""


def fresh_number(verify: bool | int) -> int | None:
    """Return how many fresh samples of each dataset are asked for; None: as many as were searched.

    Raises:
        DepthpruneError: too few to verify anything.
    """
    if verify is True or verify is False:
        return None
    if verify < FEWEST_FRESH:
        raise DepthpruneError(
            f"{verify} fresh samples of each dataset verify nothing",
            option="verify",
            mend=f"give {FEWEST_FRESH} or more",
        )
    return verify


@dataclass(frozen=True)
class VerificationOptions:
    """What is verified, and how.

    Attributes:
        ranking, targets: by which removals are recommended.
        number: of blocks that are cut out whatever is recommended; what is chosen then is verified
            too.
        num_samples: fresh samples of each dataset; None takes as many as were searched.
        selection: splits and settings that are analysed; None takes all of the study.
        announce: is told what it will take, before it begins.
    """

    ranking: Ranking = Ranking()
    targets: Targets = Targets()
    number: int | None = None
    num_samples: int | None = None
    selection: Collection[tuple[int, str]] | None = None
    announce: Announce | None = field(default=None, repr=False)


def verify(
    model: Model | str | Path | nn.Module,
    study: Study | str | Path,
    removals: Iterable[Iterable[int]] | None = None,
    *,
    samples: int | None = None,
    tasks: Sequence[TaskSplit] = (),
    workers: Workers | int | str | None = None,
    progress: bool = True,
) -> Table:
    """Measure removals again, on samples that the search never saw.

    A removal that was chosen for its drop has a drop that is too good; this one is not. It is kept
    in the study beside what was searched, never ranked, and stands first in `recommend` and every
    report of the study. The samples are those of the other split where nothing of it was searched,
    else further ones of the same draw; no picture of them was searched either.

    Args:
        model: of the study: from `load_model`, or what that takes.
        study: with what was searched, or its folder.
        removals: e.g. `[best.removal]`; None takes all that are recommended, the runner-up and the
            one-shot removals of as many blocks, and, while fresh samples do not confirm a
            recommended removal, the next smaller one.
        samples: of each task; None takes as many as were searched. Reports count a dataset as
            verified from 50 on.
        tasks: whose further samples are taken; those of the study where not given: it knows how
            they were loaded.
        workers: that share the samples, see `search`.
        progress: show a bar with the time left.

    Returns:
        The columns of `Study.drops`: one row for each removal and task.

    Raises:
        TaskError: no fresh sample can be had of any task; says why.
        StudyError: the study is in use, or of another model.
        RemovalError, InadmissibleRemovalError: a removal does not exist or cannot be expressed.
    """
    from depthprune.blocks.admissible import check_admissible

    loaded, known = as_model(model, workers), as_study(study)
    asked = None if removals is None else [make_removal(one) for one in removals]
    for removal in asked or ():
        check_removal(removal, loaded.num_blocks)
        check_admissible(loaded.stack, removal)
    given = tuple(tasks) or known.tasks
    if given:
        check_measurable(loaded, given)
    what = VerificationOptions(num_samples=samples, selection=known.selection)
    with StudyStore.open(known.folder, model=loaded.record, create=False) as store, shown(progress):
        if given:
            again = FoundAgain(tuple(_searched(store, one) for one in given))
        else:
            used = analysed_splits(store, known.results().splits)
            again = splits_again(store, used, StudyPlaces(), loaded.options)
        fresh = draw_fresh(
            store, again.splits, samples, least=FEWEST_FRESH if samples is None else 1
        )
        if not fresh.splits:
            raise _nothing_fresh(again, fresh, known.folder)
        wanted = _wanted(known.folder, loaded, what) if asked is None else lambda: asked
        verify_removals(store, loaded, _with_reasons(fresh, again), wanted)
        return Table(DROP_COLUMNS, tuple(_rows(store, fresh, asked)))


def verify_study(
    folder: Path, model: OpenModel, again: FoundAgain, what: VerificationOptions
) -> VerificationReport:
    """Verify what a study recommends; what is not confirmed is followed by the next smaller one.

    Args:
        folder: of the study.
        model: of the study.
        again: the datasets, and why some cannot be had again.
        what: is verified.

    Raises:
        DepthpruneError: the study is in use or damaged, or something cannot be measured.
    """
    with StudyStore.open(folder, model=model.record, create=False) as store:
        fresh = draw_fresh(store, again.splits, what.num_samples)
        seed = again.splits[0].seed if again.splits else 0
        return verify_removals(
            store,
            model,
            _with_reasons(fresh, again),
            _wanted(folder, model, what),
            seed=seed,
            announce=what.announce,
        )


def verify_again(
    folder: Path, places: StudyPlaces, what: VerificationOptions
) -> VerificationReport:
    """Verify what a study recommends, with model and data as the study says they were.

    Raises:
        DepthpruneError: the model cannot be had again, or answers otherwise; the study does not say
            how it was measured.
    """
    names = read_result_set(folder, what.ranking.split, objective=what.ranking.objective).splits
    with StudyStore.open(folder, read_only=True) as store:
        used = analysed_splits(store, names)
        source = model_again(measured_how(store, used[0]), places)
        again = splits_again(store, used, places, source)
    model = open_model(source, [one.task for one in again.splits])
    return verify_study(folder, model, again, what)


def analysed_splits(store: StudyStore, names: Mapping[str, str]) -> list[StoredSplit]:
    """Return the splits of these names by dataset, of several the one with the most removals."""
    found: dict[str, StoredSplit] = {}
    for stored in store.splits():
        record = stored.record
        if names.get(record.task) != record.split or not stored.settings:
            continue
        before = found.get(record.task)
        if before is None or _num_measured(store, before) <= _num_measured(store, stored):
            found[record.task] = stored
    return list(found.values())


def searched_splits(splits: Iterable[TaskSplit], seed: int, holdout: float) -> FoundAgain:
    """Return splits that were searched just now, as what fresh samples are drawn beside."""
    return FoundAgain(
        tuple(SearchedSplit(one.task, one.split, len(one.samples), seed, holdout) for one in splits)
    )


def _wanted(
    folder: Path, model: OpenModel, what: VerificationOptions
) -> Callable[[], list[Removal]]:
    """Return what says which removals are still to be verified."""
    from depthprune.blocks.admissible import inadmissible_reason

    found: list[Recommended] = []

    def wanted() -> list[Removal]:
        now = read_result_set(
            folder, what.ranking.split, selection=what.selection, objective=what.ranking.objective
        )
        if not found:
            found.append(recommend(now, what.ranking, what.targets))
        known = replace(found[0], verified=verified(found[0], now))
        chosen = [choose(known)]
        if what.number is not None:
            chosen.append(choose_number(known, what.number))
        removals = [*removals_to_verify(known)]
        removals += [one.combination.removal for one in chosen if one is not None]
        return [
            one for one in dict.fromkeys(removals) if inadmissible_reason(model.stack, one) is None
        ]

    return wanted


def _searched(store: StudyStore, split: TaskSplit) -> SearchedSplit:
    """Return a split whose samples are at hand, with the seed that the study knows."""
    runs = [] if store.lacks is not None else store.runs()
    seed = next((run.how.get("seed") for run in runs), 0)
    return SearchedSplit(
        split.task, split.split, len(split.samples), seed if isinstance(seed, int) else 0
    )


def _with_reasons(fresh: FreshSamples, again: FoundAgain) -> FreshSamples:
    return replace(fresh, unverified={**fresh.unverified, **again.reasons})


def _nothing_fresh(again: FoundAgain, fresh: FreshSamples, folder: Path) -> TaskError:
    reasons = {**fresh.unverified, **again.reasons}
    told = "; ".join(
        f"{name}: {f'{why} fresh samples' if isinstance(why, int) else why}"
        for name, why in reasons.items()
    )
    return TaskError(
        f"nothing can be verified: {told}",
        where=str(folder),
        mend="search on fewer samples, so that some are left to verify on; or give `tasks`",
    )


def _num_measured(store: StudyStore, stored: StoredSplit) -> int:
    return max(len(store.drops(stored.key, one)) for one in stored.settings)


def _rows(
    store: StudyStore, fresh: FreshSamples, removals: Sequence[Removal] | None
) -> list[tuple[object, ...]]:
    """Return a row for each removal and dataset, see `verify`."""
    keys = {
        (one.record.task, one.record.fingerprint): one for one in store.splits(role="verification")
    }
    rows: list[tuple[object, ...]] = []
    for split in fresh.splits:
        stored = keys[split.task.name, split.fingerprint]
        asked = [(), *(removals or ())]
        settings = next(one for one in stored.settings if not store.missing(stored.key, asked, one))
        (measured,) = dataset_measurements(store, [stored.key], settings)
        chosen = measured.measurements if removals is None else removals
        kept = {one: measured.measurements[one] for one in chosen if one}
        rows += drop_rows(replace(measured, measurements=kept), split.split)
    return rows
