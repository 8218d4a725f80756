"""The documented result files, written from a study: `{results}/{dataset}/{split}/`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import starmap
from pathlib import Path
from typing import Any

from depthprune.base.errors import FileError, StudyError
from depthprune.base.files import check_can_make, is_number, read_json, write_json
from depthprune.base.log import logger
from depthprune.base.removal import Removal, active_blocks, single_blocks
from depthprune.study import filenames
from depthprune.study.layouts import COMPARISON, ENTRY, PROVENANCE, SCORES, ResultEntry
from depthprune.study.reading import read_provenance
from depthprune.study.records import (
    ImportanceComparison,
    Measurement,
    ModelRecord,
    Provenance,
    SampleResult,
    SplitRecord,
)
from depthprune.study.store import StudyStore


@dataclass(frozen=True)
class Variant:
    """What tells two sets of results of one split apart.

    Attributes:
        fingerprint: of the task: data, samples, prompt, metric.
        settings: under which it was measured.
    """

    fingerprint: str
    settings: str

    def aside(self, folder: Path) -> Path:
        """Return where its files lie while those of other options are in `folder`."""
        digest = hashlib.sha256(f"{self.fingerprint}\n{self.settings}".encode()).hexdigest()[:8]
        return folder.with_name(f"{folder.name}@{digest}")


def check_place(
    folder: Path, variant: Variant, model: ModelRecord, names: Iterable[str]
) -> frozenset[str]:
    """Check that files of these names may be written, and return those written before.

    Nothing is changed.

    Raises:
        StudyError: the folder holds results of another model.
        FileError: the folder cannot be written, or a file is in the way.
    """
    check_can_make(folder)
    place, held = folder, _held(folder, model)
    if held is not None and held[0] != variant and held[0].aside(folder).exists():
        raise FileError(
            f"{folder.name} holds results of other options, which cannot be moved: "
            "their folder is there already",
            where=str(held[0].aside(folder)),
            mend="move one of the two folders away",
        )
    if not folder.exists() or (held is not None and held[0] != variant):
        place = variant.aside(folder)
        held = _held(place, model)
        if held is not None and held[0] != variant:
            raise FileError(
                "the folder holds results of other options than its name says",
                where=str(place),
                mend="move that folder away",
            )
    written: frozenset[str] = frozenset() if held is None else held[1]
    for name in names:
        if name not in written and (place / name).exists():
            raise FileError(
                f"{name} is in the way: it was not written from this study",
                where=str(place / name),
                mend="use another results folder, or move that file away",
            )
    return written


def take_place(folder: Path, variant: Variant, model: ModelRecord) -> None:
    """Move the files of other options aside, and those of `variant`, if there are any, back.

    `check_place` must have allowed it.

    Raises:
        FileError: a folder cannot be renamed.
    """
    held = _held(folder, model)
    try:
        if held is not None and held[0] != variant:
            aside = held[0].aside(folder)
            folder.rename(aside)
            logger.warning(
                "%s held results of other options (sample, prompt or dtype); they are now in %s",
                *(folder, aside),
            )
        # A folder without results (a user's notes) stays where it is.
        if not folder.exists() and variant.aside(folder).exists():
            variant.aside(folder).rename(folder)
    except OSError as error:
        raise FileError(
            f"the folder cannot be renamed: {error.strerror or error}",
            where=str(folder),
            mend="check the permissions of the folder above it",
        ) from error


def _held(folder: Path, model: ModelRecord) -> tuple[Variant, frozenset[str]] | None:
    """Return what an earlier call wrote into a folder for the same model, and the files' names."""
    path = folder / filenames.PROVENANCE
    if not path.exists():
        return None
    found = read_provenance(path)
    if found.model.fingerprint != model.fingerprint:
        raise StudyError(
            f"the folder holds results of another model, {found.model.name}, not of {model.name}",
            where=str(folder),
            mend="use another results folder for this model",
        )
    # The list is a file anyone can edit: only names of result files are ever removed.
    names = filter(filenames.is_result_file, map(str, found.files))
    return Variant(found.task_fingerprint, found.settings), frozenset(names)


Json = dict[str, Any]


