"""Where measured importance comes from: comparison files, folders of results, a study, two files.

Each is brought to one shape: the single-block drops of each dataset, on two splits or on one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from depthprune.base.errors import DepthpruneError, LayoutError, option
from depthprune.base.log import logger
from depthprune.base.removal import single_blocks
from depthprune.importance.score_files import read_scores
from depthprune.study import StudyStore, filenames, read_results
from depthprune.study.layouts import dataset_name, is_name
from depthprune.study.records import DatasetResults, Problem
from depthprune.study.store import DATABASE_NAME

TRAIN = "train"
HELD_OUT = ("validation", "test")
"""The other split, by preference; `tally_qa` has train and test."""


class NoDropsError(LayoutError):
    """A folder of results in which no single block was removed."""


@dataclass(frozen=True)
class SplitImportance:
    """Importance of the blocks, measured on one split of one dataset.

    Attributes:
        split: e.g. `train`.
        scores: the drop of each single block, a fraction.
        num_samples: behind each drop; None when unknown.
    """

    split: str
    scores: Mapping[int, float]
    num_samples: int | None = None


@dataclass(frozen=True)
class DatasetScores:
    """Importance of the blocks, measured on one dataset.

    Attributes:
        dataset: with underscores.
        splits: train and held-out, or the only one there is.
        origin: the file or folder it was read from.
        num_blocks: of the model; None when the source does not tell it.
    """

    dataset: str
    splits: tuple[SplitImportance] | tuple[SplitImportance, SplitImportance]
    origin: Path
    num_blocks: int | None = None


def read_sources(folder: Path, *, two_splits: bool = False) -> list[DatasetScores]:
    """Read the single-block drops in a study, in result files or in comparison files.

    Args:
        folder: of them; where it has results and comparisons, the results count.
        two_splits: the comparisons count instead: they are of train and validation.

    Raises:
        FileError, LayoutError: there are none, or a file is wrong.
        StudyError: see `from_study`.
    """
    if (folder / DATABASE_NAME).is_file():
        return from_study(folder)
    compared = folder.is_dir() and any(folder.rglob(filenames.comparison_file("*")))
    if compared and two_splits:
        return from_comparisons(folder)
    try:
        return from_results(folder)
    except NoDropsError:
        if not compared:
            raise
        return from_comparisons(folder)


def from_comparisons(folder: Path) -> list[DatasetScores]:
    """Read every `importance_comparison_{dataset}.json` in a folder tree, or a study there.

    Raises:
        FileError, LayoutError: there are none, or one of them is wrong.
        StudyError: see `from_study`.
    """
    folder = Path(folder)
    if (folder / DATABASE_NAME).is_file():
        return from_study(folder)
    if folder.is_dir() and not any(folder.rglob(filenames.comparison_file("*"))):
        raise LayoutError(
            f"there is no {filenames.comparison_file('{dataset}')} here",
            where=str(folder),
            mend="name the folder of the comparisons, or results by "
            f"{option('results_dir')}, or a {option('study')}",
        )
    reading = read_results(folder)
    _refuse_problems([problem for problem in reading.problems if _is_about_comparison(problem)])
    found = []
    for one in reading.comparisons:
        sides = {"train": one.train_scores, "validation": one.validation_scores}
        splits = {name: SplitImportance(name, scores) for name, scores in sides.items() if scores}
        if not splits:
            raise LayoutError("there are no scores in the file", where=str(one.path))
        found.append(DatasetScores(one.dataset, _choose(one.dataset, splits), one.path))
    return found


def from_results(folder: Path) -> list[DatasetScores]:
    """Read the single-block drops in a folder tree `{dataset}/{split}/` of result files.

    Raises:
        FileError, LayoutError: no drop of a single block lies there, or a file is wrong.
    """
    reading = read_results(folder)
    _refuse_problems(reading.problems)
    splits: dict[str, dict[str, SplitImportance]] = {}
    origins: dict[str, DatasetResults] = {}
    for one in reading.datasets:
        single = [result for result in one.results if len(result.removal) == 1]
        if not single:
            logger.warning("%s %s: no single block was measured", one.dataset, one.split)
            continue
        counts = {result.num_samples for result in single}
        scores = {result.removal[0]: result.drop for result in single}
        count = counts.pop() if len(counts) == 1 else None
        splits.setdefault(one.dataset, {})[one.split] = SplitImportance(one.split, scores, count)
        origins.setdefault(one.dataset, one)
    if not splits:
        raise NoDropsError("there are no drops of single blocks here", where=str(folder))
    return [
        DatasetScores(
            dataset,
            _choose(dataset, found),
            origins[dataset].folder.parent,
            origins[dataset].num_blocks,
        )
        for dataset, found in sorted(splits.items())
    ]


def from_study(folder: Path) -> list[DatasetScores]:
    """Read the single-block drops that a study holds.

    A split that was measured several times (other samples, prompt or dtype) counts once: the run
    under the settings under which the study holds most, of these the one with the most blocks, then
    the most samples; a warning says so, and also where settings differ between the splits used.

    Raises:
        StudyError: there is no study, or no drop of a single block in it.
    """
    with StudyStore.open(folder, read_only=True) as study:
        runs = _runs(study)
        num_blocks = study.model.num_blocks
        for damage in study.damage:
            logger.warning("%s; it is left out", damage)
    if not runs:
        raise LayoutError(
            "the study holds no drop of a single block",
            where=str(folder),
            mend="measure them with `depthprune profile`",
        )
    usual = _usual_settings([run for measured in runs.values() for run in measured])
    used: dict[tuple[str, str], _Run] = {}
    for (task, split), measured in sorted(runs.items()):
        best = max(measured, key=lambda run: (run.settings == usual, *run.size))
        used[task, split] = best
        if len(measured) > 1:
            logger.warning(
                "%s %s was measured %d times; the run with %d blocks on %s samples (%s) is used",
                *(task, split, len(measured), len(best.split.scores)),
                *(best.split.num_samples or "unknown", best.settings),
            )
    splits: dict[str, dict[str, SplitImportance]] = {}
    for (task, split), run in used.items():
        splits.setdefault(task, {})[split] = run.split
    found = [
        DatasetScores(task, _choose(task, named), Path(folder), num_blocks)
        for task, named in splits.items()
    ]
    chosen = [(one.dataset, split.split) for one in found for split in one.splits]
    _warn_of_other_settings({name: used[name].settings for name in chosen}, usual)
    return found


@dataclass(frozen=True)
class _Run:
    """What one split was measured with, and what came out."""

    settings: str
    split: SplitImportance

    @property
    def size(self) -> tuple[int, int]:
        return len(self.split.scores), self.split.num_samples or 0


def _runs(study: StudyStore) -> dict[tuple[str, str], list[_Run]]:
    """Return every run that holds drops of single blocks, by task and split."""
    runs: dict[tuple[str, str], list[_Run]] = {}
    for stored in study.splits():
        for settings in stored.settings:
            scores = single_blocks(study.drops(stored.key, settings))
            if scores:
                count = len(stored.record.sample_ids) or None
                run = _Run(settings, SplitImportance(stored.record.split, scores, count))
                runs.setdefault((stored.record.task, stored.record.split), []).append(run)
    return runs


def _usual_settings(runs: list[_Run]) -> str:
    """Return the settings under which the most blocks were measured, then on the most samples."""
    sizes: dict[str, tuple[int, int]] = {}
    for run in runs:
        blocks, samples = sizes.get(run.settings, (0, 0))
        sizes[run.settings] = (blocks + run.size[0], samples + run.size[1])
    return max(sorted(sizes), key=lambda settings: sizes[settings])


def _warn_of_other_settings(settings: Mapping[tuple[str, str], str], usual: str) -> None:
    """Tell which splits were measured under settings that differ from the others'."""
    others = [f"{' '.join(name)} ({used})" for name, used in settings.items() if used != usual]
    if others:
        logger.warning(
            "measured under other settings than the rest (%s): %s", usual, ", ".join(others)
        )


