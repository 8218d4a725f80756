"""The whole model's answers are looked at before any block is removed: all tasks at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from depthprune.base.errors import WeakBaselineError, option
from depthprune.base.language import counted
from depthprune.base.log import logger
from depthprune.base.terminal import shown
from depthprune.engine.session import Session, SplitGroup
from depthprune.strategies.kinds.beam import RaceOptions
from depthprune.strategies.racing import raced_splits
from depthprune.strategies.runner import RunReport
from depthprune.tasks.task import Sample, Task, TaskSplit
from depthprune.tasks.weak import FEW, WeakBaseline, baseline_of, find_weakness

EXAMPLES = 3
"""Samples of a weak task that are shown."""

LONGEST = 400
"""Characters of a prompt, an answer or a reference that are shown."""

Sent = Callable[[Task, Sample], str]
"""Returns the prompt of a sample as the model reads it."""


@dataclass(frozen=True)
class Example:
    """A sample of a weak task: what the model was sent, what it answered, what is right."""

    prompt: str
    answer: str
    references: tuple[str, ...]


@dataclass(frozen=True)
class WeakTask(WeakBaseline):
    """A task on which the drops of the model would say nothing, with its first samples."""

    examples: tuple[Example, ...]


def measure_baselines(
    session: Session, groups: Sequence[SplitGroup], race: RaceOptions | None, seed: int
) -> RunReport:
    """Measure the whole model on all splits that the study lacks it on."""
    started = perf_counter()
    measured = 0
    for group in groups:
        lacking = (split for split in group.splits if session.missing(split, [()]))
        session.bar.grow(sum(len(split.samples) for split in lacking))
        # What an evaluator learns about samples here, it knows again when removals race over them.
        raced = raced_splits(session, group, race.chunk, seed) if race else []
        measured += session.measure(group, [()], [split.visit for split in raced])
    return RunReport(measured, 0, perf_counter() - started)


def find_weak_tasks(session: Session, splits: Sequence[TaskSplit], sent: Sent) -> list[WeakTask]:
    """Return the tasks whose stored baseline is no basis for drops, in the order of the splits."""
    found = []
    for split in splits:
        stored = session.measurement(split, ())
        if stored is None or stored.scores is None or stored.answers is None:
            continue
        weakness = find_weakness(baseline_of(split, stored.scores, stored.answers))
        if weakness is not None:
            examples = tuple(
                Example(sent(split.task, sample), answer, sample.references)
                for sample, answer in zip(split.samples[:EXAMPLES], stored.answers, strict=False)
            )
            found.append(WeakTask(split.task.name, split.split, weakness, examples))
    return found


def judge(weak: Sequence[WeakTask], tasks: Collection[str], folder: Path, *, allow: bool) -> None:
    """Stop for what is certainly weak, unless that is allowed; warn of everything else.

    Args:
        weak: what was found.
        tasks: all that were looked at.
        folder: of the study.
        allow: whether to go on.

    Raises:
        WeakBaselineError: lists all weak tasks, each with prompts, answers and references.
    """
    certain = [one for one in weak if one.weakness.is_certain]
    if not certain:
        for one in weak:
            logger.warning(
                "%s, %s: %s; with %d samples or more this would be a reason to stop",
                *(one.task, one.split, one.weakness, FEW),
            )
        return
    what = "the whole model's answers are no basis for drops"
    if len(tasks) > 1:
        what += f" on {len({one.task for one in certain})} of {counted(len(tasks), 'task')}"
    lines = [line for one in weak for line in _lines(one)]
    if allow:
        logger.warning("%s; going on, as was asked for\n%s", what, "\n".join(lines))
        return
    raise WeakBaselineError(
        "\n".join([f"{what}; nothing was removed", *lines]),
        where=str(folder),
        mend="compare prompts and answers: chat template, task (prompt, metric, data), model and "
        f"{option('dtype')}; or leave these tasks out; {option('allow_weak_baseline')} (in a study "
        "file `allow_weak_baseline: true`) goes on",
    )


def _lines(weak: WeakTask) -> list[str]:
    lines = [f"  {weak.task}, {weak.split}: {weak.weakness}"]
    for one in weak.examples:
        references = " | ".join(dict.fromkeys(one.references))
        lines += [
            f"    prompt:    {shown(one.prompt, LONGEST)}",
            f"    answer:    {shown(one.answer, LONGEST) or '(empty)'}",
            f"    reference: {shown(references, LONGEST)}",
        ]
    return lines
