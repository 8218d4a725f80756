"""`depthprune status`, `answers` and `study`: look into a study while or after it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from depthprune.base.errors import DepthpruneError
from depthprune.base.language import set_language, t
from depthprune.cli.flags import AsJson, Language, block_set
from depthprune.cli.output import show, show_json, show_wrapped

if TYPE_CHECKING:
    from depthprune.analysis.answers import AnswerPair
    from depthprune.study.integrity import DamagedRow


DAMAGED = 1


def check(folder: Path, *, json: AsJson = False, lang: Language = "en") -> None:
    """List everything in a study that is damaged, without changing anything.

    The exit code is 0 where all is intact, and 1 where something is damaged.

    For example:

        depthprune study check my-study

    Parameters
    ----------
    folder
        Folder of the study.

    """
    from depthprune.study.integrity import check_study

    set_language(lang)
    found = check_study(folder)
    mend = t("`depthprune study repair` drops it; run again, and it is measured anew.")
    _tell(found, t("damaged: {what}"), mend, json)
    if found:
        raise SystemExit(DAMAGED)


def repair(folder: Path, *, json: AsJson = False, lang: Language = "en") -> None:
    """Delete everything in a study that is damaged, so that the next run measures it again.

    What is intact stays as it is. A study whose file itself is damaged cannot be mended so.

    For example:

        depthprune study repair my-study

    Parameters
    ----------
    folder
        Folder of the study.

    """
    from depthprune.study.integrity import repair_study

    set_language(lang)
    mend = t("Run the same command again: what was dropped is measured anew.")
    _tell(repair_study(folder), t("dropped: {what}"), mend, json)


def _tell(found: Sequence[DamagedRow], line: str, mend: str, as_json: bool) -> None:
    if as_json:
        show_json({"damaged": [asdict(one) for one in found]})
        return
    show(line.format(what=one.what) for one in found)
    show([mend if found else t("Everything is what was stored.")])


def status(study: Path, *, json: AsJson = False, lang: Language = "en") -> None:
    """Show the progress of a running study, the time left, and whether it is still working.

    Reads the study while another process writes it, and changes nothing.

    For example:

        depthprune status my-study
        depthprune status my-study --json

    Parameters
    ----------
    study
        Folder of the study.

    """
    from depthprune.report.render.text import section_parts
    from depthprune.report.sections.status import status_section, status_value
    from depthprune.study.status import read_status

    set_language(lang)
    found = read_status(study)
    if json:
        show_json(status_value(found))
        return
    show(section_parts(status_section(found))[1:])


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
    """Compare the answers with all blocks and without some, to see why a score fell.

    Prints the prompt, the accepted answers, both answers and their scores for each sample. A
    summary above them counts the answers that differ, and those that are empty, repetitive, cut
    off, or in another script. Nothing is measured.

    For example:

        depthprune answers depthprune-model --removal 4,13 --task okvqa
        depthprune answers depthprune-model --removal 4,13 --task okvqa --changed -n 5
        depthprune answers depthprune-model --removal 7 --json

    Parameters
    ----------
    path
        Study folder, or folder of documented result files.
    removal
        Removed blocks, e.g. 4 13 or 4,13.
    task
        Dataset; optional if there is only one.
    split
        Split of the dataset, e.g. validation (default: the split that most datasets have).
    changed
        Show only answers that differ from the unpruned model's, with the largest losses first.
    number
        Number of samples to show; 0 shows all.

    """
    set_language(lang)
    if number < 0:
        raise DepthpruneError(
            f"the number of samples must be 0 (all) or more, not {number}", option="number"
        )
    blocks = block_set(removal)
    from depthprune.report.render.text import section_parts
    from depthprune.report.sections.answers import answer_sections, answers_value
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
    if json:
        show_json(answers_value(found, pairs))
        return
    for section in answer_sections(found, pairs):
        show_wrapped(section_parts(section))


def _chosen(pairs: Sequence[AnswerPair], *, changed: bool) -> list[AnswerPair]:
    """Return the pairs that are wanted, in the order in which they are shown."""
    if not changed:
        return list(pairs)
    differing = (one for one in pairs if one.has_changed)
    return sorted(differing, key=lambda one: one.score - one.baseline_score)
