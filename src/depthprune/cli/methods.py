"""`depthprune compare-methods`: what pruned models of equal size score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from depthprune.base.language import set_language
from depthprune.benchmark.options import ScoredTasks
from depthprune.cli.flags import AsJson, Language, Model, with_flags
from depthprune.cli.output import show_json, show_sections
from depthprune.engine.options import ModelOptions
from depthprune.report.sections.methods import methods_section, methods_value
from depthprune.widths.methods import MethodOptions
from depthprune.workflow.methods import compare_methods as compare

SOME_FAILED = 1
"""The exit code when a model could not be made; the others are in the file."""


@with_flags
def compare_methods(
    model: Model,
    *,
    output: Annotated[Path, Parameter(name=("--output", "--output-dir"))] = Path("methods"),
    json: AsJson = False,
    lang: Language = "en",
    how: MethodOptions = MethodOptions(),
    scored: ScoredTasks = ScoredTasks(),
    run: ModelOptions = ModelOptions(),
) -> None:
    """Compare pruning methods: models of equal size, scored on the same samples.

    Each method prunes the model to each ratio by samples of --calibration-split; every model is
    scored on another split. Run the same command again to resume, also with further methods and
    ratios. Exit code 1: a model could not be made; the others are kept.

    For example:

        depthprune compare-methods demo --task demo_okvqa --ratios 0.2 --output methods
        depthprune compare-methods MODEL --task okvqa --methods shortgpt wanda --speed --output M

    Parameters
    ----------
    output
        Folder for methods.json and the figure.

    """
    set_language(lang)
    found = compare(model, output, how, scored, run)
    if json:
        show_json(methods_value(found.results, found.failed), found.files)
    else:
        show_sections([methods_section(found.results, found.failed)], found.files)
    if found.failed:
        raise SystemExit(SOME_FAILED)
