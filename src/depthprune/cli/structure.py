"""`depthprune structure`: what checkpoints consist of, and what pruning took from them."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from depthprune.base.errors import AnalysisError, FileError, LayoutError
from depthprune.base.files import make_folder, write_json
from depthprune.base.language import counted, set_language
from depthprune.base.log import logger
from depthprune.base.progress import progress
from depthprune.cli.flags import AsJson, Language
from depthprune.cli.output import show_json, show_sections
from depthprune.report.sections.structure import analysis_section, analysis_value, text_files
from depthprune.report.structure_summary import (
    FORMATS,
    Format,
    batch_sections,
    summary_sections,
    summary_value,
    write_summary,
)
from depthprune.structure.analyses import (
    ModelAnalysis,
    Texts,
    analysis_folder,
    read_model,
    refuse_unknown,
    unknown_of,
    with_zeros,
    write_analysis,
)
from depthprune.structure.analyses import analyze as run_analysis
from depthprune.structure.batches import (
    RESULTS_FILE,
    merged_analyses,
    results_document,
)
from depthprune.structure.batches import (
    batch as analyze_all,
)
from depthprune.structure.finding import parse_ratio
from depthprune.structure.summaries import ModelSummaries, facts_of
from depthprune.structure.summaries import summarize as summarize_models
from depthprune.tasks.demo import DEMO


def analyze(
    model_path: str,
    *,
    compare_with: str | None = None,
    output_dir: Path | None = None,
    count_zeros: bool = False,
    strict: bool = False,
    name: str | None = None,
    revision: str | None = None,
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Show what a checkpoint contains, and what each layer lost compared with the original.

    Reads only the headers of the files, in every format of pruned models: folders and shards of
    safetensors, state dictionaries and whole pickled modules (.bin, .pt; none of their code is
    run), including sliced models. Removed layers are identified by the origin stated in the
    checkpoint, by equal weights, or by the best match.

    For example:

        depthprune structure analyze results/HGSP_2000/pruned_model.bin
        depthprune structure analyze PRUNED --compare_with BASE
        depthprune structure analyze PRUNED --compare_with BASE --output_dir PRUNED/analysis
        depthprune structure analyze PRUNED --compare_with analysis/original_model_analysis.json
        depthprune structure analyze WANDA --count-zeros

    Parameters
    ----------
    model_path
        Checkpoint: a folder, a weight file, the hub name of a model in the local cache, or demo,
        the bundled model.
    compare_with
        Original checkpoint, or the JSON file of its analysis. The JSON file works after the
        original was deleted, but contains no weights to identify layers by.
    output_dir
        Folder for the analysis as JSON and text files. Default: the folder analysis beside the
        weights, where structure summarize looks for them; none for demo and for models in the hub's
        cache.
    count_zeros
        Read all weights and count zeros: unstructured and n:m sparsity.
    strict
        Exit with code 2 if a count is unknown.
    name
        Name of the model in the output (default: the name of its folder or file).
    revision
        Branch, tag or commit of a hub model.

    """
    set_language(lang)
    if output_dir is not None:
        make_folder(output_dir)
    original = None if compare_with is None else read_model(compare_with)
    model = read_model(model_path, name=name, revision=revision)
    if count_zeros:
        with progress("counting zeros", model.anatomy.bytes) as bar:
            model = with_zeros(model, bar.advance)
    analysis = run_analysis(model, original)
    if output_dir is not None:
        analysis = write_analysis(analysis, output_dir, text_files)
    elif model_path != DEMO and (beside := analysis_folder(model_path)) is not None:
        analysis = _write_beside(analysis, beside, text_files)
    if json:
        print(json_module.dumps(analysis_value(analysis), indent=1, ensure_ascii=False))
    else:
        show_sections([analysis_section(analysis)])
    refuse_unknown(strict, {model_path: unknown_of(analysis)})


def _write_beside(analysis: ModelAnalysis, folder: Path, texts: Texts) -> ModelAnalysis:
    """Write the files beside the model; nobody asked for them, so a closed folder is no error."""
    try:
        make_folder(folder)
        return write_analysis(analysis, folder, texts)
    except FileError as error:
        logger.warning("the analysis was not kept: %s (--output_dir names another folder)", error)
        return analysis


