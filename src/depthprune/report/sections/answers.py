"""What a model answers without some blocks, and how its answers are damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from depthprune.analysis.answers import AnswerPair, PairedAnswers, read_damage
from depthprune.analysis.findings import Analysis
from depthprune.analysis.result_set import ResultSet
from depthprune.analysis.verified import choose
from depthprune.base.language import filled, t
from depthprune.base.removal import Removal, format_removal
from depthprune.base.terminal import shown
from depthprune.report.formatting import blocks, percent
from depthprune.report.sections.tasks import accepted
from depthprune.report.table import Column, Section, Table, table_of
from depthprune.tasks.damage import Damage, Kind, breaks, pooled

DamageFound = Mapping[str, Mapping[Removal, Damage]]

ENDS = 10
"""Removals that are shown for their damage."""

HARMLESS = 0.05
"""A drop of choices up to this says that they are kept."""


def damage(analysis: Analysis) -> Section:
    """Return how the written answers are damaged: of the whole model, of what may go, at worst."""
    name, title = "damage", t("Damaged answers")
    known = _by_removal(analysis)
    if not known:
        nothing = t(
            "No written answers are known: tasks that are answered by likelihood have none, and "
            "result files need not list them."
        )
        return Section(name, title, [nothing])
    worst = sorted(known, key=lambda removal: (-_any(known[removal]), len(removal), removal))
    whole = pooled(list(known[()].values()))
    sentences = [
        t(
            "Of the whole model's {n:,} written {n:answer|answers}, {share} % are empty, "
            "repetitive, cut off or in another script than usual.",
            n=whole.num_answers,
            share=percent(whole.any, 0),
        )
    ]
    datasets = [one.dataset for one in analysis.results.datasets]
    sentences += silent_lines(one for one in datasets if one not in analysis.damage)
    best = best_removals(analysis)
    sentences += [line for removal in best for line in warning(analysis, removal)]
    more = [one for one in worst if _any(known[one]) > whole.any]
    tables = [_table(analysis, known, [(), *best], t("What may be removed:"))]
    if more:
        tables.append(_table(analysis, known, more[:ENDS], t("Most damaged:")))
    return Section(name, title, sentences, tables, [reading_note()])


def silent_lines(datasets: Iterable[str]) -> list[str]:
    """Return a sentence for datasets of which no written answer is known; nothing without one."""
    text = t(
        "No written answers are known of {datasets}: tasks that are answered by likelihood have "
        "none."
    )
    names = ", ".join(dict.fromkeys(datasets))
    return [filled(text, datasets=names)] if names else []


def best_removals(analysis: Analysis) -> list[Removal]:
    """Return the removals that may be carried out: recommended, and the best of each number."""
    found = analysis.recommendations
    choice = choose(found)
    named = [choice.combination] if choice else []
    named += [one for strategy in found.strategies for one in strategy.combinations]
    named += [one for ranking in found.independent.values() for one in ranking.combinations[:1]]
    return list(dict.fromkeys(one.removal for one in named))


def warning(analysis: Analysis, removal: Removal) -> list[str]:
    """Return a sentence for a removal that breaks what the model writes; nothing for any other."""
    return _warning(analysis.results, analysis.damage, removal)


def recommended_warning(analysis: Analysis) -> list[str]:
    """Return `warning` of the removal that is recommended; no other's answers are read."""
    choice = choose(analysis.recommendations)
    if choice is None:
        return []
    removal = choice.combination.removal
    return _warning(analysis.results, read_damage(analysis.results, {removal}), removal)


def _warning(results: ResultSet, damage: DamageFound, removal: Removal) -> list[str]:
    broken = [
        (dataset, found[()], found[removal])
        for dataset, found in damage.items()
        if removal in found and breaks(found[()], found[removal])
    ]
    if not broken:
        return []
    dataset, before, after = max(broken, key=lambda one: one[2].any - one[1].any)
    text = t(
        "Warning: without {blocks}, {share} % of the {n} {n:answer|answers} to {dataset} are "
        "empty, repetitive, cut off or in another script; of the whole model's, {before} %.",
        blocks=blocks(removal),
        share=percent(after.any, 0),
        before=percent(before.any, 0),
        n=after.num_answers,
        dataset=dataset,
    )
    kept = [
        one.dataset
        for one in results.datasets
        if one.metric.startswith("choice_")
        and removal in one.measurements
        and one.drop(removal) <= HARMLESS
    ]
    if not kept:
        return [text]
    return [text + " " + t("Choices are kept ({datasets}).", datasets=", ".join(kept))]