@dataclass(frozen=True)
class _View:
    """One folder of files: what was measured on one split under one setting."""

    folder: Path
    key: int
    split: SplitRecord
    settings: str

    @property
    def variant(self) -> Variant:
        return Variant(self.split.fingerprint, self.settings)


def write_result_files(
    study: StudyStore,
    results_dir: Path,
    *,
    beam_width: int | None = None,
    max_blocks_to_remove: int | None = None,
    selection: Iterable[tuple[int, str]] | None = None,
) -> list[Path]:
    """Write the result files of a study and return their paths, changed or not.

    Files that hold what they should are left alone. A folder with the results of other options
    (another sample or prompt, say) is renamed, with a warning, and named back when its options are
    selected again. A split without a measured baseline has no drops yet: it is left out, with a
    warning.

    Args:
        study: what was measured.
        results_dir: gets one folder for each task, with one for each split.
        beam_width: of the search, for the summary; None keeps what an earlier call wrote.
        max_blocks_to_remove: of the search, for the summary; None keeps it likewise.
        selection: pairs of split key and settings; None means all that the study holds.

    Raises:
        StudyError: a folder holds results of another model, or the selection holds one split of a
            task more than once (measured with two prompts or two settings).
        FileError: a file cannot be written, or one is in the way that depthprune did not write.
    """
    written: list[Path] = []
    for view in _views(study, Path(results_dir), selection):
        if study.measurement(view.key, view.settings, ()) is None:
            logger.warning(
                "%s %s has no baseline yet: no files written", view.split.task, view.split.split
            )
            continue
        written += _write_view(study, view, beam_width, max_blocks_to_remove)
    return written


def check_result_files(
    study: StudyStore, results_dir: Path, selection: Iterable[tuple[int, str]]
) -> None:
    """Check, before anything is measured, that `write_result_files` will find nothing in its way.

    Nothing is changed. The names of removals that are not measured yet are unknown: only the files
    that every search writes are looked for.

    Args:
        study: what will be measured; it holds the splits.
        results_dir: as for `write_result_files`.
        selection: pairs of split key and settings.

    Raises:
        StudyError: as `write_result_files`.
        FileError: a folder cannot be written, or a file is in the way.
    """
    always = (filenames.BASELINE, filenames.SUMMARY, filenames.IMPORTANCE)
    for view in _views(study, Path(results_dir), selection):
        check_place(view.folder, view.variant, study.model, always)


def write_importance_comparison(
    folder: Path,
    task: str,
    train_scores: Mapping[int, float],
    validation_scores: Mapping[int, float],
    *,
    spearman_correlation: float | None = None,
    p_value: float | None = None,
) -> Path:
    """Write `{folder}/{task}/importance_comparison_{task}.json` and return its path.

    Args:
        folder: of all comparisons.
        task: with underscores.
        train_scores: the drop of each single block (a fraction) on the training split.
        validation_scores: the same on the validation split.
        spearman_correlation: of the two; None leaves both statistics out of the file.
        p_value: of that correlation.

    Raises:
        FileError: the file cannot be written, or a number is not finite.
    """
    path = Path(folder) / task / filenames.comparison_file(task)
    found = ImportanceComparison(task, path, train_scores, validation_scores)
    if spearman_correlation is not None and p_value is not None:
        found = replace(found, spearman_correlation=spearman_correlation, p_value=p_value)
    write_json(path, COMPARISON.write(found))
    return path


def _views(
    study: StudyStore, results_dir: Path, selection: Iterable[tuple[int, str]] | None
) -> list[_View]:
    chosen = None if selection is None else set(selection)
    views: dict[Path, _View] = {}
    for stored in study.splits():
        folder = results_dir / stored.record.task.replace("_", "-") / stored.record.split
        # Settings may be chosen before anything is measured under them.
        measured = ((stored.key, settings) for settings in stored.settings)
        for key, settings in measured if chosen is None else sorted(chosen):
            if key != stored.key:
                continue
            if folder in views:
                raise StudyError(
                    f"{stored.record.task} {stored.record.split} was measured more than once: "
                    f"with {_variant(views[folder].split, views[folder].settings)} and with "
                    f"{_variant(stored.record, settings)}",
                    where=str(study.folder),
                    mend="choose which of them to write, or use one study for each",
                )
            views[folder] = _View(folder, key, stored.record, settings)
    return list(views.values())


