"""Tasks: which there are, and what a model is sent for some samples of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from depthprune.base.language import t
from depthprune.base.terminal import shown
from depthprune.report.table import Column, Section, Table, table_of
from depthprune.tasks.task import Task

if TYPE_CHECKING:
    from depthprune.engine.sent import Sent


def task_table(tasks: Sequence[Task]) -> Table:
    """Return the tasks with type, metric and place of the data."""
    off = t("{task} (off)")
    return table_of(
        tasks,
        [
            (Column(t("task")), lambda one: one.name if one.enabled else off.format(task=one.name)),
            (Column(t("task type")), lambda one: one.task_type),
            (Column(t("metric")), lambda one: one.metric),
            (
                Column(t("data")),
                lambda one: one.source.describe().replace("Hugging Face hub, ", "hub: "),
            ),
        ],
    )


def sent_sections(
    task: Task, split: str, found: Sequence[Sent], model: str | None
) -> list[Section]:
    """Return what is sent for each sample, below what is the same for all.

    Args:
        task: Task that is asked.
        split: Split of the samples.
        found: Texts and pictures that are sent.
        model: Name of the model; None shows what comes before its chat template.
    """
    head = f"{task.name} ({task.task_type}), {split}"
    lines = [
        t("Sent to {model}.", model=model)
        if model
        else t(
            "Before the model's chat template; --model shows the text as it is sent, with its "
            "tokens."
        ),
        answer_line(task, found),
        t("Metric: {metric}.", metric=task.metric),
    ]
    return [Section("task", head, lines), *(_sample(one, has_model=bool(model)) for one in found)]


def answer_line(task: Task, found: Sequence[Sent]) -> str:
    """Return how a task is answered, and how long answers may be."""
    if task.answer == "generate":
        limits = {task.max_new_tokens}
    else:
        limits = {
            request.max_new_tokens
            for one in found
            for request in one.sample.requests
            if request.kind == "generate"
        }
    if limits:
        longest = t("The answer is written; tokens at most: {tokens}.")
        return longest.format(tokens=" / ".join(map(str, sorted(limits))))
    return {
        "choose": t("The likeliest option is the answer: nothing is written."),
        "read": t("The text is read, and its likelihood scored: nothing is written."),
    }.get(task.answer, t("Likelihoods are compared: nothing is written."))


def _sample(one: Sent, *, has_model: bool) -> Section:
    sentences = [*_pictures(one), *([_tokens(one)] if has_model else [])]
    sample = one.sample
    if sample.choices:
        named = ", ".join(shown(choice) for choice in sample.choices)
        sentences.append(t("Options: {options}", options=named))
    sentences.append(accepted(sample.references))
    tables = [_lines(text) for text in one.texts]
    return Section(sample.id, shown(sample.id), sentences, tables)


def accepted(references: Sequence[str]) -> str:
    """Return a line with the accepted answers, equal ones counted."""
    counts = Counter(references)
    named = [shown(text) + (f" (×{n})" if n > 1 else "") for text, n in counts.most_common()]
    return t("Accepted: {answers}", answers="; ".join(named) or "-")


def _tokens(one: Sent) -> str:
    total = " + ".join(map(str, one.tokens))
    if not one.picture_tokens:
        return t("Tokens: {tokens}", tokens=total)
    of_pictures = t("Tokens: {tokens}, of which {pictures} stand for pictures")
    return of_pictures.format(tokens=total, pictures=one.picture_tokens)


def _pictures(one: Sent) -> Iterator[str]:
    line = t("Picture {number}: {given} pixels")
    for number, picture in enumerate(one.pictures, start=1):
        given = line.format(number=number, given=_size(picture.given))
        yield given if picture.sent is None else f"{given}, {_as_sent(picture.sent, picture.tiles)}"


def _as_sent(size: tuple[int, int], tiles: int) -> str:
    if tiles == 1:
        return t("sent as {size}", size=_size(size))
    return t("sent as {n} pieces of {size}", n=tiles, size=_size(size))


def _size(size: tuple[int, int]) -> str:
    return "{}x{}".format(*size)


def _lines(text: str) -> Table:
    """Return a text with its lines numbered: a long one that is wrapped is still one line."""
    rows = [[number, shown(line)] for number, line in enumerate(text.split("\n"), start=1)]
    return Table([Column(t("line"), "count"), Column(t("text as sent"))], rows)


def sent_value(
    task: Task, split: str, fingerprint: str, found: Sequence[Sent], model: str | None
) -> dict[str, Any]:
    """Return what is sent as plain JSON data."""
    return {
        "task": task.name,
        "split": split,
        "fingerprint": fingerprint,
        "model": model,
        "answer": task.answer,
        "max_new_tokens": task.max_new_tokens if task.answer == "generate" else None,
        "metric": task.metric,
        "samples": [_value(one, has_model=model is not None) for one in found],
    }


def _value(one: Sent, *, has_model: bool) -> dict[str, Any]:
    return {
        "sample": one.sample.id,
        "texts": list(one.texts),
        "tokens": list(one.tokens) if has_model else None,
        "picture_tokens": one.picture_tokens if has_model else None,
        "pictures": [
            {
                "given": list(picture.given),
                "sent": None if picture.sent is None else list(picture.sent),
                "tiles": picture.tiles,
            }
            for picture in one.pictures
        ],
        "choices": list(one.sample.choices),
        "references": list(one.sample.references),
        "max_new_tokens": [
            request.max_new_tokens for request in one.sample.requests if request.max_new_tokens
        ],
    }
