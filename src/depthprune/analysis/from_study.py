"""A result set from a study: one split of each dataset, under one set of options."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthprune.analysis.result_set import (
    DatasetMeasurements,
    FreshResults,
    ResultSet,
    choose_splits,
    compare_splits,
    judged,
)
from depthprune.base.errors import AnalysisError
from depthprune.base.language import counted
from depthprune.base.removal import Objective
from depthprune.study import Measurement, ModelRecord, StoredSplit, StudyStore
from depthprune.study.records import (
    FEWEST_FRESH,
    OBJECTIVE,
    UNVERIFIED,
    SeenSamples,
    seen_samples,
)
from depthprune.tasks.weak import CHANCE, Weakness

MOST_SCORES = 2**28
"""Per-sample scores that are held in memory: 1 GiB; intervals of larger studies are left out."""


@dataclass(frozen=True)
class _Variant:
    """One split of a dataset as it was measured with one set of options."""

    stored: StoredSplit
    settings: str
    num_measured: int
    singles: dict[int, float]


def study_result_set(
    folder: Path,
    split: str | None,
    selection: Collection[tuple[int, str]] | None = None,
    objective: Objective | None = None,
) -> ResultSet:
    """Return what a study holds; it is only read.

    Of several prompts, samples or settings for one split, those with the most measurements are
    taken, equal numbers the newest; that is said in `problems`. With a selection, only those splits
    under those settings are looked at. Removals are ranked by `objective`; None: as they were when
    the study was searched last.

    Raises:
        StudyError: the study cannot be read.
        AnalysisError: it holds no removal together with its baseline, or not on `split`.
    """
    with StudyStore.open(folder, read_only=True) as study:
        problems = [] if study.lacks is None else [study.lacks]
        found = _variants(study, problems, selection)
        if not found:
            weak = _weak_baselines(study, selection)
            if weak:
                raise AnalysisError(
                    "nothing was removed, because the whole model's answers are no basis for "
                    f"drops:\n{weak}",
                    where=str(folder),
                    mend="mend model or task, and measure in a new study; or leave these tasks out",
                )
            raise AnalysisError(
                "the study holds no removal together with its baseline",
                where=str(folder),
                mend="measure some first: depthprune search, or depthprune profile",
            )
        chosen, messages = choose_splits(found, split, str(folder))
        problems += messages
        used = [found[dataset][chosen[dataset]] for dataset in sorted(chosen)]
        with_samples = _can_hold_scores(used, problems)
        objective = objective or _searched_by(study)
        datasets = tuple(
            replace(measured, weakness=_weakness(study, one.stored, one.settings))
            for one in used
            if (
                measured := split_measurements(
                    study, one.stored.key, one.settings, objective, with_samples=with_samples
                )
            )
            is not None
        )
        fresh = fresh_results(study, {one.stored: one.settings for one in used})
        problems += [f"{what}: left out" for what in study.damage]
        if not datasets:
            raise AnalysisError(
                "no dataset is left without its damaged measurements",
                where=str(folder),
                mend="`depthprune study repair` drops them; run again, and they are measured anew",
            )
        settings = sorted({one.settings for one in used})
        if len(settings) > 1:
            problems.append(
                f"the datasets were measured under different settings: {'; '.join(settings)}"
            )
        parameters, block_parameters = _parameters(study.model, problems)
        comparisons = compare_splits(
            {
                dataset: {split: one.singles for split, one in variants.items()}
                for dataset, variants in found.items()
            }
        )
        return ResultSet(
            model=study.model.name,
            num_blocks=study.model.num_blocks,
            datasets=datasets,
            splits={one.dataset: chosen[one.dataset] for one in datasets},
            comparisons=tuple(comparisons[name] for name in sorted(comparisons)),
            problems=tuple(problems),
            parameters=parameters,
            block_parameters=block_parameters,
            fresh=fresh,
        )


def _variants(
    study: StudyStore, problems: list[str], selection: Collection[tuple[int, str]] | None
) -> dict[str, dict[str, _Variant]]:
    """Return for each dataset and split the one set of options that is analysed."""
    several: dict[tuple[str, str], list[_Variant]] = {}
    for stored in study.splits():
        for settings in stored.settings:
            if selection is not None and (stored.key, settings) not in selection:
                continue
            name = stored.record.task, stored.record.split
            drops = study.drops(stored.key, settings)
            if len(drops) > 1:
                singles = {key[0]: drop for key, drop in drops.items() if len(key) == 1}
                several.setdefault(name, []).append(_Variant(stored, settings, len(drops), singles))
            else:
                problems.append(
                    f"{' '.join(name)}: no removal together with its baseline ({settings}): "
                    "left out"
                )
    found: dict[str, dict[str, _Variant]] = {}
    for (dataset, split), variants in several.items():
        best = max(variants, key=lambda one: _weight(study, one)) if variants[1:] else variants[0]
        found.setdefault(dataset, {})[split] = best
        if len(variants) > 1:
            problems.append(
                f"{dataset} {split}: measured with {len(variants)} sets of options; "
                f"the one with the most measurements is analysed ({best.settings})"
            )
    return found


def _weight(study: StudyStore, variant: _Variant) -> tuple[int, str, int]:
    measured = study.measurements(variant.stored.key, variant.settings, with_samples=False)
    return variant.num_measured, max(one.created for one in measured), variant.stored.key


def _parameters(
    model: ModelRecord, problems: list[str]
) -> tuple[int | None, tuple[int, ...] | None]:
    """Return the parameters of the model and of its blocks, where they fit each other."""
    blocks = model.block_parameters
    if blocks is None or model.parameters is None:
        return model.parameters, blocks
    if len(blocks) == model.num_blocks and 0 < sum(blocks) <= model.parameters:
        return model.parameters, blocks
    problems.append("the parameters of the blocks do not fit the model: blocks are counted instead")
    return None, None


def _can_hold_scores(used: Sequence[_Variant], problems: list[str]) -> bool:
    scores = sum(one.num_measured * len(one.stored.record.sample_ids) for one in used)
    if scores > MOST_SCORES:
        problems.append(
            f"{counted(scores, 'score')} are too many to be held at once: confidence intervals "
            "are left out"
        )
    return scores <= MOST_SCORES


def split_measurements(
    study: StudyStore,
    key: int,
    settings: str,
    objective: Objective = "accuracy",
    *,
    with_samples: bool = True,
) -> DatasetMeasurements | None:
    """Return what a study holds of a split; None where its baseline is missing or damaged."""
    record = study.split(key)
    by_removal = {
        one.removal: one
        for one in study.measurements(key, settings, with_samples=with_samples, with_answers=False)
    }
    baseline = by_removal.pop((), None)
    if baseline is None:
        return None
    return DatasetMeasurements(
        record.task,
        record.task_type,
        baseline,
        by_removal,
        record.metric,
        losses=study.losses(key, settings) if objective == "loss" and with_samples else {},
    )


def _searched_by(study: StudyStore) -> Objective:
    """Return what removals were ranked by when the study was searched last."""
    runs = [] if study.lacks is not None else study.runs()
    said = [run.how[OBJECTIVE] for run in runs if OBJECTIVE in run.how]
    return "loss" if said[-1:] == ["loss"] else "accuracy"


def dataset_measurements(
    study: StudyStore, splits: Sequence[int], settings: str, objective: Objective = "accuracy"
) -> list[DatasetMeasurements]:
    """Return what a study holds of some splits, as far as their baseline is measured.

    Args:
        study: to be read.
        splits: keys of one split of several tasks, in the order wanted.
        settings: the decoding settings that the measurements were taken under.
        objective: what removals are ranked by.
    """
    found = (split_measurements(study, key, settings, objective) for key in splits)
    return [one for one in found if one is not None]


def _weakness(study: StudyStore, stored: StoredSplit, settings: str) -> Weakness | None:
    baseline = study.measurement(stored.key, settings, ())
    if baseline is None:
        return None
    return judged(baseline, stored.record.metric, _chance(study, stored.record.fingerprint))


def _chance(study: StudyStore, fingerprint: str) -> float | None:
    """Return the accuracy of guessing on a split, where the study says it."""
    if study.lacks is not None:
        return None
    known = (run.how.get(CHANCE) for run in study.runs())
    found = [one.get(fingerprint) for one in known if isinstance(one, dict)]
    return next((one for one in found if isinstance(one, float)), None)


def _weak_baselines(study: StudyStore, selection: Collection[tuple[int, str]] | None) -> str:
    """Return a line for each baseline that is no basis for drops."""
    lines = [
        f"  {stored.record.task}, {stored.record.split}: {weakness}"
        for stored in study.splits()
        for settings in stored.settings
        if selection is None or (stored.key, settings) in selection
        if (weakness := _weakness(study, stored, settings)) is not None and weakness.is_certain
    ]
    return "\n".join(lines)


def fresh_results(study: StudyStore, used: Mapping[StoredSplit, str]) -> FreshResults | None:
    """Return what was verified of some splits, as measured under these settings.

    Of several draws for a dataset the one with the most removals counts, of equal ones the largest,
    then the newest. A sample that was searched on later is not fresh any more: it is left out.

    Args:
        study: to be read.
        used: the splits that are analysed, each with the settings it was measured under.
    """
    verified = study.splits(role="verification")
    reasons_of_runs = (
        [] if study.lacks is not None else [run.how.get(UNVERIFIED) for run in study.runs()]
    )
    why: dict[str, object] = {}
    for each in reasons_of_runs:
        why |= each if isinstance(each, dict) else {}
    if not verified and all(each is None for each in reasons_of_runs):
        return None
    seen = seen_samples(study.splits())
    datasets: list[DatasetMeasurements] = []
    splits: dict[str, str] = {}
    counts = {name: one for name, one in why.items() if isinstance(one, int)}
    for searched, settings in used.items():
        record = searched.record
        drawn = [
            one
            for one in verified
            if one.record.task == record.task
            and (one.record.metric, one.record.metric_version)
            == (record.metric, record.metric_version)
            and settings in one.settings
        ]
        found = [
            (len(measured.measurements), measured.baseline.num_samples, one.key, one, measured)
            for one in drawn
            if (measured := _measured(study, one, settings, seen)) is not None
        ]
        if not found:
            continue
        *_, best, measured = max(found, key=lambda one: one[:3])
        count = measured.baseline.num_samples
        if count < FEWEST_FRESH:
            counts[record.task] = count
            continue
        datasets.append(measured)
        splits[record.task] = best.record.split
    reasons = {name: one for name, one in why.items() if isinstance(one, str)}
    return FreshResults(tuple(datasets), splits, counts, reasons)


def _measured(
    study: StudyStore, stored: StoredSplit, settings: str, seen: SeenSamples
) -> DatasetMeasurements | None:
    """Return what was measured on the fresh samples of a split; None without their baseline."""
    found = split_measurements(study, stored.key, settings)
    if found is None or not found.measurements:
        return None
    fresh = seen.fresh(stored.record)
    return replace(
        found,
        baseline=_of_samples(found.baseline, fresh),
        measurements={key: _of_samples(one, fresh) for key, one in found.measurements.items()},
    )


def _of_samples(one: Measurement, chosen: NDArray[np.bool_]) -> Measurement:
    """Return a measurement as it is on some of its samples."""
    if one.scores is None or chosen.all():
        return one
    scores = one.scores[chosen]
    exact = scores.astype(np.float64)
    return replace(
        one,
        scores=scores,
        accuracy=float(exact.mean()) if len(exact) else float("nan"),
        std=float(exact.std()) if len(exact) else float("nan"),
        num_samples=len(exact),
    )
