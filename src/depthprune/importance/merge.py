"""One set of importance scores from many datasets: first over splits, then over datasets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from pathlib import Path
from statistics import fmean, median
from typing import Any, Literal, get_args

from depthprune.base.errors import DepthpruneError, option
from depthprune.base.files import write_json
from depthprune.base.weights import check_weights, shares_of
from depthprune.importance.score_files import MENTIONED, least_important_first, list_blocks
from depthprune.importance.sources import DatasetScores
from depthprune.study.layouts import SCORES

Method = Literal["average", "weighted_avg", "median"]

TRAIN_WEIGHT = 0.6

OPTION = "dataset_weights"


@dataclass(frozen=True)
class MergedDataset:
    """One dataset's share.

    Attributes:
        source: what was measured on it.
        scores: of its two splits together, or of its only one.
    """

    source: DatasetScores
    scores: Mapping[int, float]

    @property
    def one_split(self) -> str | None:
        """The split, where it is the only one."""
        return self.source.splits[0].split if len(self.source.splits) == 1 else None


@dataclass(frozen=True)
class Scores:
    """Importance over all datasets, and what it is made of.

    Attributes:
        method: over the datasets.
        train_weight: of the training split; the other split has the rest.
        weights: of each dataset, 1 in sum; None for the median, which has none.
        datasets: ordered by name.
        num_blocks: of the model.
        scores: by block, ascending.
    """

    method: Method
    train_weight: float
    weights: Mapping[str, float] | None
    datasets: tuple[MergedDataset, ...]
    num_blocks: int
    scores: Mapping[int, float]

    @property
    def ranking(self) -> tuple[int, ...]:
        """The blocks from the least to the most important; ties by index."""
        return least_important_first(self.scores)

    @property
    def unmeasured(self) -> tuple[int, ...]:
        """Blocks of the model that no dataset has a score for."""
        return tuple(block for block in range(self.num_blocks) if block not in self.scores)


def merge_scores(
    datasets: Sequence[DatasetScores],
    *,
    method: Method = "average",
    train_weight: float = TRAIN_WEIGHT,
    dataset_weights: Mapping[str, float] | None = None,
) -> Scores:
    """Merge importance scores over splits and datasets.

    Of dataset d: `s_d = w * train + (1 - w) * held_out`; the only split, where there is one. Then
    `average`: the mean of s_d over the datasets; `weighted_avg`: the sum of `v_d * s_d`, with the
    weights v normalised to 1; `median`: the middle s_d, or the mean of the middle two.

    Args:
        datasets: with their splits; all about the same blocks.
        method: over the datasets.
        train_weight: w, from 0 to 1.
        dataset_weights: of every dataset by name, for `weighted_avg` alone; see `parse_weights`.

    Raises:
        DepthpruneError: no datasets, different blocks, or weights that do not fit.
    """
    if method not in get_args(Method):
        raise DepthpruneError(
            f"the method must be one of {', '.join(get_args(Method))}, not {method!r}"
        )
    if not 0 <= train_weight <= 1:
        raise DepthpruneError(
            f"{train_weight} is not the weight of a split",
            option="train_val_weight",
            mend="give the share of the training split, from 0 to 1",
        )
    ordered = sorted(datasets, key=lambda one: one.dataset)
    names = [one.dataset for one in ordered]
    if not names:
        raise DepthpruneError("at least one dataset is required")
    if len(set(names)) < len(names):
        raise DepthpruneError(f"a dataset is there twice: {', '.join(names)}")
    weights = _weights(method, names, dataset_weights)
    num_blocks = _common_blocks(ordered)
    shares = tuple(MergedDataset(one, _over_splits(one, train_weight)) for one in ordered)
    over_datasets = _combiner(method, [] if weights is None else list(weights.values()))
    blocks = sorted(shares[0].scores)
    return Scores(
        method=method,
        train_weight=train_weight,
        weights=weights,
        datasets=shares,
        num_blocks=num_blocks,
        scores={block: over_datasets([one.scores[block] for one in shares]) for block in blocks},
    )


def simple_path(path: Path) -> Path:
    """Return where the scores alone are written, beside the full file."""
    return path.with_name(f"{path.stem}_simple{path.suffix or '.json'}")


def write_merged(merged: Scores, path: Path) -> tuple[Path, Path]:
    """Write the full file and, beside it, `{name}_simple.json` with the scores alone.

    Raises:
        FileError: a file cannot be written.
    """
    path = Path(path)
    write_json(path, _full(merged))
    write_json(simple_path(path), SCORES.write(merged.scores))
    return path, simple_path(path)


def _full(merged: Scores) -> dict[str, Any]:
    return {
        "method": merged.method,
        "train_val_weight": merged.train_weight,
        "weights": None if merged.weights is None else dict(merged.weights),
        "datasets": [one.source.dataset for one in merged.datasets],
        "num_blocks": merged.num_blocks,
        "per_dataset": {one.source.dataset: _share(one) for one in merged.datasets},
        "merged_scores": SCORES.write(merged.scores),
        "ranking": [[block, merged.scores[block]] for block in merged.ranking],
    }


def _share(one: MergedDataset) -> dict[str, Any]:
    value: dict[str, Any] = {
        "source": str(one.source.origin),
        "num_blocks": len(one.scores),
        "splits": [split.split for split in one.source.splits],
        "num_samples": [split.num_samples for split in one.source.splits],
    }
    if one.one_split is not None:
        value["note"] = f"one split only, used as it is: {one.one_split}"
    else:
        first, second = one.source.splits[0], one.source.splits[-1]
        value |= {
            "train_scores": SCORES.write(first.scores),
            "validation_scores": SCORES.write(second.scores),
        }
    return value | {"scores": SCORES.write(one.scores)}


def _over_splits(one: DatasetScores, train_weight: float) -> dict[int, float]:
    if len(one.splits) == 1:
        return dict(one.splits[0].scores)
    train, held_out = (split.scores for split in one.splits)
    return {
        block: train_weight * train[block] + (1 - train_weight) * held_out[block]
        for block in sorted(train)
    }


def _combiner(method: Method, weights: list[float]) -> Callable[[list[float]], float]:
    if method == "median":
        return median
    if method == "average":
        return fmean
    return lambda scores: fsum(
        weight * score for weight, score in zip(weights, scores, strict=True)
    )


def _weights(
    method: Method, names: list[str], given: Mapping[str, float] | None
) -> dict[str, float] | None:
    if method != "weighted_avg":
        if given is not None:
            raise DepthpruneError(
                f"the method {method} has no weights",
                option=OPTION,
                mend=f"add {option('method', 'weighted_avg')}",
            )
        return None if method == "median" else dict.fromkeys(names, 1 / len(names))
    if not given:
        raise DepthpruneError(
            "weighted_avg needs a weight for every dataset",
            option=OPTION,
            mend=f"give one weight each, in this order: {' '.join(names)}",
        )
    return shares_of(check_weights(given, names, option=OPTION, thing="dataset"))


def _common_blocks(datasets: Sequence[DatasetScores]) -> int:
    """Return the number of blocks of the model that all datasets are about.

    Raises:
        DepthpruneError: they are about different blocks, with what each of them lacks.
    """
    covered = {
        f"{one.dataset} {split.split}": set(split.scores)
        for one in datasets
        for split in one.splits
    }
    every = set().union(*covered.values())
    lacking = {name: sorted(every - blocks) for name, blocks in covered.items() if every - blocks}
    if lacking:
        listed = "; ".join(
            f"{name} has {len(covered[name])} and lacks {_few(missing)}"
            for name, missing in lacking.items()
        )
        raise DepthpruneError(
            f"the datasets were measured on different blocks, {len(every)} in all: {listed}",
            mend="merge scores of one model, with the same blocks measured on every dataset",
        )
    stated = {one.num_blocks: one.dataset for one in datasets if one.num_blocks is not None}
    if len(stated) > 1:
        listed = ", ".join(f"{name} {count}" for count, name in sorted(stated.items()))
        raise DepthpruneError(
            f"the datasets are about models with different numbers of blocks: {listed}",
            mend="merge scores of one model",
        )
    return next(iter(stated), max(every) + 1)


def _few(blocks: list[int]) -> str:
    listed = list_blocks(blocks[:MENTIONED])
    return f"{listed}, ... ({len(blocks)})" if len(blocks) > MENTIONED else listed
