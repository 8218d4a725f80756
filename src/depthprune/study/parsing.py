"""Reads one documented result file: tolerant of what is missing, strict about what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any
from unicodedata import category

from depthprune.base.errors import DepthpruneError, LayoutError
from depthprune.base.files import is_number, read_json
from depthprune.base.removal import Removal, format_removal, make_removal
from depthprune.study import filenames
from depthprune.study.records import ModelRecord
from depthprune.study.results import (
    ImportanceComparison,
    Problem,
    Provenance,
    RemovalResult,
    SampleResult,
)

ROUNDING = 1e-3
"""How far apart two writings of one number may be: files round to three decimals or more."""

Json = dict[str, Any]


@dataclass(frozen=True)
class FilePart:
    """What one file says about one split of a dataset; None where it says nothing."""

    path: Path
    results: tuple[RemovalResult, ...]
    dataset: str | None = None
    split: str | None = None
    num_blocks: int | None = None
    baseline_accuracy: float | None = None
    beam_width: int | None = None
    max_blocks_to_remove: int | None = None


def read_part(path: Path, problems: list[Problem]) -> FilePart:
    """Read a summary, an importance file or the file of one removal.

    Summary entries that are wrong are left out and added to `problems`.

    Raises:
        LayoutError: nothing in the file can be used.
        FileError: the file cannot be read or is not JSON.
    """
    value = read_json(path, unique_keys=path.name == filenames.IMPORTANCE)
    if path.name == filenames.IMPORTANCE:
        return _importance_part(value, path)
    if not isinstance(value, dict):
        raise LayoutError("the file does not hold a JSON object", where=str(path))
    if filenames.is_removal_file(path.name):
        return _removal_part(value, path)
    return _summary_part(value, path, problems)


def read_comparison(path: Path) -> ImportanceComparison:
    """Read an `importance_comparison_{dataset}.json`.

    Raises:
        LayoutError: it is not in the documented layout.
        FileError: the file cannot be read or is not JSON.
    """
    value = read_json(path, unique_keys=True)
    if not isinstance(value, dict) or not {"train_scores", "validation_scores"} & set(value):
        raise LayoutError("neither train_scores nor validation_scores", where=str(path))
    where = str(path)
    named = path.stem.removeprefix("importance_comparison_")
    return ImportanceComparison(
        dataset=_name(value, "dataset_name", where, underscores=True) or named.replace("-", "_"),
        train_scores=block_scores(value.get("train_scores", {}), f"{where}, train_scores"),
        validation_scores=block_scores(
            value.get("validation_scores", {}), f"{where}, validation_scores"
        ),
        spearman_correlation=_number(value, "spearman_correlation", where),
        p_value=_number(value, "p_value", where),
        path=path,
    )


def read_provenance(path: Path) -> Provenance:
    """Read the `provenance.json` that depthprune writes beside its results.

    Raises:
        LayoutError: it is not in the documented layout.
        FileError: the file cannot be read or is not JSON.
    """
    value = read_json(path)
    try:
        model = value["model"]
        return Provenance(
            model=ModelRecord(
                name=str(model["name"]),
                fingerprint=str(model["fingerprint"]),
                architecture=str(model["architecture"]),
                num_blocks=int(model["num_blocks"]),
                stack=str(model["stack"]),
            ),
            task_fingerprint=str(value["task_fingerprint"]),
            task_type=str(value["task_type"]),
            metric=str(value["metric"]),
            settings=str(value["settings"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LayoutError("not a provenance file of depthprune", where=str(path)) from error


def dataset_name(name: str) -> str:
    """Return the name of a dataset as it is written in files: underscores, no hyphens."""
    return name.replace("-", "_")


def block_scores(value: Any, where: str) -> dict[int, float]:
    """Return scores by block, ascending, of a JSON object `{"0": score, ...}`.

    Raises:
        LayoutError: a key is no block index or occurs twice, or a score is no finite number.
    """
    if not isinstance(value, dict):
        raise LayoutError("not a JSON object of block: drop", where=where)
    scores: dict[int, float] = {}
    for key in value:
        if not (key.isascii() and key.isdigit() and len(key) < 10):
            raise LayoutError(f"{key!r} is not a block index", where=where)
        drop = _number(value, key, where)
        if drop is None:
            raise LayoutError(f"block {key} has no number", where=where)
        if int(key) in scores:
            raise LayoutError(f"block {int(key)} is listed twice", where=where)
        scores[int(key)] = drop
    return dict(sorted(scores.items()))


def _importance_part(value: Any, path: Path) -> FilePart:
    scores = block_scores(value, str(path))
    results = tuple(RemovalResult((block,), drop) for block, drop in scores.items())
    return FilePart(path, results)


def _removal_part(value: Json, path: Path) -> FilePart:
    part = _heading(value, path)
    result = _entry(value, part, str(path), filenames.named_removal(path.name))
    named = filenames.named_removal(path.name)
    if named is not None and named != result.removal:
        raise LayoutError(
            f"the name says removal {format_removal(named)}, the file {result.removal}",
            where=str(path),
        )
    return replace(part, results=(result,))


def _summary_part(value: Json, path: Path, problems: list[Problem]) -> FilePart:
    part = _heading(value, path)
    summary = value.get("summary")
    if not isinstance(summary, list):
        raise LayoutError("there is no list 'summary'", where=str(path))
    if part.num_blocks is None:
        part = replace(part, num_blocks=_blocks_of_rows(summary))
    results = []
    for number, entry in enumerate(summary, start=1):
        where = f"{path}, entry {number} of the summary"
        try:
            if not isinstance(entry, dict):
                raise LayoutError("the entry is not a JSON object", where=where)
            results.append(_entry(entry, part, where, None))
        except DepthpruneError as error:
            problems.append(Problem(error.what, error.where or where))
    return replace(part, results=tuple(results))


def _blocks_of_rows(summary: Sequence[Any]) -> int | None:
    """Return the number of blocks that most rows state."""
    rows = [row.get("num_total_blocks") for row in summary if isinstance(row, dict)]
    # A row that states nonsense is told when it is read itself.
    stated = Counter(one for one in rows if isinstance(one, int) and one > 0)
    return stated.most_common(1)[0][0] if stated else None


def _heading(value: Json, path: Path) -> FilePart:
    where = str(path)
    config = value.get("config")
    # Files of the users' scripts keep in `config` what others have in their head.
    said = {**(config if isinstance(config, dict) else {}), **value}
    num_blocks = _count(said, "num_total_blocks", where)
    of_config = _count(said, "total_blocks", where)
    if num_blocks is not None and of_config not in (None, num_blocks):
        raise LayoutError(
            f"num_total_blocks is {num_blocks}, config.total_blocks {of_config}", where=where
        )
    return FilePart(
        path,
        (),
        _name(said, "dataset_name", where, underscores=True),
        _name(said, "split", where),
        of_config if num_blocks is None else num_blocks,
        _number(value, "baseline_accuracy", where),
        _count(said, "beam_width", where),
        _count(said, "max_blocks_to_remove", where),
    )


def _entry(value: Json, part: FilePart, where: str, named: Removal | None) -> RemovalResult:
    """Read what a file says about one removal; `part` holds what its head says."""
    num_blocks = _count(value, "num_total_blocks", where)
    if num_blocks is None:
        num_blocks = part.num_blocks
    elif part.num_blocks is not None and num_blocks != part.num_blocks:
        raise LayoutError(
            f"num_total_blocks is {num_blocks}, in the file's head {part.num_blocks}", where=where
        )
    removal = _removal(value, num_blocks, where, named)
    accuracy = _number(value, "accuracy", where)
    drop = _number(value, "accuracy_drop", where)
    baseline = _number(value, "baseline_accuracy", where)
    if baseline is None:
        baseline = part.baseline_accuracy
    elif part.baseline_accuracy is not None and abs(baseline - part.baseline_accuracy) > ROUNDING:
        raise LayoutError(
            f"baseline_accuracy is {baseline}, in the file's head {part.baseline_accuracy}",
            where=where,
        )
    if drop is None:
        if not removal:
            drop = 0.0
        elif accuracy is None or baseline is None:
            raise LayoutError(
                "there is no accuracy_drop, and no accuracies to get it from", where=where
            )
        else:
            drop = baseline - accuracy
    std = _number(value, "std", where)
    if std is not None and std < 0:
        raise LayoutError(f"std is {std}, below 0", where=where)
    num_samples = _count(value, "num_samples", where)
    samples = _samples(value.get("samples"), where)
    if samples is not None:
        _check_samples(samples, accuracy, num_samples, where)
    return RemovalResult(removal, drop, accuracy, std, num_samples, samples)


def _removal(value: Json, num_blocks: int | None, where: str, named: Removal | None) -> Removal:
    blocks = value.get("removed_block_indices")
    if blocks is None and named is not None:
        return named
    if not isinstance(blocks, list):
        raise LayoutError("there is no list 'removed_block_indices'", where=where)
    removal = make_removal(blocks)
    active = value.get("active_block_indices")
    if num_blocks is not None and removal and removal[-1] >= num_blocks:
        raise LayoutError(
            f"block {removal[-1]} does not exist: num_total_blocks is {num_blocks}", where=where
        )
    if num_blocks is not None and isinstance(active, list):
        kept = [block for block in range(num_blocks) if block not in removal]
        if sorted(active, key=repr) != sorted(kept, key=repr):
            raise LayoutError(
                f"active_block_indices do not fit removed_block_indices {list(removal)}",
                where=where,
            )
    return removal


def _samples(value: Any, where: str) -> tuple[SampleResult, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(sample, dict) for sample in value):
        raise LayoutError("'samples' is not a list of JSON objects", where=where)
    samples = []
    for number, sample in enumerate(value, start=1):
        place = f"{where}, sample {number}"
        score = _number(sample, "score", place)
        if score is None or "sample_id" not in sample:
            raise LayoutError("a sample needs sample_id and score", where=place)
        samples.append(SampleResult(str(sample["sample_id"]), score, str(sample.get("answer", ""))))
    return tuple(samples)


def _check_samples(
    samples: tuple[SampleResult, ...],
    accuracy: float | None,
    num_samples: int | None,
    where: str,
) -> None:
    if len({sample.sample_id for sample in samples}) != len(samples):
        raise LayoutError("a sample is listed twice", where=where)
    if num_samples is not None and num_samples != len(samples):
        raise LayoutError(
            f"num_samples is {num_samples}, but {len(samples)} samples are listed", where=where
        )
    if accuracy is not None and samples:
        mean = fmean(sample.score for sample in samples)
        if abs(mean - accuracy) > ROUNDING:
            raise LayoutError(
                f"accuracy is {accuracy}, but the mean of the scores is {mean}", where=where
            )


def _number(value: Json, key: str, where: str) -> float | None:
    found = value.get(key)
    if found is None:
        return None
    if not is_number(found):
        raise LayoutError(f"{key} is not a finite number: {found!r}", where=where)
    return float(found)


def _count(value: Json, key: str, where: str) -> int | None:
    found = _number(value, key, where)
    if found is None:
        return None
    if found != int(found) or found < 0:
        raise LayoutError(f"{key} is not a count: {value[key]!r}", where=where)
    return int(found)


def _name(value: Json, key: str, where: str, *, underscores: bool = False) -> str | None:
    found = value.get(key)
    if found is None:
        return None
    # A name becomes a folder's name when it is written again: it must not lead out of one. It is
    # printed, too: it must not command a terminal.
    if (
        not isinstance(found, str)
        or found in ("", ".", "..")
        or any(letter in "/\\" or category(letter) in ("Cc", "Cs") for letter in found)
    ):
        raise LayoutError(f"{key} is not a name: {found!r}", where=where)
    return dataset_name(found) if underscores else found