SOME_FAILED = 1
"""The exit code when a model could not be analyzed; the others are."""

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
    """Analyze every model in a folder tree, compared with their original.

    Finds folders in Hugging Face format, weight files (.bin, .pt), models in folders named
    pruned_model, and models written by SliceGPT; reads only headers. The analysis of D/a/b is
    written to O/a/b/analysis. Models that cannot be read are named at the end and in
    batch_analysis_results.json; the others are analyzed, and the exit code is 1. Run again, it
    analyzes only what changed or failed.

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
        Folder to search for models, at any depth; links to other folders are not followed.
    base_model
        Original: a checkpoint, or the JSON file of its analysis. Without it, parameters are only
        counted.
    output_dir
        Output folder, with one analysis/ for each model (default: the folder of the models).
    merge_results
        Also write the analyses of all models to models_summary.json. Without --base_model, nothing
        is analyzed: existing analyses are merged.
    count_zeros
        Read all weights and count zeros: unstructured and n:m sparsity.
    strict
        Exit with code 2 if a count of a model is unknown.
    resume
        Skip models whose files are unchanged since their analysis; --force analyzes all.

    """
    set_language(lang)
    output_dir = models_dir if output_dir is None else output_dir
    time = datetime.now().astimezone()
    failed = False
    if merge_results and base_model is None:
        summary, files = merged_analyses(models_dir, output_dir), []
        value, sections = summary_value(summary, time), summary_sections(summary)
    else:
        outcome = analyze_all(
            models_dir,
            base_model,
            output_dir,
            count_zeros=count_zeros,
            resume=resume,
            texts=text_files,
        )
        summary, files = outcome.summary(), [output_dir / RESULTS_FILE]
        value, sections = results_document(outcome), batch_sections(outcome, summary)
        failed = bool(outcome.with_status("failed"))
    if merge_results:
        files.append(output_dir / SUMMARY_FILE)
        write_json(files[-1], summary_value(summary, time))
    if json:
        show_json(value, files)
    else:
        show_sections(sections, files)
    refuse_unknown(strict, {one.name: facts_of(one).unknown for one in summary.models})
    if failed:
        raise SystemExit(SOME_FAILED)


DEFAULT = (FORMATS[0], FORMATS[1])
"""What is written when no format is named: .txt and .json, as the old script did."""


def summarize(
    *,
    dirs: tuple[Path, ...] = (),
    output: Path = Path("models_structure_summary"),
    format: tuple[Format, ...] = (),
    method: str | None = None,
    ratio: str | None = None,
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Summarize many models: parameters, pruning ratio, layers, and empty layers.

    Reads only files in `analysis/` folders, written by `structure analyze`, `structure batch` or
    the old scripts, at any depth; no model is opened. A model without an analysis is listed with
    the command that creates one. A broken file is named, and the other files of its folder are
    used.

    For example:

        depthprune structure summarize --dirs baselines results
        depthprune structure summarize --dirs results --output summary --format xlsx html
        depthprune structure summarize --dirs results --output summary.csv
        depthprune structure summarize --dirs baselines --method wanda --ratio 20
        depthprune structure summarize --dirs baselines results --lang zh

    Parameters
    ----------
    dirs
        Folders to search (default: the current one).
    output
        Name of the files without extension; a name with an extension writes that format only.
    format
        Formats of the files: txt, json, csv, md, html, xlsx (default: txt and json).
    method
        Text that the names of listed models contain, e.g. magnitude, h-gsp, or a pattern:
        'wanda_*'.
    ratio
        Approximate pruning ratio of listed models, or the end of their names: 0.2, 20, 20% and 2000
        all mean a fifth. Measured ratios match within 1.5 points.

    """
    set_language(lang)
    summary = models_below(dirs, method, ratio)
    given = output.suffix.removeprefix(".")
    formats = format
    if not formats:
        formats = tuple(known for known in FORMATS if known == given) or DEFAULT
    # `summary.csv --format csv md` means summary.csv and summary.md.
    stem = output.with_suffix("") if given in formats else output
    time = datetime.now().astimezone()
    files = write_summary(summary, stem, formats, time=time)
    if json:
        show_json(summary_value(summary, time), files)
        return
    show_sections(summary_sections(summary), files)


def models_below(dirs: Sequence[Path], method: str | None, ratio: str | None) -> ModelSummaries:
    """Return the models in folders, the current one where none is named, that options leave.

    Raises:
        DepthpruneError: there are none, or no such ratio.
    """
    dirs = dirs or (Path(),)
    wanted = None if ratio is None else parse_ratio(ratio)
    summary = summarize_models(dirs, method=method, ratio=wanted)
    if summary.models:
        return summary
    where = ", ".join(map(str, dirs))
    number = len(summarize_models(dirs).models)
    if number == 0:
        raise LayoutError(
            "no model, no analysis and no evaluation here",
            where=where,
            mend="name folders that hold models with analysis/ or evaluation/, or analyze some: "
            "depthprune structure batch --models_dir D --base_model B --output_dir O",
        )
    options = [
        f"--{name} {value}" for name, value in (("method", method), ("ratio", ratio)) if value
    ]
    raise AnalysisError(
        f"none of the {counted(number, 'model')} fits {' '.join(options)}",
        where=where,
        mend="leave the option out to see what there is",
    )
