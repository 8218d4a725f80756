"""What `select` prints: tables for people, plain values for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from depthprune.base.language import filled, t
from depthprune.base.removal import Removal
from depthprune.importance.score_files import ScoreFile
from depthprune.importance.select import Check, InTheWay, Selection
from depthprune.report.formatting import blocks
from depthprune.report.table import Column, Section, Table, table_of


def selection(
    found: ScoreFile,
    selections: Sequence[Selection],
    checks: Sequence[Check] = (),
) -> Section:
    """Return which blocks go and stay, and what stands in the way."""
    facts = t("Scores: {path} ({field}), {n} {n:block|blocks}; protected: {blocks}")
    protected = selections[0].protected
    text = filled(
        facts,
        path=found.path,
        field=found.field or t("nothing but scores"),
        n=selections[0].num_blocks,
        blocks=_blocks_or_none(protected),
    )
    table = table_of(
        selections,
        [
            (Column(t("active"), "count"), lambda one: one.num_active),
            (Column(t("go"), "blocks"), lambda one: one.removal),
            (Column(t("stay"), "blocks"), lambda one: one.active),
        ],
        notes=_selection_notes(found, selections),
    )
    met = t("As expected, exactly {blocks} go with {n} active.")
    return Section(
        "selection",
        "",
        [text],
        [table, *(_check_table(one) for one in checks if not one.met)],
        [
            filled(met, blocks=_blocks_or_none(one.expected), n=one.selection.num_active)
            for one in checks
            if one.met
        ],
    )


def selection_value(
    found: ScoreFile, selections: Sequence[Selection], checks: Sequence[Check] = ()
) -> dict[str, Any]:
    """Return the same as plain JSON data; `--output_file` keeps it."""
    value: dict[str, Any] = {
        "importance_scores_file": str(found.path),
        "instead_of": None if found.instead_of is None else str(found.instead_of),
        "scores_field": found.field,
        "num_blocks": selections[0].num_blocks,
        "protected_blocks": list(selections[0].protected),
        "block_configs": {
            str(one.num_active): {
                "num_active_blocks": one.num_active,
                "removed_block_indices": list(one.removal),
                "active_block_indices": list(one.active),
                "spared_by_protection": list(one.spared),
                "tied": list(one.tied),
            }
            for one in selections
        },
    }
    if checks:
        value["expected"] = [_check(check) for check in checks]
    return value


def _selection_notes(found: ScoreFile, selections: Sequence[Selection]) -> list[str]:
    notes = []
    if found.instead_of is not None:
        note = t("Note: there is no {asked}; the scores are those of {path}.")
        notes.append(filled(note, asked=found.instead_of, path=found.path))
    spared = max((one.spared for one in selections), key=len)
    if spared:
        note = t(
            "Note: {blocks} would go by score, but stay: protected. "
            "--protect none lets every block go."
        )
        notes.append(filled(note, blocks=blocks(tuple(sorted(spared)))))
    for one in selections:
        if one.tied:
            note = t(
                "Note: with {n} active, a block that goes has the same score as {blocks}; "
                "of equal scores the lower index goes."
            )
            notes.append(filled(note, n=one.num_active, blocks=blocks(one.tied)))
    return notes


def _check_table(check: Check) -> Table:
    text = t("NOT as expected: {expected} should go with {n} active, but {found} go.")
    heading = filled(
        text,
        expected=_blocks_or_none(check.expected),
        n=check.selection.num_active,
        found=_blocks_or_none(check.selection.removal),
    )
    goes = t("goes: {margin} below the highest score of the expected blocks")
    protected = t("stays: protected")
    stays = t("stays: {margin} above the lowest score of the blocks that should stay")
    why = [(one, goes) for one in check.unexpected]
    why += [(one, protected if one.protected else stays) for one in check.staying]
    return table_of(
        why,
        [
            (Column(t("block"), "count"), lambda row: row[0].block),
            (Column(t("score"), "shown"), lambda row: _score(row[0])),
            (Column(t("in the way because")), lambda row: row[1].format(margin=_margin(row[0]))),
        ],
        title=heading,
    )


def _score(one: InTheWay) -> str:
    return "-" if one.score is None else f"{one.score:.6g}"


def _margin(one: InTheWay) -> str:
    return "-" if one.margin is None else f"{one.margin:.6g}"


def _blocks_or_none(removal: Removal) -> str:
    return blocks(removal) if removal else t("none")


def _check(check: Check) -> dict[str, Any]:
    return {
        "num_active_blocks": check.selection.num_active,
        "expected": list(check.expected),
        "met": check.met,
        "goes_unexpectedly": [_in_the_way(one) for one in check.unexpected],
        "stays_unexpectedly": [_in_the_way(one) for one in check.staying],
    }


def _in_the_way(one: InTheWay) -> dict[str, Any]:
    return {
        "block": one.block,
        "score": one.score,
        "margin": one.margin,
        "protected": one.protected,
    }
