"""What a model answers without some blocks, beside the whole model's answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from depthprune.analysis.answers import AnswerPair, PairedAnswers
from depthprune.base.language import t
from depthprune.base.shown import shown
from depthprune.report.formatting import blocks, percent
from depthprune.report.sections.damage import (
    damage_columns,
    damage_value,
    kind_names,
    reading_note,
)
from depthprune.report.sections.sent import accepted
from depthprune.report.table import Column, Section, table_of

LONGEST = 1000
"""Letters of a prompt or answer that are shown; of a longer one both ends."""


def answer_sections(found: PairedAnswers, pairs: Sequence[AnswerPair]) -> list[Section]:
    """Return the scores and the damage in numbers, then a section for each of some samples.

    Args:
        found: all answers.
        pairs: those that are shown.
    """
    return [_summary(found, len(pairs)), *(_sample(one, found) for one in pairs)]


def _summary(found: PairedAnswers, num_shown: int) -> Section:
    changed = [one for one in found.pairs if one.has_changed]
    worse = sum(one.score < one.baseline_score for one in changed)
    better = sum(one.score > one.baseline_score for one in changed)
    sentences = [
        t(
            "Answers that differ from the whole model's: {changed} of {n}. Scored less: {worse}, "
            "more: {better}."
        ).format(changed=len(changed), n=len(found.pairs), worse=worse, better=better)
    ]
    if found.whole is None:
        sentences.append(
            t("The model was asked for likelihoods: it wrote nothing that could be damaged.")
        )
    if all(one.prompt is None for one in found.pairs):
        sentences.append(t("Prompts were not kept: the results are older, or files."))
    if all(one.references is None for one in found.pairs):
        sentences.append(t("Accepted answers were not kept: the results are older, or files."))
    if found.whole is not None and found.whole.cut is None:
        sentences.append(t("Which answers were cut was not kept: the results are older, or files."))
    n = len(found.pairs)
    rows = [
        (t("all blocks"), sum(one.baseline_score for one in found.pairs) / n, found.whole),
        (_without(found), sum(one.score for one in found.pairs) / n, found.without),
    ]
    has_damage = found.whole is not None
    table = table_of(
        rows,
        [
            (Column(t("model")), lambda row: row[0]),
            (Column(t("accuracy %"), "points"), lambda row: row[1]),
            *(damage_columns(lambda row: row[2]) if has_damage else ()),
        ],
        notes=[reading_note()] if has_damage else [],
    )
    title = f"{found.dataset}, {found.split}: {_without(found)}"
    told = t("Shown: {shown} of {n}.").format(shown=num_shown, n=n)
    return Section("answers", title, sentences, [table], [told])


def _without(found: PairedAnswers) -> str:
    return t("without {blocks}").format(blocks=blocks(found.removal))


def _sample(one: AnswerPair, found: PairedAnswers) -> Section:
    sentences = []
    if one.prompt is not None:
        sentences.append(t("Sent: {text}").format(text=_shown(one.prompt)))
    if one.references is not None:
        sentences.append(accepted(one.references))
    line = t("{model} ({score}): {answer}")
    damaged = f"  [{kind_names(one.damage)}]" if one.damage else ""
    for model, score, answer in (
        (t("all blocks"), one.baseline_score, one.baseline_answer),
        (_without(found), one.score, one.answer),
    ):
        sentences.append(line.format(model=model, score=percent(score), answer=_shown(answer)))
    sentences[-1] += damaged
    return Section(one.sample, shown(one.sample), sentences)


def _shown(text: str) -> str:
    return shown(text, LONGEST) or t("(nothing)")


def answers_value(found: PairedAnswers, pairs: Sequence[AnswerPair]) -> dict[str, Any]:
    """Return all of it as plain JSON data."""
    return {
        "dataset": found.dataset,
        "split": found.split,
        "removal": list(found.removal),
        "num_samples": len(found.pairs),
        "num_changed": sum(one.has_changed for one in found.pairs),
        "damage": {
            "baseline": damage_value(found.whole),
            "removal": damage_value(found.without),
        },
        "answers": [asdict(one) for one in pairs],
    }
