"""Reads folders of documented result files, written by depthprune or by others."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from depthprune.base.errors import DepthpruneError, FileError, LayoutError
from depthprune.study import filenames
from depthprune.study.merging import merge_parts
from depthprune.study.parsing import read_comparison, read_part, read_provenance
from depthprune.study.results import DatasetResults, Problem, Reading

_Value = TypeVar("_Value")


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


def _attempt(read: Callable[[Path], _Value], path: Path, problems: list[Problem]) -> _Value | None:
    try:
        return read(path)
    except DepthpruneError as error:
        problems.append(Problem(error.what, error.where or str(path)))
        return None


def _first_of_each(found: list[tuple[str, Path, _Value]], problems: list[Problem]) -> list[_Value]:
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