def _by_removal(analysis: Analysis) -> dict[Removal, dict[str, Damage]]:
    found: dict[Removal, dict[str, Damage]] = {}
    for dataset, removals in analysis.damage.items():
        for removal, one in removals.items():
            found.setdefault(removal, {})[dataset] = one
    return found


def _any(found: Mapping[str, Damage]) -> float:
    return pooled(list(found.values())).any


def _table(
    analysis: Analysis,
    known: Mapping[Removal, Mapping[str, Damage]],
    removals: Sequence[Removal],
    title: str,
) -> Table:
    def mean_drop(removal: Removal) -> float | None:
        measured = [one for one in analysis.results.datasets if removal in one.measurements]
        drops = [one.drop(removal) for one in measured]
        return sum(drops) / len(drops) if drops else None

    def most_on(removal: Removal) -> str | None:
        dataset, one = max(known[removal].items(), key=lambda item: (item[1].any, item[0]))
        return f"{dataset} {percent(one.any, 0)}" if one.any else None

    return table_of(
        [removal for removal in removals if removal in known],
        [
            (Column(t("removed")), lambda one: blocks(one) if one else t("none")),
            (Column(t("drop (points)"), "points"), mean_drop),
            *damage_columns(lambda one: pooled(list(known[one].values()))),
            (Column(t("most on")), most_on),
        ],
        title=title,
    )


def damage_by_dataset(analysis: Analysis, removal: Removal) -> dict[str, Any]:
    """Return the damage to the answers of a removal on each dataset, as plain JSON data."""
    return {
        dataset: damage_value(found[removal])
        for dataset, found in analysis.damage.items()
        if removal in found
    }


def damages_value(analysis: Analysis) -> dict[str, Any]:
    """Return the damage to the whole model's answers and to those of what may be removed."""
    removals = ((), *best_removals(analysis))
    found = {format_removal(one): damage_by_dataset(analysis, one) for one in removals}
    return {removal: damaged for removal, damaged in found.items() if damaged}


def damage_columns(of: Callable[[Any], Damage | None]) -> list[tuple[Column, Callable[[Any], Any]]]:
    """Return the columns with the shares of damaged answers, given how to get at the damage."""

    def share(name: str) -> Callable[[Any], Any]:
        return lambda item: getattr(of(item), name, None)

    return [
        (Column(t("empty %"), "share"), share("empty")),
        (Column(t("repetitive %"), "share"), share("repetitive")),
        (Column(t("cut off %"), "share"), share("cut")),
        (Column(t("script %"), "share"), share("script")),
        (Column(t("any %"), "share"), share("any")),
    ]


def reading_note() -> str:
    """Return how to read these columns."""
    return t(
        "Share of the answers that are empty; repetitive: up to four words in turn fill half of "
        "it; cut off: ended by the limit of its length; script: in another script than the whole "
        "model's answer. One answer may be damaged in several ways."
    )


def kind_names(kinds: Iterable[Kind]) -> str:
    """Return how an answer is damaged, in words."""
    words: Mapping[Kind, str] = {
        "empty": t("empty"),
        "repetitive": t("repetitive"),
        "cut": t("cut off"),
        "script": t("other script"),
    }
    return ", ".join(words[kind] for kind in kinds)


def damage_value(found: Damage | None) -> dict[str, Any] | None:
    """Return the shares as plain JSON data; null where there are no written answers."""
    return None if found is None else vars(found)


LONGEST = 1000
"""Letters of a prompt or answer that are shown; of a longer one both ends."""


def answer_sections(found: PairedAnswers, pairs: Sequence[AnswerPair]) -> list[Section]:
    """Return the scores and the damage in numbers, then a section for each of some samples.

    Args:
        found: All answers.
        pairs: Answers that are shown.
    """
    return [_summary(found, len(pairs)), *(_sample(one, found) for one in pairs)]


def _summary(found: PairedAnswers, num_shown: int) -> Section:
    changed = [one for one in found.pairs if one.has_changed]
    worse = sum(one.score < one.baseline_score for one in changed)
    better = sum(one.score > one.baseline_score for one in changed)
    sentences = [
        t(
            "Answers that differ from the whole model's: {changed} of {n}. Scored less: {worse}, "
            "more: {better}.",
            changed=len(changed),
            n=len(found.pairs),
            worse=worse,
            better=better,
        )
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
    note = t("Shown: {shown} of {n}.", shown=num_shown, n=n)
    return Section("answers", title, sentences, [table], [note])


def _without(found: PairedAnswers) -> str:
    return t("without {blocks}", blocks=blocks(found.removal))


def _sample(one: AnswerPair, found: PairedAnswers) -> Section:
    sentences = []
    if one.prompt is not None:
        sentences.append(t("Sent: {text}", text=_shown(one.prompt)))
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
