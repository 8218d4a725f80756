"""Commands on importance scores: compare, merge, select, scores from-removals.

What needs numpy is imported when it is run: `depthprune --help` is there at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from depthprune.base.errors import DepthpruneError, RemovalError
from depthprune.base.files import read_json, write_json, write_text
from depthprune.base.language import counted, filled, set_language, t
from depthprune.base.log import logger
from depthprune.base.options import Options
from depthprune.base.removal import Removal, check_removal
from depthprune.base.weights import read_weights
from depthprune.cli.flags import AsJson, Language, block_set, protected_blocks, with_flags
from depthprune.cli.output import show, show_json
from depthprune.importance.compare import (
    MAX_SHIFT,
    THRESHOLD,
    TOP_K,
    SplitComparison,
    compare_splits,
)
from depthprune.importance.merge import (
    OPTION,
    TRAIN_WEIGHT,
    Method,
    merge_scores,
    write_merged,
)
from depthprune.importance.score_files import check_output, count_blocks, find_scores
from depthprune.importance.select import Selection, check_expected, make_selection
from depthprune.importance.sources import DatasetScores, from_score_files
from depthprune.report.formatting import as_text
from depthprune.report.render.text import section_parts
from depthprune.report.sections.importance import comparison, comparison_value
from depthprune.report.sections.importance import merged as merged_section
from depthprune.report.sections.selection import selection, selection_value
from depthprune.study.result_files import write_importance_comparison

if TYPE_CHECKING:
    from depthprune.importance.sources import DatasetScores


NUM_BLOCKS = 16
"""What `scores from-removals` takes the model to have, unless it is told."""


@dataclass(frozen=True)
class SourceFlags(Options):
    """Source of the scores (one of these)."""

    comparison_dir: Path | None = None
    """Folder tree with files importance_comparison_{dataset}.json, or a study."""

    results_dir: Path | None = None
    """Folder tree of result files, such as {dataset}/{split}/layer_importance_scores.json."""

    study: Path | None = None
    """Folder of a study."""

    def given(self) -> list[str]:
        """Return the options that were given."""
        return [f"--{name}" for name, value in vars(self).items() if value is not None]

    def read(self) -> list[DatasetScores]:
        """Read the one source that is named.

        Raises:
            DepthpruneError: none or several are named, or the source cannot be read.
        """
        from depthprune.importance.sources import from_comparisons, from_results, from_study

        if len(self.given()) != 1:
            raise DepthpruneError(
                f"one source of scores is required, given: {' and '.join(self.given()) or 'none'}",
                option=("comparison_dir", "results_dir", "study"),
                mend="name one of them, for example --comparison_dir exp3_importance_comparison",
            )
        if self.comparison_dir is not None:
            return from_comparisons(self.comparison_dir)
        if self.results_dir is not None:
            return from_results(self.results_dir)
        assert self.study is not None
        return from_study(self.study)


def from_removals(
    *order: str,
    num_blocks: int | None = None,
    study: Path | None = None,
    output_file: Path = Path("scores_from_removals.json"),
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Write a score file that removes the given blocks first, in the given order.

    All other blocks share the highest score. `select` keeps the first and the last block by
    default, even if they are given here.

    For example:

        depthprune scores from-removals 4 13 10 2
        depthprune scores from-removals 4 13 10 2 --num_blocks 32 --output_file order.json
        depthprune select --importance_scores_file order.json --num_active_blocks 30 28

    Parameters
    ----------
    order
        Blocks in the order of removal, e.g. 4 13 10 2.
    num_blocks
        Number of blocks of the model (default: that of the study, or 16).
    study
        Study folder, which states the number of blocks of its model.
    output_file
        JSON file for the scores.

    """
    from depthprune.importance.score_files import check_output, write_scores_from_removals
    from depthprune.importance.select import first_and_last
    from depthprune.report.formatting import blocks
    from depthprune.study import StudyStore

    set_language(lang)
    if num_blocks is not None and study is not None:
        raise DepthpruneError("give --num_blocks or --study, not both")
    if study is not None:
        with StudyStore.open(study, read_only=True) as opened:
            num_blocks = opened.model.num_blocks
    if num_blocks is not None and num_blocks < 2:
        raise DepthpruneError(
            f"a model of {counted(num_blocks, 'block')} has nothing to remove",
            option="num_blocks",
            mend="give the number of blocks of the whole model",
        )
    total = NUM_BLOCKS if num_blocks is None else num_blocks
    named = _indices(order)
    try:
        path = write_scores_from_removals(check_output(output_file), named, total)
    except RemovalError as error:
        if num_blocks is not None or max(named, default=0) < total:
            raise
        raise RemovalError(
            error.what,
            mend=f"give --num_blocks: without it, {counted(total, 'block is', 'blocks are')} taken",
        ) from error
    protected = tuple(block for block in first_and_last(total) if block in named)
    if json:
        value = {"output_file": str(path), "num_blocks": total, "removal_order": named}
        show_json(value | {"protected_by_default": list(protected)})
        return
    order_text = t("Order of removal: {order}; of {n} {n:block|blocks}.")
    lines = [filled(order_text, order=", ".join(map(str, named)), n=total)]
    if num_blocks is None and study is None:
        lines.append(
            t("{n} {n:block was|blocks were} taken, as --num_blocks was not given.", n=total)
        )
    if protected:
        note = t("Note: `select` keeps {blocks} (first and last) unless --protect none is given.")
        lines.append(filled(note, blocks=blocks(protected)))
    show([*lines, t("Scores: {path}", path=path)])


