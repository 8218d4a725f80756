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

from depthprune.base.documents import (
    Json,
    WrongFieldError,
    object_at,
    read_document,
)
from depthprune.base.errors import DepthpruneError, FileError, LayoutError
from depthprune.base.files import place_of
from depthprune.base.language import counted
from depthprune.base.removal import Removal, format_removal
from depthprune.study import filenames
from depthprune.study.layouts import (
    COMPARISON,
    ENTRY,
    HEAD,
    PROVENANCE,
    SCORES,
    ResultEntry,
    dataset_name,
)
from depthprune.study.records import (
    DatasetResults,
    FoundResults,
    ImportanceComparison,
    Problem,
    Provenance,
    RemovalResult,
)

ROUNDING = 1e-3
"""How far apart two writings of one number may be: files round to three decimals or more."""


_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True)
class FilePart:
    """What one file says about one split of a dataset; None where it says nothing."""

    path: Path
    results: tuple[RemovalResult, ...] = ()
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
            scores = SCORES.read(value)
            results = tuple(RemovalResult((block,), drop) for block, drop in scores.items())
            return FilePart(path, results)
        part = _head(value, path)
        if filenames.is_removal_file(path.name):
            return replace(part, results=(_named_result(value, part),))
        return _summary(value, part, problems)

    return read_document(path, read, unique_keys=path.name == filenames.IMPORTANCE)


def read_comparison(path: Path) -> ImportanceComparison:
    """Read an `importance_comparison_{dataset}.json`.

    Raises:
        LayoutError: it is not in the documented layout.
        FileError: the file cannot be read or is not JSON.
    """

    def read(value: Any) -> ImportanceComparison:
        found = COMPARISON.read(value)
        if not {"train_scores", "validation_scores"} & found.keys():
            raise WrongFieldError("neither train_scores nor validation_scores")
        found.setdefault("dataset", dataset_name(path.stem.removeprefix("importance_comparison_")))
        return ImportanceComparison(path=path, **found)

    return read_document(path, read, unique_keys=True)


def read_provenance(path: Path) -> Provenance:
    """Read the `provenance.json` that depthprune writes beside its results.

    Raises:
        LayoutError: it is not in the documented layout.
        FileError: the file cannot be read or is not JSON.
    """
    mend = "depthprune did not write it: use another results folder"
    found: Provenance = read_document(path, PROVENANCE.read, mend=mend)
    return found


def _head(value: Any, path: Path) -> FilePart:
    # Files of the users' scripts keep in `config` what others have in their head.
    said = HEAD.read(object_at(value, "config") | value if isinstance(value, dict) else value)
    total = said.pop("total_blocks", None)
    if total is not None and said.setdefault("num_blocks", total) != total:
        raise WrongFieldError(
            f"num_total_blocks is {said['num_blocks']}, config.total_blocks {total}"
        )
    return FilePart(path, **said)


def _named_result(value: Json, part: FilePart) -> RemovalResult:
    named = filenames.named_removal(part.path.name)
    result = _result(value, part, named)
    if named is not None and named != result.removal:
        raise WrongFieldError(
            f"the name says removal {format_removal(named)}, the file {result.removal}"
        )
    return result


def _summary(value: Json, part: FilePart, problems: list[Problem]) -> FilePart:
    summary = value.get("summary")
    if not isinstance(summary, list):
        raise WrongFieldError("a list 'summary' is required")
    if part.num_blocks is None:
        part = replace(part, num_blocks=_blocks_of_rows(summary))
    results = []
    for number, entry in enumerate(summary, start=1):
        try:
            results.append(_result(entry, part, None))
        except WrongFieldError as wrong:
            where = f"{part.path}, entry {number} of the summary"
            place = place_of(wrong.steps)
            problems.append(Problem(wrong.what, f"{where}, {place}" if place else where))
    return replace(part, results=tuple(results))


