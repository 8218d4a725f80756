"""`depthprune prune`: write the checkpoint with narrower blocks."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from depthprune.base.language import set_language, t
from depthprune.cli.cut import INTERRUPTED, NOT_VERIFIED
from depthprune.cli.flags import AsJson, Language, Model, with_flags, words_of
from depthprune.cli.output import show, show_json
from depthprune.engine.options import ModelOptions
from depthprune.report.render.text import section_parts
from depthprune.report.sections.cut import (
    closing_parts,
    closing_value,
    plan_section,
    plan_value,
)
from depthprune.tasks.options import DataOptions
from depthprune.widths import PruneOptions
from depthprune.workflow.pruning import carry_out


@with_flags
def prune(
    model: Model,
    *,
    output: Annotated[Path | None, Parameter(name=("--output", "--output-dir"))] = None,
    how: Annotated[PruneOptions, Parameter(name="*")] = PruneOptions(),
    json: AsJson = False,
    lang: Language = "en",
    run: ModelOptions = ModelOptions(),
    data: DataOptions = DataOptions(),
) -> None:
    """Write a checkpoint with narrower blocks: attention heads and MLP channels go, blocks stay.

    All methods but magnitude read samples of --task; 128 are usual. The output folder is either
    complete or absent, even after a kill. Exit code 1: --verify found a difference.

    For example:

        depthprune prune demo --ratio 0.2 --num-samples 16 --output narrower
        depthprune prune MODEL --method magnitude --ratio 0.2 --output DIR
        depthprune prune MODEL --method taylor --task okvqa --num-samples 128 --output DIR
        depthprune prune MODEL --method wanda --task okvqa --widths global --output DIR
        depthprune prune MODEL --method hgsp --study S --task okvqa --widths global --output DIR
        depthprune prune MODEL --method magnitude --keep-kv-heads 6 --multiple-of 128 --dry-run

    Parameters
    ----------
    output
        Output folder; not needed with --dry-run.

    """
    set_language(lang)
    again = replace(how, dry_run=False, overwrite=False, verify=False)
    words = ["depthprune", "prune", model, *words_of(again, run, data)]
    command = shlex.join([*words, "--output", "DIR" if output is None else output.name])
    try:
        report = carry_out(model, output, how, run, data, download=data.download, command=command)
    except KeyboardInterrupt:
        if output is None:
            raise
        told = t("interrupted; {path} was not written, and nothing is left of it")
        print(f"\n{told.format(path=output)}", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    plan, verified = report.plan, report.verification
    if json:
        show_json(plan_value(plan) | closing_value(output, report.result, verified))
    else:
        parts: list[Any] = section_parts(plan_section(plan))
        show([*parts, *closing_parts(report.result, verified, pruned=plan.pruned is not None)])
    if verified is not None and not verified.agrees:
        raise SystemExit(NOT_VERIFIED)
