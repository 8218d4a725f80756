"""`depthprune answers`: what was asked, and what was answered with and without some blocks."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from depthprune.base.errors import DepthpruneError
from depthprune.base.language import set_language
from depthprune.cli.options import block_set
from depthprune.cli.output import AsJson, Language

if TYPE_CHECKING:
    from depthprune.analysis.answers import AnswerPair


def answers(
    path: Path,
    /,
    *,
    removal: Annotated[tuple[str, ...], Parameter(name=("--removal", "--remove"))],
    task: Annotated[str | None, Parameter(name=("--task", "--dataset", "--dataset-name"))] = None,
    split: str | None = None,
    changed: bool = False,
    number: Annotated[int, Parameter(name=("-n", "--number"))] = 20,
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Show what was asked and answered, with all blocks and without some: why a score fell.

    For each sample the prompt as it was sent, the accepted answers, both answers and their scores;
    above them how many answers differ, and how many are empty, repetitive, cut off, or in another
    script. Nothing is measured.

    For example:

        depthprune answers depthprune-model --removal 4,13 --task okvqa
        depthprune answers depthprune-model --removal 4,13 --task okvqa --changed -n 5
        depthprune answers depthprune-model --removal 7 --json

    Parameters
    ----------
    path
        Folder of a study, or a folder of documented result files.
    removal
        The blocks that were left out, as 4 13 or 4,13.
    task
        The dataset; may be left out where there is one.
    split
        For example validation; the one that most datasets have when not given.
    changed
        Only answers that differ from the whole model's, those that lost most first.
    number
        Samples that are shown; 0 shows all.

    """
    set_language(lang)
    if number < 0:
        raise DepthpruneError(
            f"{number} samples cannot be shown", option="number", mend="give 0 (all) or more"
        )
    blocks = block_set(removal, "removal")
    from depthprune.workflow.studies import open_study, paired_answers

    study = open_study(path)
    if task is None and len(study.datasets) > 1:
        raise DepthpruneError(
            "there are several datasets",
            option="task",
            mend=f"name one: {', '.join(study.datasets)}",
        )
    found = paired_answers(study, blocks, task or study.datasets[0], split)
    pairs = _chosen(found.pairs, changed=changed)[: number or None]
    from depthprune.report.sections.answers import answer_sections, answers_value

    if json:
        print(json_module.dumps(answers_value(found, pairs), indent=1))
        return
    from depthprune.cli.output import show_wrapped
    from depthprune.report.render.text import section_parts

    for section in answer_sections(found, pairs):
        show_wrapped(section_parts(section))


def _chosen(pairs: Sequence[AnswerPair], *, changed: bool) -> list[AnswerPair]:
    """Return the pairs that are wanted, in the order in which they are shown."""
    if not changed:
        return list(pairs)
    differing = (one for one in pairs if one.has_changed)
    return sorted(differing, key=lambda one: one.score - one.baseline_score)
