"""`depthprune compare`: do two splits of a dataset order the blocks alike?"""

from __future__ import annotations

import json as json_module
from pathlib import Path

from depthprune.base.errors import DepthpruneError
from depthprune.base.files import write_json, write_text
from depthprune.base.language import set_language, t
from depthprune.cli.options import Language
from depthprune.cli.scores import AsJson, SourceFlags, show
from depthprune.importance.compare import (
    MAX_SHIFT,
    THRESHOLD,
    TOP_K,
    SplitComparison,
    compare_splits,
)
from depthprune.importance.sources import DatasetScores, from_score_files
from depthprune.report.formatting import as_text
from depthprune.report.render.text import section_parts
from depthprune.report.sections.importance import comparison, comparison_value
from depthprune.study.result_files import write_importance_comparison

FOLDER = "importance_comparison"
"""Where the comparisons go: inside the study, or in the current folder."""

SUMMARY = "comparison_summary"
"""The table over all datasets, as `.txt` and `.json`."""


def compare(
    *,
    source: SourceFlags = SourceFlags(),  # noqa: B008 - frozen
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
    """Compare the importance of blocks on train and on validation, for each dataset.

    Prints Spearman's rho with its p-value, whether the orders are consistent, how many of the least
    and of the most important blocks they have in common, and the blocks whose rank differs. Writes
    DATASET/importance_comparison_DATASET.json and one table over datasets, comparison_summary.txt
    and .json.

    For example:

        depthprune compare --comparison_dir exp3_importance_comparison
        depthprune compare --study depthprune-model
        depthprune compare --results_dir results --threshold 0.95 --top_k 3
        depthprune compare --train_scores a.json --validation_scores b.json --dataset_name okvqa

    Parameters
    ----------
    train_scores
        A score file, with --validation_scores and --dataset_name in place of a folder.
    validation_scores
        The score file of the other split.
    dataset_name
        What the two score files are about.
    threshold
        The smallest rho that is called consistent.
    top_k
        How many of the least, and of the most important blocks are held against each other.
    max_shift
        A block disagrees when its rank differs by more than so many places.
    output_dir
        Gets the files; importance_comparison in the study, or here, when not given.

    """
    set_language(lang)
    datasets = _read(source, train_scores, validation_scores, dataset_name)
    comparisons = compare_splits(datasets, threshold=threshold, top_k=top_k, max_shift=max_shift)
    alone = [one for one in datasets if len(one.splits) == 1]
    folder = output_dir or (source.study or Path()) / FOLDER
    parts = section_parts(comparison(comparisons, alone, threshold))
    value = comparison_value(comparisons, alone, threshold)
    table = folder / f"{SUMMARY}.json"
    files = [*(_write(one, folder) for one in comparisons), table, table.with_suffix(".txt")]
    write_json(table, value)
    write_text(table.with_suffix(".txt"), as_text(parts))
    if json:
        print(json_module.dumps(value | {"files": list(map(str, files))}, indent=1))
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
