"""Makes one set of results of the files in one folder, and says where they disagree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from depthprune.base.language import counted
from depthprune.base.removal import Removal, format_removal
from depthprune.study import filenames
from depthprune.study.parsing import ROUNDING, FilePart, dataset_name
from depthprune.study.results import DatasetResults, Problem, Provenance, RemovalResult

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
