"""What an analysis starts from: everything measured of one model, one split of each dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite, isnan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthprune.base.errors import AnalysisError, option
from depthprune.base.removal import Removal, format_removal
from depthprune.importance.compare import THRESHOLD, RankAgreement, rank_agreement
from depthprune.study.records import Measurement
from depthprune.tasks.weak import Baseline, WeakBaseline, Weakness, find_weakness


@dataclass(frozen=True)
class SplitAgreement:
    """Train against validation single-block drops of one dataset."""

    dataset: str
    train_scores: Mapping[int, float]
    validation_scores: Mapping[int, float]
    rho: float | None
    p_value: float | None


FEWEST_BLOCKS = 3
"""Below which two orders of blocks are not compared."""


def order_agreement(first: Mapping[int, float], second: Mapping[int, float]) -> RankAgreement:
    """Return Spearman's rho over the blocks that both scored, see `rank_agreement`.

    Undefined (None) below three common blocks, or where one side gives all the same score.
    """
    common = [
        block
        for block in sorted(first.keys() & second.keys())
        if not isnan(first[block]) and not isnan(second[block])
    ]
    if len(common) < FEWEST_BLOCKS:
        return RankAgreement(None, None)
    return rank_agreement(
        {block: first[block] for block in common}, {block: second[block] for block in common}
    )


def split_agreement(
    dataset: str, train: Mapping[int, float], validation: Mapping[int, float]
) -> SplitAgreement:
    """Return how well the training split of a dataset predicts its validation split."""
    found = order_agreement(train, validation)
    return SplitAgreement(dataset, train, validation, found.rho, found.p_value)


def compare_splits(
    datasets: Mapping[str, Mapping[str, Mapping[int, float]]],
) -> dict[str, SplitAgreement]:
    """Return the comparisons that single-block drops allow, by dataset.

    Args:
        datasets: by name, by split, by block.
    """
    found = {}
    for dataset, splits in datasets.items():
        sides = {role(split): scores for split, scores in splits.items()}
        if sides.get("train") and sides.get("validation"):
            found[dataset] = split_agreement(dataset, sides["train"], sides["validation"])
    return found


def is_consistent(rho: float) -> bool:
    """Return whether two splits order the blocks alike: rho of at least 0.9."""
    # Rounded: the sum behind a rho of exactly 0.9 may end a digit below it.
    return round(rho, 12) >= THRESHOLD


@dataclass(frozen=True)
class DatasetMeasurements:
    """All measurements of one dataset split, taken on the same samples with the same settings.

    Attributes:
        dataset: the task's name.
        task_type: e.g. `VQA`; empty when unknown.
        baseline: of removal `()`; its accuracy is NaN where files state drops alone.
        measurements: by removal, the baseline not included; their accuracies likewise.
        metric: what the scores are, with what it depends on.
        weakness: why the baseline is no basis for drops; None where it is one, or was not judged.
        losses: of each sample, by removal and of the baseline, where removals are ranked by them;
            of all removals or, where they are ranked by their drops, of none.
    """

    dataset: str
    task_type: str
    baseline: Measurement
    measurements: Mapping[Removal, Measurement]
    metric: str = ""
    weakness: Weakness | None = None
    losses: Mapping[Removal, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def may_exceed_one(self) -> bool:
        """Whether its scores may exceed 1."""
        return may_exceed_one(self.metric, self.task_type)

    def drop(self, removal: Removal) -> float:
        """Return the drop under `removal`, a fraction: as it is stated, if its file states it.

        Otherwise it is baseline accuracy minus accuracy; a stated drop may be rounded less.
        """
        measurement = self.measurements[removal]
        if measurement.stated_drop is not None:
            return measurement.stated_drop
        return self.baseline.accuracy - measurement.accuracy

    def paired_scores(self, removal: Removal) -> NDArray[np.float32] | None:
        """Return the scores of each sample, as many as the unpruned model has; None if unknown."""
        baseline = self.baseline.scores
        measured = self.measurements.get(removal) if removal else self.baseline
        scores = None if measured is None else measured.scores
        if baseline is None or scores is None or not 0 < len(scores) == len(baseline):
            return None
        return scores

    def ranked_scores(self, removal: Removal) -> NDArray[np.float32] | None:
        """Return what the samples add to what ranks a removal; the larger, the better."""
        return -self.losses[removal] if self.losses else self.paired_scores(removal)


def may_exceed_one(metric: str, task_type: str) -> bool:
    """Return whether scores of a metric may exceed 1: CIDEr-D's, captions' when it is unknown."""
    return "cider" in metric.lower() or (not metric and task_type == "Captioning")


@dataclass(frozen=True)
class FreshResults:
    """Removals measured again on samples that had no part in finding any removal.

    Attributes:
        datasets: as far as they hold enough such samples, by name.
        splits: the split that the samples are of, by dataset name.
        counts: fresh samples of the datasets that hold too few to be verified on.
        reasons: why there are none of a dataset, in a sentence; empty where it was not tried.
    """

    datasets: tuple[DatasetMeasurements, ...] = ()
    splits: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ResultSet:
    """Results of one model over datasets, from a study or from files.

    Attributes:
        model: its name, or the folder where it is unknown.
        num_blocks: of the unpruned stack.
        datasets: one split each, by name.
        splits: the split of each dataset, by dataset name.
        comparisons: datasets whose training and validation splits were both measured.
        problems: what was wrong in the files, and whether it was left out; for people.
        parameters: of the whole model; None when unknown.
        block_parameters: of each block; None when unknown.
        source: the folder or file that holds them, with the answers; None where there is none.
        selection: of a study, the splits and settings that were looked at; None for all.
        fresh: removals that were measured again on fresh samples; None where none ever was.
    """

    model: str
    num_blocks: int
    datasets: tuple[DatasetMeasurements, ...]
    splits: Mapping[str, str]
    comparisons: tuple[SplitAgreement, ...] = ()
    problems: tuple[str, ...] = ()
    parameters: int | None = None
    block_parameters: tuple[int, ...] | None = None
    source: Path | None = field(default=None, compare=False)
    selection: Collection[tuple[int, str]] | None = field(default=None, compare=False, repr=False)
    fresh: FreshResults | None = None


def judged(baseline: Measurement, metric: str, chance: float | None = None) -> Weakness | None:
    """Return why a stored baseline is no basis for drops, by whatever is stored of it.

    Args:
        baseline: the measurement of removal `()`, best with its scores and answers.
        metric: of its split.
        chance: the accuracy of guessing among options, where it is known.
    """
    return find_weakness(
        Baseline(
            metric=metric,
            accuracy=baseline.accuracy,
            num_samples=baseline.num_samples,
            scores=baseline.scores,
            answers=baseline.answers,
            chance=chance,
        )
    )


def weak_baselines(results: ResultSet) -> tuple[WeakBaseline, ...]:
    """Return the datasets whose baseline is no basis for drops, or may be none."""
    return tuple(
        WeakBaseline(one.dataset, results.splits.get(one.dataset, ""), one.weakness)
        for one in results.datasets
        if one.weakness is not None
    )


LARGEST_CAPTION_SCORE = 10.0
"""CIDEr ends here; every other metric ends at 1."""

NAMED = 3
"""Removals that a message names before it only counts."""


def check_numbers(
    datasets: Iterable[DatasetMeasurements], num_blocks: int
) -> tuple[list[DatasetMeasurements], list[str]]:
    """Return the datasets without impossible numbers, and what was left out.

    A drop is impossible if it is not finite, or beyond -1..1; on captions, whose scores may exceed
    1, beyond the accuracy of the unpruned model where that is more than 1. A dataset whose
    accuracies are more than its metric can give (per cent, most likely) is left out whole; so is
    one without any removal. Removals of blocks that the model does not have (a damaged study) are
    left out too.
    """
    kept, problems = [], []
    for dataset in datasets:
        baseline = dataset.baseline.accuracy
        captions = dataset.task_type in ("Captioning", "")
        if not isnan(baseline) and baseline > (LARGEST_CAPTION_SCORE if captions else 1.0):
            problems.append(
                f"{dataset.dataset}: an accuracy of {baseline:g} is no fraction (per cent?): "
                "the dataset is left out; divide its numbers by 100"
            )
            continue
        outside = [removal for removal in dataset.measurements if removal[-1] >= num_blocks]
        if outside:
            dataset = _without(dataset, outside)
            problems.append(
                f"{dataset.dataset}: {_named(outside)} of blocks that do not exist: left out"
            )
        limit = max(1.0, baseline) if captions and not isnan(baseline) else 1.0
        wrong = [
            removal
            for removal in dataset.measurements
            if not (isfinite(drop := dataset.drop(removal)) and abs(drop) <= limit)
        ]
        if wrong:
            dataset = _without(dataset, wrong)
            problems.append(
                f"{dataset.dataset}: {_named(wrong)} with drops that are no fraction from -1 to 1: "
                "left out"
            )
        if dataset.measurements:
            kept.append(dataset)
        else:
            problems.append(f"{dataset.dataset}: no removal was measured: left out")
    return kept, problems


def _without(dataset: DatasetMeasurements, wrong: list[Removal]) -> DatasetMeasurements:
    gone = set(wrong)
    good = {
        removal: measurement
        for removal, measurement in dataset.measurements.items()
        if removal not in gone
    }
    return replace(dataset, measurements=good)


def _named(wrong: list[Removal]) -> str:
    named = ", ".join(map(format_removal, wrong[:NAMED])) + (", ..." if wrong[NAMED:] else "")
    return f"{len(wrong)} removal{'s' if wrong[1:] else ''} ({named})"


PREFERRED = ("train+validation", "validation", "train")
"""Which split is taken where as many datasets have one as the other."""


def role(split: str) -> str:
    """Return what a split is used as: `test` plays validation where there is no other.

    `train+test` (as tally_qa has it) and `validation+train` are both `train+validation`.
    """
    parts = {"validation" if part == "test" else part for part in split.split("+")}
    return "+".join(sorted(parts))


def choose_splits(
    available: Mapping[str, Collection[str]], asked: str | None, where: str
) -> tuple[dict[str, str], list[str]]:
    """Return the split of each dataset that is analysed, and what must be said about it.

    Without a wish, the split that most datasets have (by its `role`), equal numbers in the order
    of `PREFERRED`; a dataset that lacks it is analysed on another one, which is said. With a wish,
    datasets that lack the split are left out, which is said too.

    Args:
        available: the splits of each dataset.
        asked: the split wished for.
        where: the folder, for messages.

    Raises:
        AnalysisError: no dataset has the split that was asked for.
    """
    by_role = {dataset: _by_role(splits) for dataset, splits in available.items()}
    wanted = _most_common(by_role) if asked is None else role(asked)
    chosen: dict[str, str] = {}
    problems: list[str] = []
    for dataset, splits in by_role.items():
        if asked is not None and asked in available[dataset]:
            chosen[dataset] = asked
        elif wanted in splits:
            chosen[dataset] = splits[wanted]
        elif asked is None:
            chosen[dataset] = splits[min(splits, key=_preference)]
            problems.append(
                f"{dataset}: {wanted} was not measured, {chosen[dataset]} is taken beside it"
            )
        else:
            problems.append(
                f"{dataset}: {asked} was not measured (but {', '.join(sorted(available[dataset]))})"
                ": left out"
            )
    if not chosen:
        names = sorted({split for splits in available.values() for split in splits})
        raise AnalysisError(
            f"no dataset was measured on the split {asked!r}",
            where=where,
            mend=f"splits that are there: {', '.join(names)}",
        )
    if len(set(map(role, chosen.values()))) == 1 and asked is None:
        problems += _unused(by_role, wanted)
    return chosen, problems


def _by_role(splits: Collection[str]) -> dict[str, str]:
    # Where a dataset has both validation and test, its validation split plays validation.
    ordered = sorted(splits, key=lambda split: (role(split) == split, split))
    return {role(split): split for split in ordered}


def _most_common(by_role: Mapping[str, Mapping[str, str]]) -> str:
    counts = Counter(name for splits in by_role.values() for name in splits)
    return min(counts, key=lambda name: (-counts[name], _preference(name)))


def _preference(name: str) -> tuple[int, str]:
    return (PREFERRED.index(name) if name in PREFERRED else len(PREFERRED)), name


def _unused(by_role: Mapping[str, Mapping[str, str]], wanted: str) -> list[str]:
    others = sorted({name for splits in by_role.values() for name in splits} - {wanted})
    if not others:
        return []
    return [
        f"the split {wanted} is analysed; measured too: {', '.join(others)} "
        f"(choose by {option('splits')})"
    ]
