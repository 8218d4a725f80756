"""Specification of the sweep: measured once, kept task by task, one failure stops no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from depthprune.base.errors import DepthpruneError, InadmissibleRemovalError, TaskError
from depthprune.benchmark import sweep as module
from depthprune.benchmark.latency import Latency, LatencyOptions
from depthprune.benchmark.sweep import (
    PRESETS,
    SweepMeasurement,
    SweepRequest,
    load_sweep_splits,
    memory_limit,
    run_sweep,
)
from depthprune.blocks.stack import find_stack
from depthprune.engine import ReferenceEvaluator
from depthprune.engine.session import Session, SplitGroup
from depthprune.strategies.configurations import Configuration
from depthprune.strategies.model import ModelSource, OpenModel
from depthprune.study import StudyStore
from depthprune.tasks.task import Sample, Task, TaskSplit
from depthprune.testing.tiny_models import (
    Exactly,
    lfm2,
    llama,
    loaded,
    split_of,
    text_samples,
    word_tokenizer,
)

CONFIGURATIONS = (Configuration(2, (1, 2)), Configuration(3, (1,)), Configuration(4, ()))
FEW = LatencyOptions(latency_samples=2, warmup=0, latency_tokens=3)


@pytest.fixture(scope="module")
def model() -> OpenModel:
    whole = llama()
    return OpenModel(
        ModelSource(source="tiny"), loaded(whole, word_tokenizer()), find_stack(whole, "text")
    )


def splits() -> list[TaskSplit]:
    first = split_of(text_samples()[:4])
    second = replace(first, task=replace(first.task, name="other"), fingerprint="other")
    return [first, second]


def request(folder: Path, **more: Any) -> SweepRequest:
    given: dict[str, Any] = {"latency": FEW} | more
    return SweepRequest(ModelSource(source="tiny"), (), "validation", folder, **given)


class Kept:
    """Takes what a sweep finds, and knows its latencies afterwards."""

    def __init__(self) -> None:
        self.all: list[SweepMeasurement] = []

    def add(self, measured: Sequence[SweepMeasurement]) -> None:
        self.all += measured

    def known(self, task: str, num_active: int) -> Latency | None:
        for one in self.all:
            if (one.split.task, one.configuration.num_active) == (task, num_active):
                return one.latency
        return None


def test_accuracies_are_those_of_the_evaluator(model: OpenModel, tmp_path: Path) -> None:
    kept = Kept()
    (split, _) = splits()
    run_sweep(request(tmp_path), model, [split], CONFIGURATIONS, on_task=kept.add)
    twin = ReferenceEvaluator(model.loaded).evaluate(split, [(1, 2), (1,), ()])
    for one, scores, answers in zip(kept.all, twin.scores, twin.answers, strict=True):
        assert one.measurement.scores is not None
        assert np.array_equal(one.measurement.scores, scores)
        assert one.measurement.answers == answers
        assert one.baseline.accuracy == pytest.approx(float(twin.scores[2].mean()))
        assert one.latency.removal == one.configuration.removal


def test_a_second_run_measures_nothing_anew(model: OpenModel, tmp_path: Path) -> None:
    kept, again = Kept(), Kept()
    first = run_sweep(request(tmp_path), model, splits(), CONFIGURATIONS, on_task=kept.add)
    assert (first.measured, first.reused, first.timed, first.kept) == (6, 0, 6, 0)
    second = run_sweep(
        request(tmp_path),
        model,
        splits(),
        CONFIGURATIONS,
        known=kept.known,
        on_task=again.add,
    )
    assert (second.measured, second.reused, second.timed, second.kept) == (0, 6, 0, 6)
    assert [one.latency for one in again.all] == [one.latency for one in kept.all]


@pytest.mark.parametrize(
    "change",
    [
        {"remeasure_latency": True},
        {"latency": LatencyOptions(latency_samples=2, warmup=0, latency_tokens=4)},
    ],
)
def test_latencies_are_measured_anew_when_that_is_asked_for_or_conditions_differ(
    model: OpenModel, tmp_path: Path, change: dict[str, Any]
) -> None:
    kept = Kept()
    split = splits()[:1]
    run_sweep(request(tmp_path), model, split, CONFIGURATIONS, on_task=kept.add)
    report = run_sweep(request(tmp_path, **change), model, split, CONFIGURATIONS, known=kept.known)
    assert (report.measured, report.timed) == (0, 3)


def test_a_latency_of_other_blocks_is_not_taken(model: OpenModel, tmp_path: Path) -> None:
    kept = Kept()
    split = splits()[:1]
    run_sweep(request(tmp_path), model, split, [Configuration(3, (1,))], on_task=kept.add)
    other = [Configuration(3, (2,))]
    report = run_sweep(request(tmp_path), model, split, other, known=kept.known)
    assert (report.timed, report.kept) == (1, 0)


def test_what_a_search_measured_is_used(model: OpenModel, tmp_path: Path) -> None:
    (split, _) = splits()
    with StudyStore.open(tmp_path, model=model.record) as study:
        session = Session(study, ReferenceEvaluator(model.loaded))
        session.measure(SplitGroup((split,)), [(), (1,)])
    report = run_sweep(request(tmp_path), model, [split], CONFIGURATIONS)
    assert (report.measured, report.reused) == (1, 2)


class NotANumber(Exactly):
    """A metric that fails for one of the answers a removal gives."""

    def __init__(self, bad: str) -> None:
        self.bad = bad

    def score(self, sample: Sample, answer: str) -> float:
        return float("nan") if answer == self.bad else super().score(sample, answer)


def test_a_configuration_that_fails_stops_no_other(model: OpenModel, tmp_path: Path) -> None:
    (split, other) = splits()
    ways = ReferenceEvaluator(model.loaded).evaluate(split, [(), (1,), (1, 2)]).answers
    only_here = sorted(set(ways[2]) - set(ways[0]) - set(ways[1]))
    bad = replace(split, scorer=NotANumber(only_here[0]))
    kept = Kept()
    report = run_sweep(request(tmp_path), model, [bad, other], CONFIGURATIONS, on_task=kept.add)
    ((task, number, error),) = ((f.task, f.num_active, f.error) for f in report.failures)
    assert (task, number) == ("tiny_task", 2)
    assert "not a finite number" in error.what
    found = [(one.split.task, one.configuration.num_active) for one in kept.all]
    assert found == [("tiny_task", 3), ("tiny_task", 4), ("other", 2), ("other", 3), ("other", 4)]


def test_a_task_that_cannot_be_timed_stops_no_other(
    model: OpenModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = module.measure_latency

    def fails_once(loaded: Any, stack: Any, split: TaskSplit, *rest: Any, **more: Any) -> Any:
        if split.task.name == "tiny_task":
            raise TaskError("too long")
        return real(loaded, stack, split, *rest, **more)

    monkeypatch.setattr(module, "measure_latency", fails_once)
    kept = Kept()
    report = run_sweep(request(tmp_path), model, splits(), CONFIGURATIONS[:1], on_task=kept.add)
    assert [(one.task, one.num_active) for one in report.failures] == [("tiny_task", None)]
    assert [one.split.task for one in kept.all] == ["other"]


def test_a_baseline_that_fails_leaves_the_task_out(model: OpenModel, tmp_path: Path) -> None:
    (split, _) = splits()
    answers = ReferenceEvaluator(model.loaded).evaluate(split, [()]).answers[0]
    bad = replace(split, scorer=NotANumber(answers[0]))
    kept = Kept()
    report = run_sweep(request(tmp_path), model, [bad], CONFIGURATIONS, on_task=kept.add)
    assert [one.task for one in report.failures] == ["tiny_task"]
    assert kept.all == []


def test_blocks_that_the_architecture_cannot_lose_are_refused_before_anything_runs(
    tmp_path: Path,
) -> None:
    whole = lfm2()
    model = OpenModel(
        ModelSource(source="tiny"), loaded(whole, word_tokenizer()), find_stack(whole)
    )
    with pytest.raises(InadmissibleRemovalError):
        run_sweep(request(tmp_path), model, splits(), [Configuration(2, (1,))])
    assert list(tmp_path.iterdir()) == []


class Nowhere:
    """A source without data."""

    def splits(self) -> tuple[str, ...]:
        raise TaskError("there is no such folder of data", where="nowhere")

    def samples(self, split: str) -> Any:
        raise TaskError("there is no such folder of data", where="nowhere")

    def describe(self) -> str:
        return "nowhere"


class Here(Nowhere):
    """A source of a few samples."""

    def splits(self) -> tuple[str, ...]:
        return ("validation",)

    def samples(self, split: str) -> Any:
        return text_samples()


def task(name: str, source: Any) -> Task:
    return replace(split_of(text_samples()).task, name=name, source=source, metric="exact_match")


def test_a_task_without_data_is_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = (task("absent", Nowhere()), task("present", Here()))
    found, failures = load_sweep_splits(replace(request(tmp_path), tasks=tasks))
    assert [one.task.name for one in found] == ["present"]
    assert [one.task for one in failures] == ["absent"]
    assert "absent" in caplog.text


def test_no_data_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="no such folder"):
        load_sweep_splits(replace(request(tmp_path), tasks=(task("absent", Nowhere()),)))


def test_no_task_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="no task was named"):
        load_sweep_splits(request(tmp_path))


def test_only_the_memory_of_a_gpu_can_be_limited(model: OpenModel) -> None:
    with pytest.raises(DepthpruneError, match="only the memory of a GPU"), memory_limit(model, 8):
        pass


class OnGpu:
    """A model whose weights are on a GPU, as far as anyone asks."""

    def parameters(self) -> list[Any]:
        return [SimpleNamespace(device=torch.device("cuda:0"))]


@pytest.mark.parametrize(("gib", "share"), [(20.0, 0.25), (160.0, 1.0)])
def test_the_memory_of_a_gpu_is_limited_and_free_again(
    monkeypatch: pytest.MonkeyPatch, gib: float, share: float
) -> None:
    told: list[float] = []
    card = SimpleNamespace(total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda part, device: told.append(part)
    )
    model: Any = SimpleNamespace(loaded=SimpleNamespace(model=OnGpu()))
    with memory_limit(model, gib):
        assert told == [share]
    assert told == [share, 1.0]


def test_a_larger_gpu_takes_larger_batches() -> None:
    sizes = [PRESETS[name].batch_size for name in ("cpu", "a100", "h100")]
    assert sizes == sorted(sizes)