def _variant(split: SplitRecord, settings: str) -> str:
    return f"'{settings}' (task fingerprint {split.fingerprint[:12]})"


def _write_view(
    study: StudyStore, view: _View, beam_width: int | None, max_blocks_to_remove: int | None
) -> list[Path]:
    measured = study.measurements(view.key, view.settings, with_samples=False)
    names = [filenames.removal_file(one.removal, study.model.num_blocks) for one in measured]
    names.append(filenames.SUMMARY)
    if any(len(one.removal) == 1 for one in measured):
        names.append(filenames.IMPORTANCE)
    earlier = check_place(view.folder, view.variant, study.model, names)
    take_place(view.folder, view.variant, study.model)
    search = _search(view, earlier, beam_width, max_blocks_to_remove)
    # Before anything else, so that a run that is cut short leaves no file without a name to it.
    path = view.folder / filenames.PROVENANCE
    write_json(path, _provenance(study.model, view, {*names, *earlier}))
    for name in earlier - set(names):
        (view.folder / name).unlink(missing_ok=True)
    for name, value in _contents(study, view, measured, search):
        write_json(view.folder / name, value)
    write_json(path, _provenance(study.model, view, names))
    return [*(view.folder / name for name in names), path]


def _contents(
    study: StudyStore,
    view: _View,
    measured: list[Measurement],
    search: Json,
) -> Iterator[tuple[str, Json]]:
    num_blocks = study.model.num_blocks
    drops = study.drops(view.key, view.settings)
    baseline = next(one.accuracy for one in measured if not one.removal)
    heading = {"dataset_name": view.split.task, "split": view.split.split}
    entries = [_entry(one, drops[one.removal], baseline, num_blocks) for one in measured]
    for one, entry in zip(measured, entries, strict=True):
        whole = replace(entry, samples=_samples(study, view, one.removal))
        yield filenames.removal_file(one.removal, num_blocks), heading | ENTRY.write(whole)
    yield (
        filenames.SUMMARY,
        heading
        | {"baseline_accuracy": baseline}
        | search
        | {"num_total_blocks": num_blocks}
        | {"summary": [ENTRY.write(entry) for entry in entries if entry.removed]},
    )
    single = single_blocks(drops)
    if single:
        yield filenames.IMPORTANCE, SCORES.write(single)


def _search(
    view: _View, earlier: frozenset[str], beam_width: int | None, max_blocks_to_remove: int | None
) -> Json:
    """Return what the summary says about the search; an earlier one is not forgotten."""
    given = {"beam_width": beam_width, "max_blocks_to_remove": max_blocks_to_remove}
    known: Json = {}
    if filenames.SUMMARY in earlier:
        # A summary that was spoiled is written anew; it has nothing to say.
        with suppress(FileError):
            value = read_json(view.folder / filenames.SUMMARY)
            known = value if isinstance(value, dict) else {}
    search = {name: known.get(name) if value is None else value for name, value in given.items()}
    return {name: value for name, value in search.items() if is_number(value)}


def _entry(one: Measurement, drop: float, baseline: float, num_blocks: int) -> ResultEntry:
    # Imported results may lack a number: it is left out rather than made up.
    return ResultEntry(
        removed=one.removal,
        active=active_blocks(one.removal, num_blocks),
        num_blocks=num_blocks,
        accuracy=one.accuracy,
        drop=drop,
        std=None if math.isnan(one.std) else one.std,
        num_samples=one.num_samples or None,
        baseline=baseline,
    )


def _samples(study: StudyStore, view: _View, removal: Removal) -> tuple[SampleResult, ...] | None:
    one = study.measurement(view.key, view.settings, removal)
    if one is None or one.scores is None or one.answers is None:
        return None
    rows = zip(view.split.sample_ids, one.scores.tolist(), one.answers, strict=True)
    return tuple(starmap(SampleResult, rows))


def _provenance(model: ModelRecord, view: _View, files: Iterable[str]) -> Json:
    split = view.split
    about = (split.fingerprint, split.task_type, split.metric, view.settings)
    num_samples = len(split.sample_ids) or None  # unknown of some imported results
    return dict(PROVENANCE.write(Provenance(model, *about, num_samples, tuple(sorted(files)))))