def from_score_files(train: Path, validation: Path, dataset: str) -> list[DatasetScores]:
    """Read the scores of one dataset from two score files of any known layout.

    Raises:
        FileError, LayoutError: see `read_scores`; or the name cannot be that of a file.
    """
    if not is_name(dataset):
        raise DepthpruneError(f"{dataset!r} cannot be the name of a dataset", option="dataset_name")
    first, second = read_scores(train), read_scores(validation)
    splits = (SplitImportance("train", first.scores), SplitImportance("validation", second.scores))
    return [DatasetScores(dataset_name(dataset), splits, first.path, first.num_blocks)]


def _choose(
    dataset: str, found: Mapping[str, SplitImportance]
) -> tuple[SplitImportance] | tuple[SplitImportance, SplitImportance]:
    """Return train and held-out, or the one split that says most; a joint split is one split."""
    held_out = next((name for name in HELD_OUT if name in found), None)
    if TRAIN in found and held_out is not None:
        _say_unused(dataset, found, {TRAIN, held_out})
        return found[TRAIN], found[held_out]
    joint = sorted(name for name in found if "+" in name)
    chosen = next(name for name in (*joint, TRAIN, *HELD_OUT, *sorted(found)) if name in found)
    _say_unused(dataset, found, {chosen})
    return (found[chosen],)


def _say_unused(dataset: str, found: Mapping[str, SplitImportance], used: set[str]) -> None:
    unused = sorted(found.keys() - used)
    if unused:
        logger.warning(
            "%s: %s not used, as there is %s",
            *(dataset, ", ".join(unused), " and ".join(sorted(used))),
        )


def _is_about_comparison(problem: Problem) -> bool:
    # A place may go on after the file's name: "..., train_scores" or "..., line 3".
    return filenames.is_comparison_file(Path(problem.where.split(",")[0]).name)


def _refuse_problems(problems: list[Problem] | tuple[Problem, ...]) -> None:
    """Raise what is wrong in a file; a folder left out (set aside, or a link) is only told.

    A dataset that fell out of a mean unseen would change the order of the blocks.
    """
    for problem in problems:
        if problem.left_out and not Path(problem.where).is_dir():
            raise LayoutError(
                problem.what,
                where=problem.where,
                mend="mend the file, or take it out of the folder",
            )
        logger.warning("%s", problem)
