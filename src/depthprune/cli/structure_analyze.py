"""`depthprune structure analyze`: what a checkpoint consists of, and what its layers lost."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from depthprune.base.errors import FileError
from depthprune.base.files import make_folder
from depthprune.base.language import Lang, set_language
from depthprune.base.log import logger
from depthprune.base.progress import progress
from depthprune.cli.output import show_sections
from depthprune.report.sections.structure import analysis_section, analysis_value, text_files
from depthprune.structure.analyze import (
    Analysis,
    Texts,
    analysis_folder,
    read_model,
    refuse_unknown,
    unknown_of,
    with_zeros,
    write_analysis,
)
from depthprune.structure.analyze import analyze as run_analysis

_DEMO = "demo"


def analyze(
    model_path: str,
    *,
    compare_with: str | None = None,
    output_dir: Path | None = None,
    count_zeros: bool = False,
    strict: bool = False,
    name: str | None = None,
    revision: str | None = None,
    json: Annotated[bool, Parameter(name="--json")] = False,
    lang: Annotated[Lang, Parameter(name="--lang")] = "en",
) -> None:
    """Say what a checkpoint consists of, and what each layer lost against its original.

    Only the headers of its files are read, in any of the formats of pruned models: folders and
    shards of safetensors, state dictionaries and whole pickled modules (.bin, .pt; none of their
    code is run), sliced ones too. Layers that were removed are found: by what the checkpoint says
    of its origin, by equal weights, by the best match.

    For example:

        depthprune structure analyze results/HGSP_2000/pruned_model.bin
        depthprune structure analyze PRUNED --compare_with BASE
        depthprune structure analyze PRUNED --compare_with BASE --output_dir PRUNED/analysis
        depthprune structure analyze PRUNED --compare_with analysis/original_model_analysis.json
        depthprune structure analyze WANDA --count-zeros

    Parameters
    ----------
    model_path
        The checkpoint: a folder, a weight file, a name on the hub that is in the local cache, or
        demo, the embedded model.
    compare_with
        Its original: the same, or a JSON file of an analysis, which has no weights to know layers
        by, but is at hand after the original is gone.
    output_dir
        Folder for the analysis as JSON and text files. Without it they go into the folder
        analysis beside the weights, where structure summarize looks for them; of demo and of
        models in the hub's cache none are written.
    count_zeros
        Read all weights and count the zeros among them: unstructured and n:m sparsity.
    strict
        End with exit code 2 when a count is not known.
    name
        What the model is called; its folder or file when not given.
    revision
        Branch, tag or commit of a hub model.
    json
        Print one JSON object on stdout, for scripts.
    lang
        Language of what is printed and of the text files: en or zh (Chinese).
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
    elif model_path != _DEMO and (beside := analysis_folder(model_path)) is not None:
        analysis = _write_beside(analysis, beside, text_files)
    if json:
        print(json_module.dumps(analysis_value(analysis), indent=1, ensure_ascii=False))
        refuse_unknown(strict, {model_path: unknown_of(analysis)})
        return
    show_sections([analysis_section(analysis)])
    refuse_unknown(strict, {model_path: unknown_of(analysis)})


def _write_beside(analysis: Analysis, folder: Path, texts: Texts) -> Analysis:
    """Write the files beside the model; nobody asked for them, so a closed folder is no error."""
    try:
        make_folder(folder)
        return write_analysis(analysis, folder, texts)
    except FileError as error:
        logger.warning("the analysis was not kept: %s (--output_dir names another folder)", error)
        return analysis
