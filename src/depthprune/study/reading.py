"""Reads the documented result files, whoever wrote them: one file, a folder, a tree of folders."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar
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
from depthprune.base.errors import DepthpruneError, FileError, LayoutError
from depthprune.base.files import is_number
from depthprune.base.language import counted
from depthprune.base.removal import Removal, format_removal, make_removal
from depthprune.study import filenames
from depthprune.study.records import (
    DatasetResults,
    ImportanceComparison,
    ModelRecord,
    Problem,
    Provenance,
    Reading,
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


_Value = TypeVar("_Value", str, int, float)


def merge_parts(
    folder: Path, parts: list[FilePart], provenance: Provenance | None, problems: list[Problem]
) -> DatasetResults | None:
    """Return what the files of one folder say together, or None when nothing is left.

    The summary is believed first, then the files of single removals, then the importance file. Of
    several results for one removal in a file the later counts, which is noted. A file about another
    dataset, split, model size or baseline is left out; so is a removal on which the files disagree.
    All of that is added to `problems`.
    """
    parts = _agreeing(sorted(parts, key=_authority), problems)
    num_blocks = _first(parts, lambda part: part.num_blocks) or _implied_blocks(parts)
    baseline = _first(parts, lambda part: part.baseline_accuracy)
    stated: dict[Removal, list[tuple[RemovalResult, Path]]] = defaultdict(list)
    for part in parts:
        for result in _last_of_each(part, problems):
            if num_blocks is not None and any(block >= num_blocks for block in result.removal):
                what = f"block {result.removal[-1]} does not exist: the model has {num_blocks}"
                problems.append(Problem(what, str(part.path)))
            else:
                stated[result.removal].append((result, part.path))
    results = {
        removal: merged
        for removal, statements in stated.items()
        if (merged := _merge_statements(statements, problems)) is not None
    }
    if baseline is None and () in results:
        baseline = results[()].accuracy
    elif baseline is not None and () not in stated:
        results[()] = RemovalResult((), 0.0, baseline)
    if not results:
        return None
    ordered = tuple(results[removal] for removal in sorted(results, key=lambda r: (len(r), r)))
    _note_doubts(folder, baseline, ordered, problems)
    return DatasetResults(
        dataset=_first(parts, lambda part: part.dataset)
        or dataset_name(folder.resolve().parent.name),
        split=_first(parts, lambda part: part.split) or folder.resolve().name,
        num_blocks=num_blocks,
        baseline_accuracy=baseline,
        results=ordered,
        folder=folder,
        beam_width=_first(parts, lambda part: part.beam_width),
        max_blocks_to_remove=_first(parts, lambda part: part.max_blocks_to_remove),
        provenance=provenance,
    )


def _last_of_each(part: FilePart, problems: list[Problem]) -> list[RemovalResult]:
    """Return one result for each removal of a file: of several, the later counts.

    A search that was gone on with appends what it measured again.
    """
    last: dict[Removal, RemovalResult] = {}
    differing: dict[Removal, None] = {}
    for result in part.results:
        if last.setdefault(result.removal, result) != result:
            differing[result.removal] = None
        last[result.removal] = result
    if differing:
        named = ", ".join(map(format_removal, list(differing)[:3])) + ", ..." * (len(differing) > 3)
        many = counted(len(differing), "removal has", "removals have")
        what = f"{many} several results, the later counts (removal {named})"
        problems.append(Problem(what, str(part.path), left_out=False))
    return list(last.values())


def _authority(part: FilePart) -> tuple[int, str]:
    if part.path.name == filenames.SUMMARY:
        return 0, ""
    return (2 if part.path.name == filenames.IMPORTANCE else 1), part.path.name


def _agreeing(parts: list[FilePart], problems: list[Problem]) -> list[FilePart]:
    """Return the parts whose heads agree with those before them."""
    agreeing: list[FilePart] = []
    for part in parts:
        clash = _clash(part, agreeing)
        if clash is None:
            agreeing.append(part)
        else:
            problems.append(Problem(clash, str(part.path)))
    return agreeing


def _clash(part: FilePart, earlier: list[FilePart]) -> str | None:
    for field in ("dataset", "split", "num_blocks", "baseline_accuracy"):
        here = getattr(part, field)
        for other in earlier:
            there = getattr(other, field)
            if here is None or there is None:
                continue
            far = abs(here - there) > ROUNDING if isinstance(here, float) else here != there
            if far:
                return f"{field} is {here}, but {there} in {other.path.name} beside it"
    return None


def _first(parts: list[FilePart], read: Callable[[FilePart], _Value | None]) -> _Value | None:
    return next((value for part in parts if (value := read(part)) is not None), None)


def _implied_blocks(parts: list[FilePart]) -> int | None:
    """An importance file without gaps lists every block of the model."""
    for part in parts:
        if part.path.name == filenames.IMPORTANCE and part.results:
            blocks = [result.removal[0] for result in part.results]
            if blocks == list(range(len(blocks))):
                return len(blocks)
    return None


def _merge_statements(
    statements: list[tuple[RemovalResult, Path]], problems: list[Problem]
) -> RemovalResult | None:
    """Return one result of all that is said about one removal; None when it is contradictory."""
    result, origin = statements[0]
    for other, path in statements[1:]:
        for field in ("drop", "accuracy", "std", "num_samples"):
            here, there = getattr(result, field), getattr(other, field)
            if here is None:
                result = replace(result, **{field: there})
            elif there is not None and abs(here - there) > ROUNDING:
                problems.append(
                    Problem(
                        f"removal {format_removal(result.removal)} has two results: "
                        f"{field} {here} in {origin.name}, {there} in {path.name}",
                        str(path),
                    )
                )
                return None
        if result.samples is None:
            result = replace(result, samples=other.samples)
    return result


def _note_doubts(
    folder: Path,
    baseline: float | None,
    results: tuple[RemovalResult, ...],
    problems: list[Problem],
) -> None:
    """Add what is odd, but is kept, to `problems`: one line for each kind, not for each result."""
    doubts: dict[str, list[Removal]] = defaultdict(list)
    for result in results:
        if result.accuracy is not None and result.accuracy < 0:
            doubts["the accuracy is below 0"].append(result.removal)
        if result.accuracy is None or baseline is None:
            if abs(result.drop) > 1:
                doubts["the drop is no fraction (beyond -1..1)"].append(result.removal)
        elif abs(baseline - result.accuracy - result.drop) > ROUNDING:
            doubts["the drop is not baseline accuracy minus accuracy"].append(result.removal)
    for doubt, removals in doubts.items():
        named = ", ".join(map(format_removal, removals[:3])) + (", ..." if removals[3:] else "")
        what = f"{doubt}: {len(removals)} of {counted(len(results), 'result')} (removal {named})"
        problems.append(Problem(what, str(folder), left_out=False))


_Found = TypeVar("_Found")


def read_results(path: Path) -> Reading:
    """Read every documented result file in a folder tree, or one such file.

    Dataset and split are what the files say; where they say nothing, the names of the folders
    (`{dataset}/{split}/`, hyphens or underscores). A file or entry that is wrong is left out and
    listed in `problems`; the rest is returned.

    Raises:
        FileError: there is no such folder or file.
        LayoutError: no result file lies in it.
    """
    path = Path(path)
    problems: list[Problem] = []
    files = list(_result_files(path, problems))
    if not files:
        raise LayoutError(
            "no result files here",
            where=str(path),
            mend=f"name a folder with files such as {filenames.SUMMARY}, or one such file",
        )
    folders: dict[Path, list[Path]] = defaultdict(list)
    comparisons = []
    for file in files:
        if filenames.is_comparison_file(file.name):
            comparison = _attempt(read_comparison, file, problems)
            if comparison is not None:
                comparisons.append(comparison)
        else:
            folders[file.parent].append(file)
    datasets = [
        dataset
        for folder, members in folders.items()
        if (dataset := _read_folder(folder, members, problems)) is not None
    ]
    datasets = _first_of_each(
        [(f"{one.dataset} {one.split}", one.folder, one) for one in datasets], problems
    )
    comparisons = _first_of_each(
        [(f"the comparison of {one.dataset}", one.path, one) for one in comparisons], problems
    )
    _check_one_model(datasets, problems)
    return Reading(
        tuple(sorted(datasets, key=lambda one: (one.dataset, one.split))),
        tuple(sorted(comparisons, key=lambda one: one.dataset)),
        tuple(problems),
    )


def _result_files(path: Path, problems: list[Problem]) -> Iterator[Path]:
    if path.is_file():
        if not _is_known(path.name):
            raise LayoutError(
                "the name is not one of the documented result files",
                where=str(path),
                mend=f"give it a name such as {filenames.SUMMARY}",
            )
        yield path
        return
    if not path.is_dir():
        raise FileError("there is no such folder", where=str(path))

    def unreadable(error: OSError) -> None:
        problems.append(Problem(f"cannot read: {error.strerror or error}", str(error.filename)))

    for folder, subfolders, names in os.walk(path, onerror=unreadable):
        subfolders.sort()
        problems += [
            Problem("a link to another folder is not followed", str(Path(folder, name)))
            for name in subfolders
            if Path(folder, name).is_symlink()
        ]
        problems += [
            Problem("a folder with the name of a result file", str(Path(folder, name)))
            for name in subfolders
            if _is_known(name)
        ]
        yield from (Path(folder, name) for name in sorted(names) if _is_known(name))


def _is_known(name: str) -> bool:
    return filenames.is_result_file(name) or filenames.is_comparison_file(name)


def _read_folder(folder: Path, files: list[Path], problems: list[Problem]) -> DatasetResults | None:
    read = partial(read_part, problems=problems)
    parts = [part for file in files if (part := _attempt(read, file, problems)) is not None]
    if not parts:
        return None
    provenance = None
    if (folder / filenames.PROVENANCE).exists():
        provenance = _attempt(read_provenance, folder / filenames.PROVENANCE, problems)
    return merge_parts(folder, parts, provenance, problems)


def _attempt(read: Callable[[Path], _Found], path: Path, problems: list[Problem]) -> _Found | None:
    try:
        return read(path)
    except DepthpruneError as error:
        problems.append(Problem(error.what, error.where or str(path)))
        return None


def _first_of_each(found: list[tuple[str, Path, _Found]], problems: list[Problem]) -> list[_Found]:
    """Return the values whose name no earlier one has; `found` holds name, place and value."""
    places: dict[str, Path] = {}
    first = []
    for name, place, value in found:
        if name in places:
            problems.append(Problem(f"{name} lies in {places[name]} already", str(place)))
        else:
            places[name] = place
            first.append(value)
    return first


def _check_one_model(datasets: list[DatasetResults], problems: list[Problem]) -> None:
    sizes = {one.num_blocks: one for one in datasets if one.num_blocks is not None}
    if len(sizes) > 1:
        told = ", ".join(f"{size} in {one.folder}" for size, one in sorted(sizes.items()))
        problems.append(
            Problem(f"models of different size: blocks {told}", "all folders", left_out=False)
        )
