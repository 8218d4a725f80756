"""`depthprune structure batch`: analyse every model below a folder."""

from __future__ import annotations

import json as json_module
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from depthprune.base.files import write_json
from depthprune.base.language import set_language
from depthprune.cli.output import AsJson, Language, show_sections
from depthprune.report.sections.structure import text_files
from depthprune.report.structure_summary import batch_sections, summary_sections, summary_value
from depthprune.structure.analyze import refuse_unknown
from depthprune.structure.batches import (
    RESULTS_FILE,
    merged_analyses,
    results_document,
)
from depthprune.structure.batches import (
    batch as analyze_all,
)
from depthprune.structure.summarize import Summary, facts_of

SOME_FAILED = 1
"""The exit code when a model could not be analysed; the others are."""

SUMMARY_FILE = "models_summary.json"


def batch(
    *,
    models_dir: Path,
    base_model: str | None = None,
    output_dir: Path | None = None,
    merge_results: bool = False,
    count_zeros: bool = False,
    strict: bool = False,
    resume: Annotated[bool, Parameter(negative="--force")] = True,
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Analyse every model below a folder beside the original they were made from.

    Finds folders in Hugging Face format, weight files (.bin, .pt), models in a folder pruned_model
    and what SliceGPT writes; only headers are read. The analysis of D/a/b goes to O/a/b/analysis.
    A model that cannot be read is told at the end and in batch_analysis_results.json, the others
    are analysed, and the exit code is 1. Run again, only what changed or failed is analysed.

    For example:

        depthprune structure batch --models_dir results --base_model BASE --output_dir analyses
        depthprune structure batch --models_dir results --base_model BASE --output_dir results \\
            --merge_results
        depthprune structure batch --models_dir results --merge_results
        depthprune structure batch --models_dir results --base_model \\
            results/a/analysis/original_model_analysis.json --output_dir analyses

    Parameters
    ----------
    models_dir
        Is searched for models, to any depth; links to other folders are not followed.
    base_model
        The original: a checkpoint, or a JSON file of its analysis. Parameters are only counted
        when it is not given.
    output_dir
        Gets an analysis/ for each model; the folder of the models when not given.
    merge_results
        Write what is known of all models into models_summary.json too. Without --base_model
        nothing is analysed: the analyses that are there are merged.
    count_zeros
        Read all weights and count the zeros among them: unstructured and n:m sparsity.
    strict
        End with exit code 2 when a count of a model is not known.
    resume
        Leave out models whose files are unchanged since their analysis; --force analyses all.

    """
    set_language(lang)
    output_dir = models_dir if output_dir is None else output_dir
    if merge_results and base_model is None:
        summary = merged_analyses(models_dir, output_dir)
        write_json(
            output_dir / SUMMARY_FILE, value := summary_value(summary, datetime.now().astimezone())
        )
        if json:
            print(json_module.dumps(value | {"files": [str(output_dir / SUMMARY_FILE)]}, indent=1))
        else:
            show_sections(summary_sections(summary), [output_dir / SUMMARY_FILE])
        refuse_unknown(strict, _unknown(summary))
        return
    outcome = analyze_all(
        models_dir,
        base_model,
        output_dir,
        count_zeros=count_zeros,
        resume=resume,
        texts=text_files,
    )
    files = [output_dir / RESULTS_FILE]
    summary = outcome.summary()
    if merge_results:
        files.append(output_dir / SUMMARY_FILE)
        write_json(files[-1], summary_value(summary, datetime.now().astimezone()))
    if json:
        value = results_document(outcome) | {"files": list(map(str, files))}
        print(json_module.dumps(value, indent=1))
    else:
        show_sections(batch_sections(outcome, summary), files)
    refuse_unknown(strict, _unknown(summary))
    if outcome.with_status("failed"):
        raise SystemExit(SOME_FAILED)


def _unknown(summary: Summary) -> dict[str, tuple[str, ...]]:
    return {one.name: facts_of(one).unknown for one in summary.models}
