"""`depthprune merge`: one order of the blocks from many datasets."""

from __future__ import annotations

import json as json_module
from pathlib import Path

from depthprune.base.files import read_json
from depthprune.base.language import set_language, t
from depthprune.base.weights import read_weights
from depthprune.cli.options import Language
from depthprune.cli.scores import AsJson, SourceFlags, show
from depthprune.importance.merge import (
    OPTION,
    TRAIN_WEIGHT,
    Method,
    merge_scores,
    write_merged,
)
from depthprune.importance.score_files import check_output
from depthprune.report.render.text import section_parts
from depthprune.report.sections.importance import merged as merged_section


def merge(
    *,
    output_file: Path,
    source: SourceFlags = SourceFlags(),  # noqa: B008 - frozen
    method: Method = "average",
    train_val_weight: float = TRAIN_WEIGHT,
    dataset_weights: tuple[str, ...] = (),
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Merge the importance of blocks over splits and datasets into one score file.

    Prints the blocks from the least to the most important with their drop on each dataset. Beside
    the output file, NAME_simple.json holds the scores alone.

    For example:

        depthprune merge --comparison_dir exp3_importance_comparison --output_file merged.json
        depthprune merge --study depthprune-model --output_file merged.json --method median
        depthprune merge --results_dir results --output_file merged.json \\
            --method weighted_avg --dataset_weights okvqa=2 st_qa=1

    Parameters
    ----------
    output_file
        Gets the full result; `select` reads it.
    method
        Over the datasets: average, weighted_avg or median.
    train_val_weight
        Weight of the training split; the other split has the rest.
    dataset_weights
        For weighted_avg, normalised: one for each dataset in the order of their sorted names, or
        as name=weight.

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
        value = read_json(path) | {"files": list(map(str, files))}
        print(json_module.dumps(value, indent=1))
        return
    closing = t("Files: {full}, {simple}").format(full=files[0], simple=files[1])
    show([*section_parts(merged_section(merged)), closing])
