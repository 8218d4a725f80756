"""Before any block is removed, the whole model's answers to all tasks are looked at."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from depthprune.base.errors import WeakBaselineError
from depthprune.base.removal import Removal
from depthprune.engine.evaluator import Evaluation
from depthprune.engine.session import Session, SplitGroup
from depthprune.strategies import RaceOptions
from depthprune.strategies.baselines import WeakTask, find_weak_tasks, judge, measure_baselines
from depthprune.strategies.runner import group_splits
from depthprune.study import StudyStore
from depthprune.tasks.task import Sample, Task, TaskSplit
from tests.strategies.fakes import SETTINGS, NoSource, open_study


class Bounded:
    """A scorer that nobody asks, of a metric whose bounds are known."""

    name = "vqa_accuracy"

    def score(self, sample: Sample, answer: str) -> float:
        raise NotImplementedError

    def score_many(self, samples: Sequence[Sample], answers: Sequence[str]) -> list[float]:
        raise NotImplementedError


def make_split(task: str, num_samples: int, split: str = "validation") -> TaskSplit:
    samples = tuple(
        Sample(f"{task}-{n}", f"{task} {n} ?", references=(f"right {n}",))
        for n in range(num_samples)
    )
    made = Task(task, "VQA", NoSource(), metric="vqa_accuracy")
    return TaskSplit(made, split, samples, Bounded(), f"{task} {split}")


@dataclass
class Answering:
    """Answers every sample of a task alike, `None` with its number, and notes what was asked."""

    answers: dict[str, str | None]
    settings: str = SETTINGS
    removals_per_call: int = 4
    asked: list[tuple[str, tuple[Removal, ...]]] = field(default_factory=list)

    def evaluate(
        self, split: TaskSplit, removals: Sequence[Removal], samples: slice = slice(None)
    ) -> Evaluation:
        self.asked.append((split.task.name, tuple(removals)))
        chosen = split.samples[samples]
        answer = self.answers[split.task.name]
        given = tuple(sample.id if answer is None else answer for sample in chosen)
        scores = np.full((len(removals), len(chosen)), float(answer is None), dtype=np.float32)
        ids = tuple(sample.id for sample in chosen)
        return Evaluation(tuple(removals), ids, scores, (given,) * len(removals))


def sent(task: Task, sample: Sample) -> str:
    return f"<user>\n{sample.question}"


SPLITS = [make_split("good", 24), make_split("mute", 24), make_split("stuck", 30, "train")]
EVALUATOR = {"good": None, "mute": "", "stuck": "\x1b[31mred\x1b[0m"}


def found(folder: Path, splits: Sequence[TaskSplit] = SPLITS) -> list[WeakTask]:
    evaluator = Answering(EVALUATOR)
    with open_study(folder) as study:
        groups = group_splits(splits, joint=False, task_weights={})
        measure_baselines(Session(study, evaluator), groups, None, 0)
        return find_weak_tasks(Session(study, evaluator), splits, sent)


def test_every_split_is_measured_and_nothing_is_removed(tmp_path: Path) -> None:
    evaluator = Answering(EVALUATOR)
    groups = [SplitGroup(tuple(SPLITS[:2])), SplitGroup((SPLITS[2],))]
    with open_study(tmp_path) as study:
        report = measure_baselines(Session(study, evaluator), groups, None, 0)
        assert report.measured == 3
        assert evaluator.asked == [("good", ((),)), ("mute", ((),)), ("stuck", ((),))]
        again = measure_baselines(Session(study, evaluator), groups, None, 0)
        assert again.measured == 0
        assert len(evaluator.asked) == 3


def test_where_removals_race_the_baseline_is_measured_in_the_order_of_the_race(
    tmp_path: Path,
) -> None:
    evaluator = Answering(EVALUATOR)
    with open_study(tmp_path) as study:
        groups, race = [SplitGroup((SPLITS[0],))], RaceOptions(chunk=10)
        measure_baselines(Session(study, evaluator), groups, race, 0)
        (measured,) = study.measurements()
        assert measured.removal == ()
        assert measured.answers == tuple(sample.id for sample in SPLITS[0].samples)
        assert len(evaluator.asked) == 3


def test_all_weak_tasks_are_found_with_their_splits(tmp_path: Path) -> None:
    weak = found(tmp_path)
    assert [(one.task, one.split, one.weakness.reason) for one in weak] == [
        ("mute", "validation", "empty"),
        ("stuck", "train", "one answer"),
    ]
    assert [len(one.examples) for one in weak] == [3, 3]


def test_they_are_told_together_with_prompts_answers_and_references(tmp_path: Path) -> None:
    with pytest.raises(WeakBaselineError) as stopped:
        judge(found(tmp_path), {"good", "mute", "stuck"}, tmp_path, allow=False)
    text = str(stopped.value)
    assert "no basis for drops on 2 of 3 tasks" in text
    assert "mute, validation: 100.0% of the 24 answers are empty" in text
    assert "stuck, train" in text
    assert text.count("prompt:    <user>\\nstuck") == 3
    assert "(empty)" in text
    assert "reference: right 2" in text
    assert "allow_weak_baseline" in text
    assert "\x1b" not in text
    assert "\\x1b[31mred" in text


def test_what_is_allowed_is_told_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="depthprune"):
        judge(found(tmp_path), {"good", "mute", "stuck"}, tmp_path, allow=True)
    assert "going on" in caplog.text
    assert "reference: right 2" in caplog.text
    assert "\x1b" not in caplog.text


def test_few_samples_are_a_warning_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    few = [make_split("mute", 19)]
    with caplog.at_level(logging.WARNING, logger="depthprune"):
        judge(found(tmp_path, few), {"mute"}, tmp_path, allow=False)
    assert "mute, validation: 100.0% of the 19 answers are empty" in caplog.text


def test_nothing_weak_is_nothing_to_tell(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="depthprune"):
        judge(found(tmp_path, SPLITS[:1]), {"good"}, tmp_path, allow=False)
    assert caplog.text == ""


def test_a_stored_baseline_is_judged_without_an_evaluator(tmp_path: Path) -> None:
    found(tmp_path)
    with StudyStore.open(tmp_path) as study:
        assert len(find_weak_tasks(Session(study, Answering(EVALUATOR)), SPLITS, sent)) == 2
