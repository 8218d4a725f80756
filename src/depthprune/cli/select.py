"""`depthprune select`: which blocks stay and which go, by importance scores."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from depthprune.base.errors import DepthpruneError
from depthprune.base.files import write_json
from depthprune.base.language import set_language, t
from depthprune.base.log import logger
from depthprune.base.removal import Removal, check_removal
from depthprune.cli.options import Language, block_set
from depthprune.cli.scores import AsJson, show
from depthprune.importance.score_files import check_output, count_blocks, find_scores
from depthprune.importance.select import Selection, check_expected, make_selection
from depthprune.report.render.text import section_parts
from depthprune.report.sections.selection import selection, selection_value

NOT_AS_EXPECTED = 1
"""Exit code when `--expect` is not met; 2 is a mistake in what was asked."""


def select(
    *,
    importance_scores_file: tuple[Path, ...],
    num_active_blocks: tuple[int, ...] = (),
    protect: Annotated[tuple[str, ...], Parameter(show_default=False)] = (),
    expect: tuple[str, ...] = (),
    num_blocks: int | None = None,
    output_file: Path | None = None,
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Say which blocks stay and which go: the lowest scores go first.

    Reads what `merge`, `profile`, `compare` and `scores from-removals` write, and any JSON file of
    {"0": score, ...}. Exit code 1: --expect is not met.

    For example:

        depthprune select --importance_scores_file merged.json --num_active_blocks 12 14 16
        depthprune select --importance_scores_file merged.json --num_active_blocks 14 --expect 4,13
        depthprune select --importance_scores_file merged.json --num_active_blocks 12 --protect none

    Parameters
    ----------
    importance_scores_file
        The scores; of several files the first that exists. When there is none, the single-dataset
        scores beside it are taken, and a note says so.
    num_active_blocks
        How many blocks stay; may be left out with --expect.
    protect
        Blocks that stay whatever their score, as 0 15; none: no block. The first and the last when
        not given.
    expect
        Blocks that should go, as 4,13; otherwise the scores in the way are shown.
    num_blocks
        Of the model, where the score file does not tell it.
    output_file
        Keep the selection as JSON: block_configs, by number of active blocks.

    """
    set_language(lang)
    if output_file is not None:
        check_output(output_file)
    found = find_scores(importance_scores_file)
    total = count_blocks(found, num_blocks)
    protected = block_set(protect, "protect") if protect else None
    expected = check_removal(block_set(expect, "expect"), total) if expect else None
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
        print(json_module.dumps(value, indent=1))
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
            "it is not said how many blocks stay",
            option="num_active_blocks",
            mend="give one or more numbers, as --num_active_blocks 12 14 16",
        )
    return [total - len(expected)]


def _matching(selections: list[Selection], expected: Removal) -> Selection:
    """Return the selection by which as many blocks go as are expected to, or the last."""
    same = [one for one in selections if len(one.removal) == len(expected)]
    return same[0] if same else selections[-1]
