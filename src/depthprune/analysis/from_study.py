"""A result set from a study: one split of each dataset, under one set of options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from depthprune.analysis.dataset import DatasetMeasurements
from depthprune.analysis.result_set import ResultSet, SplitScores
from depthprune.analysis.splits import choose_splits, role
from depthprune.base.errors import AnalysisError
from depthprune.study import StoredSplit, Study

MOST_SCORES = 2**28
"""Per-sample scores that are held in memory: 1 GiB; intervals of larger studies are left out."""

_Chosen = tuple[StoredSplit, str]


def study_result_set(folder: Path, split: str | None) -> ResultSet:
    """Return what a study holds; it is only read.

    Of several prompts, samples or settings for one split, those with the most measurements are
    taken, equal numbers the newest; that is said in `problems`.

    Raises:
        StudyError: the study cannot be read.
        AnalysisError: it holds no removal together with its baseline, or not on `split`.
    """
    with Study.open(folder, read_only=True) as study:
        problems: list[str] = []
        found = _variants(study, problems)
        if not found:
            raise AnalysisError(
                "the study holds no removal together with its baseline",
                where=str(folder),
                mend="measure some first: depthprune search, or depthprune profile",
            )
        chosen, told = choose_splits(found, split, str(folder))
        problems += told
        used = {dataset: found[dataset][name] for dataset, name in chosen.items()}
        with_samples = _with_samples(study, used, problems)
        datasets = tuple(
            _measurements(study, *used[dataset], with_samples=with_samples)
            for dataset in sorted(used)
        )
        settings = sorted({settings for _, settings in used.values()})
        if len(settings) > 1:
            problems.append(
                f"the datasets were measured under different settings: {'; '.join(settings)}"
            )
        return ResultSet(
            model=study.model.name,
            num_blocks=study.model.num_blocks,
            datasets=datasets,
            splits=chosen,
            comparisons=_comparisons(study, found),
            problems=tuple(problems),
            parameters=study.model.parameters,
            block_parameters=study.model.block_parameters,
        )


def _variants(study: Study, problems: list[str]) -> dict[str, dict[str, _Chosen]]:
    """Return for each dataset and split the one stored split and settings that are analysed."""
    several: dict[tuple[str, str], list[_Chosen]] = {}
    for stored in study.splits():
        for settings in stored.settings:
            name = stored.record.task, stored.record.split
            if len(study.drops(stored.key, settings)) > 1:
                several.setdefault(name, []).append((stored, settings))
            else:
                problems.append(
                    f"{' '.join(name)}: no removal together with its baseline ({settings}): "
                    "left out"
                )
    found: dict[str, dict[str, _Chosen]] = {}
    for (dataset, split), variants in several.items():
        best = max(variants, key=lambda variant: _weight(study, variant))
        found.setdefault(dataset, {})[split] = best
        if len(variants) > 1:
            problems.append(
                f"{dataset} {split}: measured with {len(variants)} sets of options; "
                f"the one with the most measurements is analysed ({best[1]})"
            )
    return found


def _weight(study: Study, variant: _Chosen) -> tuple[int, str, int]:
    stored, settings = variant
    measured = study.measurements(stored.key, settings, with_samples=False)
    return len(measured), max(one.created for one in measured), stored.key


def _with_samples(study: Study, used: Mapping[str, _Chosen], problems: list[str]) -> bool:
    scores = sum(
        len(study.drops(stored.key, settings)) * len(stored.record.sample_ids)
        for stored, settings in used.values()
    )
    if scores > MOST_SCORES:
        problems.append(
            f"{scores:,} scores are too many to be held at once: confidence intervals are left out"
        )
    return scores <= MOST_SCORES


def _measurements(
    study: Study, stored: StoredSplit, settings: str, *, with_samples: bool
) -> DatasetMeasurements:
    by_removal = {
        one.removal: one
        for one in study.measurements(
            stored.key, settings, with_samples=with_samples, with_answers=False
        )
    }
    baseline = by_removal.pop(())
    record = stored.record
    return DatasetMeasurements(record.task, record.task_type, baseline, by_removal, record.metric)


def _comparisons(
    study: Study, found: Mapping[str, Mapping[str, _Chosen]]
) -> tuple[SplitScores, ...]:
    comparisons = []
    for dataset, variants in sorted(found.items()):
        sides = {role(split): _singles(study, *variant) for split, variant in variants.items()}
        if sides.get("train") and sides.get("validation"):
            comparisons.append(SplitScores(dataset, sides["train"], sides["validation"]))
    return tuple(comparisons)


def _singles(study: Study, stored: StoredSplit, settings: str) -> dict[int, float]:
    drops = study.drops(stored.key, settings)
    return {removal[0]: drop for removal, drop in drops.items() if len(removal) == 1}