def _blocks_of_rows(summary: Sequence[Any]) -> int | None:
    """Return the number of blocks that most rows state."""
    rows = [row.get("num_total_blocks") for row in summary if isinstance(row, dict)]
    # A row that states nonsense is told when it is read itself.
    stated = Counter(one for one in rows if isinstance(one, int) and one > 0)
    return stated.most_common(1)[0][0] if stated else None


def _result(value: Any, part: FilePart, named: Removal | None) -> RemovalResult:
    """Read what a file says about one removal; `part` holds what its head says."""
    entry: ResultEntry = ENTRY.read(value)
    num_blocks = _agreed("num_total_blocks", entry.num_blocks, part.num_blocks)
    baseline = _agreed("baseline_accuracy", entry.baseline, part.baseline_accuracy)
    removal = entry.removed if entry.removed is not None else named
    if removal is None:
        raise WrongFieldError("a list 'removed_block_indices' is required")
    if entry.removed is not None and num_blocks is not None:
        _check_blocks(entry, num_blocks)
    drop = entry.drop if removal or entry.drop is not None else 0.0
    if drop is None:
        if entry.accuracy is None or baseline is None:
            raise WrongFieldError("accuracy_drop is required, or the accuracies to get it from")
        drop = baseline - entry.accuracy
    _check_samples(entry)
    return RemovalResult(removal, drop, entry.accuracy, entry.std, entry.num_samples, entry.samples)


def _agreed(name: str, own: _Number | None, head: _Number | None) -> _Number | None:
    """Return a number that an entry and the head of its file may state, and must not differ in."""
    if own is not None and head is not None and abs(own - head) > ROUNDING:
        raise WrongFieldError(f"{name} is {own}, in the file's head {head}")
    return head if own is None else own


def _check_blocks(entry: ResultEntry, num_blocks: int) -> None:
    removed = entry.removed or ()
    if removed and removed[-1] >= num_blocks:
        raise WrongFieldError(
            f"block {removed[-1]} does not exist: num_total_blocks is {num_blocks}"
        )
    if isinstance(entry.active, list):
        kept = [block for block in range(num_blocks) if block not in removed]
        if sorted(entry.active, key=repr) != sorted(kept, key=repr):
            raise WrongFieldError(
                f"active_block_indices do not fit removed_block_indices {list(removed)}"
            )


def _check_samples(entry: ResultEntry) -> None:
    samples = entry.samples
    if samples is None:
        return
    if len({sample.sample_id for sample in samples}) != len(samples):
        raise WrongFieldError("a sample is listed twice")
    if entry.num_samples not in (None, len(samples)):
        raise WrongFieldError(
            f"num_samples is {entry.num_samples}, but "
            f"{counted(len(samples), 'sample is', 'samples are')} listed"
        )
    if entry.accuracy is not None and samples:
        mean = fmean(sample.score for sample in samples)
        if abs(mean - entry.accuracy) > ROUNDING:
            raise WrongFieldError(
                f"accuracy is {entry.accuracy}, but the mean of the scores is {mean}"
            )


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
                doubts["the drop is not a fraction (beyond -1..1)"].append(result.removal)
        elif abs(baseline - result.accuracy - result.drop) > ROUNDING:
            doubts["the drop is not baseline accuracy minus accuracy"].append(result.removal)
    for doubt, removals in doubts.items():
        named = ", ".join(map(format_removal, removals[:3])) + (", ..." if removals[3:] else "")
        what = f"{doubt}: {len(removals)} of {counted(len(results), 'result')} (removal {named})"
        problems.append(Problem(what, str(folder), left_out=False))


_Found = TypeVar("_Found")


def read_results(path: Path) -> FoundResults:
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
    return FoundResults(
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
        listed = ", ".join(f"{size} in {one.folder}" for size, one in sorted(sizes.items()))
        problems.append(
            Problem(f"models of different size: blocks {listed}", "all folders", left_out=False)
        )
