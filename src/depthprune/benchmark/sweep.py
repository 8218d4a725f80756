"""Measure how well and how fast a model is with several choices of active blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Gt

from depthprune.base.errors import DepthpruneError, TaskError
from depthprune.base.files import check_can_make
from depthprune.base.log import logger
from depthprune.base.progress import progress
from depthprune.base.removal import Removal
from depthprune.benchmark.latency import (
    Latency,
    LatencyOptions,
    conditions_of,
    measure_latency,
)
from depthprune.engine.options import ModelOptions
from depthprune.engine.session import Session, SplitGroup, split_record
from depthprune.strategies.configurations import Configuration
from depthprune.strategies.how import begin_run, begin_split, how_measured
from depthprune.strategies.model import ModelSource, OpenModel, prompted_tasks
from depthprune.study import Measurement, SplitRecord, StudyStore
from depthprune.tasks.load import load_split
from depthprune.tasks.options import DataOptions
from depthprune.tasks.task import Task, TaskSplit


@dataclass(frozen=True)
class SweepOptions(LatencyOptions):
    """Latency."""

    remeasure_latency: bool = False
    """Measure latencies again that the study already holds."""

    profile: Literal["h100", "a100", "cpu"] | None = None
    """Preset of device, batch size and memory for a machine; options given explicitly take
    precedence."""

    max_memory: Annotated[float, Gt(0)] | None = None
    """Maximum memory of each GPU in GiB; larger batches are halved."""

    def memory(self, given: ModelOptions) -> float | None:
        """Return the GiB of each GPU that may be used; None for all, and on what is no GPU."""
        if self.max_memory is not None or self.profile is None:
            return self.max_memory
        device = self.run(given).device
        # A preset's memory is that of its device: a CPU that was asked for wins over both.
        is_gpu = device == "auto" or device.startswith("cuda")
        return PRESETS[self.profile].max_memory if is_gpu else None

    def run(self, given: ModelOptions) -> ModelOptions:
        """Return how the model is run: as given, and where nothing is given as the profile says."""
        if self.profile is None:
            return given
        preset = PRESETS[self.profile]
        is_placed = given.device != "auto" or given.device_map is not None
        return replace(
            given,
            device=given.device if is_placed else preset.device,
            batch_size=preset.batch_size if given.batch_size is None else given.batch_size,
        )


@dataclass(frozen=True)
class SweepPreset:
    """How a sweep uses a kind of machine.

    Attributes:
        device: that it runs on.
        batch_size: samples at once, where accuracies are measured.
        max_memory: GiB of each GPU; None: no limit.
    """

    device: str
    batch_size: int
    max_memory: float | None


PRESETS: Mapping[str, SweepPreset] = {
    "h100": SweepPreset("cuda", 64, 76.0),
    "a100": SweepPreset("cuda", 32, 38.0),
    "cpu": SweepPreset("cpu", 8, None),
}
"""By name. Of an H100 (80 GB) and of the smaller A100 (40 GB), a little is left to others."""


GIB = 1024**3


@dataclass(frozen=True)
class SweepRequest:
    """Everything that decides what a sweep measures, but for the blocks.

    Attributes:
        model: the model and how it is run.
        tasks: what it is measured on.
        split: of each task.
        folder: of the study.
        num_samples: of each split; None means all.
        seed: chooses the samples.
        latency: how latencies are measured.
        remeasure_latency: measure them even if equal ones are known.
        max_memory: GiB that may be used of each GPU; None: all.
        data: where the tasks and their data were looked for; only kept.
    """

    model: ModelSource
    tasks: tuple[Task, ...]
    split: str
    folder: Path
    num_samples: int | None = 1000
    seed: int = 0
    latency: LatencyOptions = field(default_factory=LatencyOptions)
    remeasure_latency: bool = False
    max_memory: float | None = None
    data: DataOptions = field(default_factory=DataOptions)


@dataclass(frozen=True)
class SweepMeasurement:
    """One configuration on one task.

    Attributes:
        split: the samples.
        configuration: the blocks.
        baseline: the unpruned model on the same samples.
        measurement: without the blocks.
        latency: without the blocks, on some of the samples.
        answers: how the task is answered: `generate`, `choose`, `read` or `respond`.
    """

    split: SplitRecord
    configuration: Configuration
    baseline: Measurement
    measurement: Measurement
    latency: Latency
    answers: str


@dataclass(frozen=True)
class Failure:
    """A task, or a configuration on it, that could not be measured."""

    task: str
    num_active: int | None
    error: DepthpruneError


@dataclass(frozen=True)
class SweepReport:
    """What one run did.

    Attributes:
        measured: removals whose accuracy was measured now, the baseline included, for each task.
        reused: accuracies that the study held.
        timed: configurations whose latency was measured now, for each task.
        kept: latencies that were known.
        failures: what could not be measured.
    """

    measured: int = 0
    reused: int = 0
    timed: int = 0
    kept: int = 0
    failures: tuple[Failure, ...] = ()

    def __add__(self, other: SweepReport) -> SweepReport:
        return SweepReport(
            self.measured + other.measured,
            self.reused + other.reused,
            self.timed + other.timed,
            self.kept + other.kept,
            self.failures + other.failures,
        )


KnownLatencies = Callable[[str, int], Latency | None]
"""What was measured earlier for a task and a number of active blocks."""


def load_sweep_splits(request: SweepRequest) -> tuple[list[TaskSplit], list[Failure]]:
    """Return the split of every task whose data are there, and those whose data are not.

    Raises:
        TaskError: none is there.
        FileError: the folder cannot be written.
    """
    check_can_make(request.folder)
    splits: list[TaskSplit] = []
    failures: list[Failure] = []
    for task in prompted_tasks(request.model, request.tasks):
        try:
            asked = (task, request.split, request.num_samples, request.seed)
            splits.append(load_split(*asked, holdout=request.data.holdout))
        except TaskError as error:
            failures.append(Failure(task.name, None, error))
    if not splits:
        raise failures[0].error if failures else TaskError("no task was named")
    for failure in failures:
        logger.warning("%s: %s; going on without it", failure.task, failure.error.what)
    return splits, failures


def run_sweep(
    request: SweepRequest,
    model: OpenModel,
    splits: Sequence[TaskSplit],
    configurations: Sequence[Configuration],
    *,
    known: KnownLatencies = lambda task, num_active: None,
    on_task: Callable[[Sequence[SweepMeasurement]], None] = lambda measured: None,
) -> SweepReport:
    """Measure every configuration on every task, as far as it is not measured yet.

    Accuracies go into the study as soon as they are known; latencies are handed out task by task.
    What goes wrong with one configuration or task does not keep the others from being measured.

    Args:
        request: what is asked for.
        model: in memory.
        splits: from `load_sweep_splits`.
        configurations: the blocks that go.
        known: latencies of earlier runs, used where they were measured under equal conditions.
        on_task: is told all configurations of a task when the last of them is measured.

    Raises:
        InadmissibleRemovalError: the architecture cannot express a configuration.
        DepthpruneError: the study cannot be used.
    """
    from depthprune.blocks.admissible import check_admissible

    model = model.with_weights()
    for one in configurations:
        check_admissible(model.stack, one.removal)
    removals = list(dict.fromkeys([(), *(one.removal for one in configurations)]))
    work = sum(
        len(removals) * len(split.samples) + len(configurations) * _runs(request.latency, split)
        for split in splits
    )
    report = SweepReport()
    with (
        memory_limit(model, request.max_memory),
        StudyStore.open(request.folder, model=model.record) as study,
        progress("sweeping", work, study.tell) as bar,
    ):
        begin_run(
            study,
            how_measured(
                *(model, request.tasks, [request.split]),
                *(request.num_samples, request.seed, request.data),
            ),
        )
        session = Session(study, model.evaluator(bar), bar)
        session.expect(len(removals) * len(splits))
        for split in splits:
            bar.describe(split.task.name)
            try:
                begin_split(session, model, split)
            except TaskError as error:
                report += SweepReport(failures=(Failure(split.task.name, None, error),))
                continue
            accurate, found = _accuracies(session, split, configurations, removals)
            bar.shrink(found.reused * len(split.samples))
            report += found
            try:
                latencies, timed = _latencies(
                    request, model, split, list(accurate), known, on_run=bar.advance
                )
            except DepthpruneError as error:
                report += SweepReport(failures=(Failure(split.task.name, None, error),))
                continue
            kept = len(latencies) - timed
            bar.shrink(kept * _runs(request.latency, split))
            report += SweepReport(timed=timed, kept=kept)
            if not accurate:
                continue
            on_task(
                [
                    SweepMeasurement(
                        split_record(split),
                        one,
                        baseline,
                        measurement,
                        latencies[one.removal],
                        split.task.answer,
                    )
                    for one, (baseline, measurement) in accurate.items()
                ]
            )
    return report


@contextmanager
def memory_limit(model: OpenModel, gib: float | None) -> Iterator[None]:
    """Let this process use at most so much of the memory of each GPU that holds the model.

    Batches that do not fit are halved, as when the GPU itself is full.

    Raises:
        DepthpruneError: the limit is no amount, more than the GPU has, or there is no GPU.
    """
    if gib is None:
        yield
        return
    import torch

    gpus = {one.device for one in model.loaded.model.parameters() if one.device.type == "cuda"}
    if not gpus:
        raise DepthpruneError(
            "only the memory of a GPU can be limited, and the model is on none",
            option="max_memory",
            mend="leave it out",
        )
    shares = {
        device: gib * GIB / torch.cuda.get_device_properties(device).total_memory for device in gpus
    }
    for device, share in shares.items():
        # A GPU smaller than a preset expects is used whole.
        torch.cuda.set_per_process_memory_fraction(min(1.0, share), device)
    try:
        yield
    finally:
        for device in gpus:
            torch.cuda.set_per_process_memory_fraction(1.0, device)


def _runs(options: LatencyOptions, split: TaskSplit) -> int:
    """Return how often a configuration is run to be timed."""
    return options.warmup + min(options.latency_samples, len(split.samples))


def _accuracies(
    session: Session,
    split: TaskSplit,
    configurations: Sequence[Configuration],
    removals: Sequence[Removal],
) -> tuple[dict[Configuration, tuple[Measurement, Measurement]], SweepReport]:
    """Return baseline and measurement of each configuration that could be measured."""
    held = len(removals) - len(session.missing(split, removals))
    measured = 0
    failures: list[Failure] = []
    found: dict[Configuration, tuple[Measurement, Measurement]] = {}
    for removal in removals:
        concerned = [one for one in configurations if one.removal == removal]
        try:
            measured += session.measure(SplitGroup((split,)), [removal])
        except DepthpruneError as error:
            number = concerned[0].num_active if concerned else None
            failures.append(Failure(split.task.name, number, error))
            if not removal:
                break
            continue
        baseline = session.measurement(split, ())
        measurement = session.measurement(split, removal)
        assert baseline is not None
        assert measurement is not None
        found |= dict.fromkeys(concerned, (baseline, measurement))
    ordered = {one: found[one] for one in configurations if one in found}
    return ordered, SweepReport(measured=measured, reused=held, failures=tuple(failures))


def _latencies(
    request: SweepRequest,
    model: OpenModel,
    split: TaskSplit,
    configurations: Sequence[Configuration],
    known: KnownLatencies,
    on_run: Callable[[int], None],
) -> tuple[dict[Removal, Latency], int]:
    """Return the latencies of the configurations, and how many were measured now."""
    conditions = conditions_of(model.loaded, model.stack, split, request.latency)
    latencies: dict[Removal, Latency] = {}
    for one in () if request.remeasure_latency else configurations:
        earlier = known(split.task.name, one.num_active)
        if earlier and (earlier.removal, earlier.conditions) == (one.removal, conditions):
            latencies[one.removal] = earlier
    missing = [one.removal for one in configurations if one.removal not in latencies]
    if missing:
        for latency in measure_latency(
            model.loaded, model.stack, split, missing, request.latency, on_run=on_run
        ):
            latencies[latency.removal] = latency
    return latencies, len(missing)
