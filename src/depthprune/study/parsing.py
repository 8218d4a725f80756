"""Reads one documented result file: tolerant of what is missing, strict about what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any
from unicodedata import category

from depthprune.base.documents import (
    ANY,
    COUNT,
    TEXT,
    Field,
    Json,
    Layout,
    WrongFieldError,
    each,
    object_at,
    read_document,
)
from depthprune.base.errors import DepthpruneError
from depthprune.base.files import is_number
from depthprune.base.language import counted
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

    def read(value: Any) -> FilePart:
        if path.name == filenames.IMPORTANCE:
            return _importance_part(value, path)
        if not isinstance(value, dict):
            raise WrongFieldError("the file does not hold a JSON object")
        if filenames.is_removal_file(path.name):
            return _removal_part(value, path)
        return _summary_part(value, path, problems)

    return read_document(path, read, unique_keys=path.name == filenames.IMPORTANCE)


def read_comparison(path: Path) -> ImportanceComparison:
    """Read an `importance_comparison_{dataset}.json`.

    Raises:
        LayoutError: it is not in the documented layout.
        FileError: the file cannot be read or is not JSON.
    """
    return read_document(path, partial(_comparison, path=path), unique_keys=True)


def read_provenance(path: Path) -> Provenance:
    """Read the `provenance.json` that depthprune writes beside its results.

    Raises:
        LayoutError: it is not in the documented layout.
        FileError: the file cannot be read or is not JSON.
    """
    mend = "depthprune did not write it: use another results folder"
    found: Provenance = read_document(path, PROVENANCE.read, mend=mend)
    return found


def dataset_name(name: str) -> str:
    """Return the name of a dataset as it is written in files: underscores, no hyphens."""
    return name.replace("-", "_")


def block_scores(value: Any) -> dict[int, float]:
    """Return scores by block, ascending, of a JSON object `{"0": score, ...}`.

    Raises:
        WrongFieldError: a key is no block index or occurs twice, or a score is no finite number.
    """
    if not isinstance(value, dict):
        raise WrongFieldError("not a JSON object of block: drop")
    scores: dict[int, float] = {}
    for key in value:
        if not (key.isascii() and key.isdigit() and len(key) < 10):
            raise WrongFieldError(f"{key!r} is not a block index")
        drop = _number(value, key)
        if drop is None:
            raise WrongFieldError(f"block {key} has no number")
        if int(key) in scores:
            raise WrongFieldError(f"block {int(key)} is listed twice")
        scores[int(key)] = drop
    return dict(sorted(scores.items()))


def scores_at(value: Json, key: str) -> dict[int, float]:
    """Return the scores that stand under a key, see `block_scores`; none where it is absent."""
    try:
        return block_scores(value.get(key, {}))
    except WrongFieldError as wrong:
        raise wrong.within(key) from None


def _comparison(value: Any, path: Path) -> ImportanceComparison:
    if not isinstance(value, dict) or not {"train_scores", "validation_scores"} & set(value):
        raise WrongFieldError("neither train_scores nor validation_scores")
    named = path.stem.removeprefix("importance_comparison_")
    return ImportanceComparison(
        dataset=_name(value, "dataset_name", underscores=True) or dataset_name(named),
        train_scores=scores_at(value, "train_scores"),
        validation_scores=scores_at(value, "validation_scores"),
        spearman_correlation=_number(value, "spearman_correlation"),
        p_value=_number(value, "p_value"),
        path=path,
    )


_MODEL = Layout(
    ModelRecord,
    Field("name", TEXT, required=True),
    Field("fingerprint", TEXT, required=True),
    Field("architecture", TEXT, required=True),
    Field("num_blocks", COUNT, required=True),
    Field("stack", TEXT, required=True),
)
PROVENANCE = Layout(
    Provenance,
    Field("model", _MODEL, required=True),
    Field("task_fingerprint", TEXT, required=True),
    Field("task_type", TEXT, required=True),
    Field("metric", TEXT, required=True),
    Field("settings", TEXT, required=True),
    Field("num_samples", COUNT, omit=True),
    Field("files", each(ANY)),
)
"""Of `provenance.json`."""


def _importance_part(value: Any, path: Path) -> FilePart:
    scores = block_scores(value)
    results = tuple(RemovalResult((block,), drop) for block, drop in scores.items())
    return FilePart(path, results)


def _removal_part(value: Json, path: Path) -> FilePart:
    part = _heading(value, path)
    named = filenames.named_removal(path.name)
    result = _entry(value, part, named)
    if named is not None and named != result.removal:
        raise WrongFieldError(
            f"the name says removal {format_removal(named)}, the file {result.removal}"
        )
    return replace(part, results=(result,))


def _summary_part(value: Json, path: Path, problems: list[Problem]) -> FilePart:
    part = _heading(value, path)
    summary = value.get("summary")
    if not isinstance(summary, list):
        raise WrongFieldError("there is no list 'summary'")
    if part.num_blocks is None:
        part = replace(part, num_blocks=_blocks_of_rows(summary))
    results = []
    for number, entry in enumerate(summary, start=1):
        where = f"{path}, entry {number} of the summary"
        try:
            if not isinstance(entry, dict):
                raise WrongFieldError("the entry is not a JSON object")
            results.append(_entry(entry, part, None))
        except DepthpruneError as error:
            problems.append(Problem(error.what, where))
    return replace(part, results=tuple(results))


def _blocks_of_rows(summary: Sequence[Any]) -> int | None:
    """Return the number of blocks that most rows state."""
    rows = [row.get("num_total_blocks") for row in summary if isinstance(row, dict)]
    # A row that states nonsense is told when it is read itself.
    stated = Counter(one for one in rows if isinstance(one, int) and one > 0)
    return stated.most_common(1)[0][0] if stated else None


def _heading(value: Json, path: Path) -> FilePart:
    # Files of the users' scripts keep in `config` what others have in their head.
    said = object_at(value, "config") | value
    num_blocks = _count(said, "num_total_blocks")
    of_config = _count(said, "total_blocks")
    if num_blocks is not None and of_config not in (None, num_blocks):
        raise WrongFieldError(f"num_total_blocks is {num_blocks}, config.total_blocks {of_config}")
    return FilePart(
        path,
        (),
        _name(said, "dataset_name", underscores=True),
        _name(said, "split"),
        of_config if num_blocks is None else num_blocks,
        _number(value, "baseline_accuracy"),
        _count(said, "beam_width"),
        _count(said, "max_blocks_to_remove"),
    )


def _entry(value: Json, part: FilePart, named: Removal | None) -> RemovalResult:
    """Read what a file says about one removal; `part` holds what its head says."""
    num_blocks = _count(value, "num_total_blocks")
    if num_blocks is None:
        num_blocks = part.num_blocks
    elif part.num_blocks is not None and num_blocks != part.num_blocks:
        raise WrongFieldError(
            f"num_total_blocks is {num_blocks}, in the file's head {part.num_blocks}"
        )
    removal = _removal(value, num_blocks, named)
    accuracy = _number(value, "accuracy")
    drop = _number(value, "accuracy_drop")
    baseline = _number(value, "baseline_accuracy")
    if baseline is None:
        baseline = part.baseline_accuracy
    elif part.baseline_accuracy is not None and abs(baseline - part.baseline_accuracy) > ROUNDING:
        raise WrongFieldError(
            f"baseline_accuracy is {baseline}, in the file's head {part.baseline_accuracy}"
        )
    if drop is None:
        if not removal:
            drop = 0.0
        elif accuracy is None or baseline is None:
            raise WrongFieldError("there is no accuracy_drop, and no accuracies to get it from")
        else:
            drop = baseline - accuracy
    std = _number(value, "std")
    if std is not None and std < 0:
        raise WrongFieldError(f"std is {std}, below 0")
    num_samples = _count(value, "num_samples")
    samples = _samples(value.get("samples"))
    if samples is not None:
        _check_samples(samples, accuracy, num_samples)
    return RemovalResult(removal, drop, accuracy, std, num_samples, samples)


def _removal(value: Json, num_blocks: int | None, named: Removal | None) -> Removal:
    blocks = value.get("removed_block_indices")
    if blocks is None and named is not None:
        return named
    if not isinstance(blocks, list):
        raise WrongFieldError("there is no list 'removed_block_indices'")
    removal = make_removal(blocks)
    active = value.get("active_block_indices")
    if num_blocks is not None and removal and removal[-1] >= num_blocks:
        raise WrongFieldError(
            f"block {removal[-1]} does not exist: num_total_blocks is {num_blocks}"
        )
    if num_blocks is not None and isinstance(active, list):
        kept = [block for block in range(num_blocks) if block not in removal]
        if sorted(active, key=repr) != sorted(kept, key=repr):
            raise WrongFieldError(
                f"active_block_indices do not fit removed_block_indices {list(removal)}"
            )
    return removal


def _samples(value: Any) -> tuple[SampleResult, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(sample, dict) for sample in value):
        raise WrongFieldError("'samples' is not a list of JSON objects")
    samples = []
    for number, sample in enumerate(value, start=1):
        name, score = sample.get("sample_id"), sample.get("score")
        if name is None or not is_number(score):
            raise WrongFieldError(f"sample {number} needs a sample_id and a finite number as score")
        samples.append(SampleResult(str(name), float(score), str(sample.get("answer", ""))))
    return tuple(samples)


def _check_samples(
    samples: tuple[SampleResult, ...], accuracy: float | None, num_samples: int | None
) -> None:
    if len({sample.sample_id for sample in samples}) != len(samples):
        raise WrongFieldError("a sample is listed twice")
    if num_samples is not None and num_samples != len(samples):
        raise WrongFieldError(
            f"num_samples is {num_samples}, but "
            f"{counted(len(samples), 'sample is', 'samples are')} listed"
        )
    if accuracy is not None and samples:
        mean = fmean(sample.score for sample in samples)
        if abs(mean - accuracy) > ROUNDING:
            raise WrongFieldError(f"accuracy is {accuracy}, but the mean of the scores is {mean}")


def _number(value: Json, key: str) -> float | None:
    found = value.get(key)
    if found is None:
        return None
    if not is_number(found):
        raise WrongFieldError(f"{key} is not a finite number: {found!r}")
    return float(found)


def _count(value: Json, key: str) -> int | None:
    found = _number(value, key)
    if found is None:
        return None
    if found != int(found) or found < 0:
        raise WrongFieldError(f"{key} is not a count: {value[key]!r}")
    return int(found)


def _name(value: Json, key: str, *, underscores: bool = False) -> str | None:
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
        raise WrongFieldError(f"{key} is not a name: {found!r}")
    return dataset_name(found) if underscores else found