def _indices(given: Sequence[str]) -> list[int]:
    """Return block indices in the order given; `4 13` and `4,13` are the same."""
    parts = [part for part in re.split(r"[,\s]+", " ".join(given)) if part]
    for part in parts:
        if not re.fullmatch(r"[0-9]{1,9}", part):
            raise RemovalError(
                f"{part!r} is not a block index",
                mend="name blocks in the order in which they go, as 4 13 10 2",
            )
    return [int(part) for part in parts]


COMPARISONS = "importance_comparison"
"""Where the comparisons go: inside the study, or in the current folder."""

SUMMARY = "comparison_summary"
"""The table over all datasets, as `.txt` and `.json`."""


@with_flags
def compare(
    *,
    source: SourceFlags = SourceFlags(),
    train_scores: Path | None = None,
    validation_scores: Path | None = None,
    dataset_name: str | None = None,
    threshold: float = THRESHOLD,
    top_k: int = TOP_K,
    max_shift: float = MAX_SHIFT,
    output_dir: Path | None = None,
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Compare the importance of blocks between train and validation, for each dataset.

    Prints Spearman's rho with its p-value, whether the two orders are consistent, how many of the
    least and of the most important blocks they share, and the blocks whose ranks differ. Writes
    DATASET/importance_comparison_DATASET.json, and comparison_summary.txt and .json with one table
    over all datasets.

    For example:

        depthprune compare --comparison_dir exp3_importance_comparison
        depthprune compare --study depthprune-model
        depthprune compare --results_dir results --threshold 0.95 --top_k 3
        depthprune compare --train_scores a.json --validation_scores b.json --dataset_name okvqa

    Parameters
    ----------
    train_scores
        Score file of the train split, with --validation_scores and --dataset_name instead of a
        folder.
    validation_scores
        Score file of the validation split.
    dataset_name
        Dataset of the two score files.
    threshold
        Minimum rho of consistent orders.
    top_k
        Number of least important and of most important blocks to compare.
    max_shift
        Maximum difference of a block's ranks at which the splits agree about it.
    output_dir
        Output folder (default: importance_comparison in the study, or in the current folder).

    """
    set_language(lang)
    datasets = _read(source, train_scores, validation_scores, dataset_name)
    comparisons = compare_splits(datasets, threshold=threshold, top_k=top_k, max_shift=max_shift)
    alone = [one for one in datasets if len(one.splits) == 1]
    folder = output_dir or (source.study or Path()) / COMPARISONS
    parts = section_parts(comparison(comparisons, alone, threshold))
    value = comparison_value(comparisons, alone, threshold)
    table = folder / f"{SUMMARY}.json"
    files = [*(_write(one, folder) for one in comparisons), table, table.with_suffix(".txt")]
    write_json(table, value)
    write_text(table.with_suffix(".txt"), as_text(parts))
    if json:
        show_json(value, files)
        return
    show([*parts, t("Files: {folder} ({n})").format(folder=folder, n=len(files))])


def _read(
    source: SourceFlags, train: Path | None, validation: Path | None, dataset: str | None
) -> list[DatasetScores]:
    given = {
        "--train_scores": train,
        "--validation_scores": validation,
        "--dataset_name": dataset,
    }
    named = [option for option, value in given.items() if value is not None]
    if not named:
        return source.read()
    if source.given():
        raise DepthpruneError(
            f"{source.given()[0]} and {named[0]} cannot be given together",
            mend="name a folder, or two score files and their dataset",
        )
    if train is None or validation is None or dataset is None:
        missing = [option for option, value in given.items() if value is None]
        raise DepthpruneError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            mend="two score files and the name of their dataset belong together",
        )
    return from_score_files(train, validation, dataset)


def _write(one: SplitComparison, folder: Path) -> Path:
    train, validation = (split.scores for split in one.splits)
    return write_importance_comparison(
        folder,
        one.dataset,
        train,
        validation,
        spearman_correlation=one.agreement.rho,
        p_value=one.agreement.p_value,
    )


@with_flags
def merge(
    *,
    output_file: Path,
    source: SourceFlags = SourceFlags(),
    method: Method = "average",
    train_val_weight: float = TRAIN_WEIGHT,
    dataset_weights: tuple[str, ...] = (),
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Merge the importance scores of blocks over splits and datasets into one score file.

    Prints the blocks from least to most important with their drop on each dataset. NAME_simple.json
    beside the output file contains only the scores.

    For example:

        depthprune merge --comparison_dir exp3_importance_comparison --output_file merged.json
        depthprune merge --study depthprune-model --output_file merged.json --method median
        depthprune merge --results_dir results --output_file merged.json \\
            --method weighted_avg --dataset_weights okvqa=2 st_qa=1

    Parameters
    ----------
    output_file
        JSON file for the full result; `select` reads it.
    method
        Mean over the datasets: average, weighted_avg or median.
    train_val_weight
        Weight of the training split; the remaining weight goes to the other split.
    dataset_weights
        Weights for weighted_avg, as name=weight or in the order of the sorted dataset names; they
        are normalised.

    """
    set_language(lang)
    path = check_output(output_file)
    datasets = source.read()
    names = sorted(one.dataset for one in datasets)
    weights = None
    if dataset_weights:
        weights = read_weights(dataset_weights, names, option=OPTION, thing="dataset")
    merged = merge_scores(
        datasets,
        method=method,
        train_weight=train_val_weight,
        dataset_weights=weights,
    )
    files = write_merged(merged, path)
    if json:
        # The file itself, to the last digit.
        show_json(read_json(path), files)
        return
    closing = t("Files: {full}, {simple}").format(full=files[0], simple=files[1])
    show([*section_parts(merged_section(merged)), closing])


NOT_AS_EXPECTED = 1
"""Exit code when `--expect` is not met; 2 is a mistake in what was asked."""


def select(
    *,
    importance_scores_file: tuple[Path, ...],
    num_active_blocks: tuple[int, ...] = (),
    protect: tuple[str, ...] = (),
    expect: tuple[str, ...] = (),
    num_blocks: int | None = None,
    output_file: Path | None = None,
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Select blocks to keep by importance score: those with the lowest scores are removed.

    Reads the files of `merge`, `profile`, `compare` and `scores from-removals`, and any JSON file
    of the form {"0": score, ...}. Exit code 1: the blocks of --expect are not the ones selected.

    For example:

        depthprune select --importance_scores_file merged.json --num_active_blocks 12 14 16
        depthprune select --importance_scores_file merged.json --num_active_blocks 14 --expect 4,13
        depthprune select --importance_scores_file merged.json --num_active_blocks 12 --protect none

    Parameters
    ----------
    importance_scores_file
        File of importance scores; of several, the first that exists. If none exists, the
        single-dataset scores beside it are used, with a note.
    num_active_blocks
        Numbers of blocks to keep; optional with --expect.
    protect
        Blocks to keep regardless of their scores, e.g. 0 15, or none (default: the first and the
        last).
    expect
        Blocks expected to be removed, e.g. 4,13. If they are not, the scores responsible are shown.
    num_blocks
        Number of blocks of the model, if the score file does not state it.
    output_file
        JSON file for the selection: block_configs, by number of active blocks.

    """
    set_language(lang)
    if output_file is not None:
        check_output(output_file)
    found = find_scores(importance_scores_file)
    total = count_blocks(found, num_blocks)
    protected = protected_blocks(protect)
    expected = check_removal(block_set(expect), total) if expect else None
    selections = [
        make_selection(found.scores, number, protected, num_blocks=total, where=str(found.path))
        for number in _counts(num_active_blocks, expected, total)
    ]
    checks = []
    if expected is not None:
        checks = [check_expected(found.scores, _matching(selections, expected), expected)]
    value = selection_value(found, selections, checks)
    if output_file is not None:
        write_json(output_file, value)
    if json:
        if found.instead_of is not None:
            logger.warning("there is no %s; using %s", found.instead_of, found.path)
        show_json(value)
    else:
        parts = section_parts(selection(found, selections, checks))
        if output_file is not None:
            parts.append(t("Selection: {path}").format(path=output_file))
        show(parts)
    if not all(check.met for check in checks):
        raise SystemExit(NOT_AS_EXPECTED)


def _counts(given: tuple[int, ...], expected: Removal | None, total: int) -> list[int]:
    if given:
        return list(dict.fromkeys(given))
    if expected is None:
        raise DepthpruneError(
            "the number of blocks that stay is required",
            option="num_active_blocks",
            mend="give one or more numbers, as --num_active_blocks 12 14 16",
        )
    return [total - len(expected)]


def _matching(selections: list[Selection], expected: Removal) -> Selection:
    """Return the selection by which as many blocks go as are expected to, or the last."""
    same = [one for one in selections if len(one.removal) == len(expected)]
    return same[0] if same else selections[-1]
