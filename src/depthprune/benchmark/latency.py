"""How long a model takes under several removals, stage by stage and sample by sample."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from depthprune.base.options import Options
from depthprune.base.removal import Removal
from depthprune.benchmark.stages import StageClock, watch
from depthprune.blocks.skipping import skip
from depthprune.blocks.stack import Stack
from depthprune.engine.batching import run_in_batches
from depthprune.engine.chat import tokenizer_of
from depthprune.engine.generate import greedily
from depthprune.engine.inputs import (
    Inputs,
    Row,
    check_lengths,
    encode,
    lengths,
    max_positions,
    move,
)
from depthprune.engine.modes import Mode, mode_of
from depthprune.engine.reference import admissible_removals, evaluation_mode, input_device
from depthprune.tasks.task import TaskSplit

if TYPE_CHECKING:
    from depthprune.blocks.models import LoadedModel


@dataclass(frozen=True)
class LatencyOptions(Options):
    """Latency."""

    latency_samples: Annotated[int, Ge(1)] = 8
    """Number of samples of each task that are timed, one at a time."""

    warmup: Annotated[int, Ge(0)] = 2
    """Number of warm-up rounds, which are not counted."""

    latency_tokens: Annotated[int, Ge(2)] = 16
    """Number of tokens generated for every timed answer, regardless of its content."""


@dataclass(frozen=True)
class LatencyConditions:
    """What latencies depend on besides the removal: those under equal ones are compared.

    Attributes:
        model: fingerprint of the model.
        stack: of the blocks, as a path in the model.
        task: fingerprint of the task's split.
        device: the processor or accelerator, by name.
        threads: that torch uses on the CPU.
        dtype: of the model.
        attention: the implementation that transformers chose.
        torch: its version.
        transformers: its version.
        samples, warmup, new_tokens: as `LatencyOptions` has them; as many samples as there were.
    """

    model: str
    stack: str
    task: str
    device: str
    threads: int
    dtype: str
    attention: str
    torch: str
    transformers: str
    samples: int
    warmup: int
    new_tokens: int


@dataclass(frozen=True)
class SampleLatency:
    """The time that one sample takes, in milliseconds.

    Attributes:
        sample_id: of the sample.
        prompt_tokens: that are read, over all rows of the sample.
        new_tokens: that are written; 0 where the task only asks for likelihoods. Of responses the
            first token of each is not counted.
        vision: looking at the pictures: tower and projector; None where there are none.
        prefill: reading the prompt, without `vision`.
        decode: each later pass, one new token each; empty where nothing is written.
        total: from the prepared inputs to the answer's tokens.
    """

    sample_id: str
    prompt_tokens: int
    new_tokens: int
    vision: float | None
    prefill: float
    decode: tuple[float, ...]
    total: float


@dataclass(frozen=True)
class Latency:
    """What one removal takes on some samples.

    Attributes:
        removal: the blocks left out.
        conditions: under which it was measured.
        samples: one after the other.
        peak_memory: bytes; None where the system does not tell.
        memory_kind: `gpu_allocated` (of this removal) or `process_peak_rss` (of the process so
            far, the same for all removals). Skipped blocks are still in memory.
        removed_bytes: of the weights of the blocks left out.
        measured_at: when, ISO 8601 in UTC.
        alternated_with: the removals that took turns with this one.
    """

    removal: Removal
    conditions: LatencyConditions
    samples: tuple[SampleLatency, ...]
    peak_memory: int | None
    memory_kind: str
    removed_bytes: int
    measured_at: str
    alternated_with: tuple[Removal, ...] = ()


def conditions_of(
    loaded: LoadedModel, stack: Stack, split: TaskSplit, options: LatencyOptions
) -> LatencyConditions:
    """Return the conditions under which this process would measure now."""
    import torch
    import transformers

    model = loaded.model
    return LatencyConditions(
        model=loaded.fingerprint,
        stack=stack.path,
        task=split.fingerprint,
        device=device_name(model),
        threads=torch.get_num_threads(),
        dtype=str(model.dtype).removeprefix("torch."),
        attention=str(getattr(model.config, "_attn_implementation", None)),
        torch=torch.__version__,
        transformers=transformers.__version__,
        samples=min(options.latency_samples, len(split.samples)),
        warmup=options.warmup,
        new_tokens=options.latency_tokens,
    )


def measure_latency(
    loaded: LoadedModel,
    stack: Stack,
    split: TaskSplit,
    removals: Sequence[Removal],
    options: LatencyOptions,
    *,
    on_run: Callable[[int], None] | None = None,
) -> list[Latency]:
    """Time the removals on the first samples of a split, one sample at a time.

    The removals take turns on every sample, each round beginning with another one, so that what
    else the machine does hits all alike. Devices are waited for at every boundary of a stage.
    Preparing the inputs (tokens, pictures as tensors) is not timed.

    Args:
        loaded: the model.
        stack: that blocks are removed from, see `find_stack`.
        split: whose task says what is timed: a text that is written, or likelihoods.
        removals: `()` is the unpruned model.
        options: how many samples, warm-up rounds and new tokens.
        on_run: called after every run with 1.

    Raises:
        RemovalError: a block does not exist.
        InadmissibleRemovalError: the architecture cannot express a removal.
        TaskError: a sample cannot be used, or is too long for so many new tokens.
        DepthpruneError: a sample does not fit into memory.
    """
    wanted = admissible_removals(stack, removals)
    conditions = conditions_of(loaded, stack, split, options)
    jobs = _jobs(loaded, split, options)
    timed: dict[Removal, list[SampleLatency]] = {removal: [] for removal in wanted}
    peaks: dict[Removal, int | None] = dict.fromkeys(wanted)
    measured_at = datetime.now(UTC).isoformat(timespec="seconds")
    with evaluation_mode(loaded.model), watch(loaded.model) as clock:
        for turn in range(options.warmup + len(jobs)):
            job = jobs[(turn - options.warmup) % len(jobs)]
            for place in range(len(wanted)):
                removal = wanted[(turn + place) % len(wanted)]
                found, peak = _run(loaded.model, stack, removal, job, clock)
                if turn >= options.warmup:
                    timed[removal].append(found)
                    peaks[removal] = max(peak or 0, peaks[removal] or 0) or None
                if on_run is not None:
                    on_run(1)
    return [
        Latency(
            removal,
            conditions,
            tuple(timed[removal]),
            peaks[removal],
            "gpu_allocated" if _gpus(loaded.model) else "process_peak_rss",
            removed_bytes(loaded.model, stack, removal),
            measured_at,
            tuple(other for other in wanted if other != removal),
        )
        for removal in wanted
    ]


def removed_bytes(model: Any, stack: Stack, removal: Removal) -> int:
    """Return how many bytes of weights the blocks of a removal hold."""
    blocks = list(model.get_submodule(stack.path).children())
    return sum(tensor.nbytes for block in removal for tensor in blocks[block].parameters())


def device_name(model: Any) -> str:
    """Return what computes, by name: `cuda: NVIDIA H100 80GB HBM3`, `cpu: x86_64`."""
    import torch

    gpus = _gpus(model)
    if gpus:
        return ", ".join(f"cuda: {torch.cuda.get_device_name(device)}" for device in gpus)
    kind = input_device(model).type
    return f"{kind}: {_processor_name() if kind == 'cpu' else platform.machine()}"


@dataclass(frozen=True)
class _Job:
    sample_id: str
    inputs: Inputs
    prompt_tokens: int
    writes: bool
    run: Callable[[dict[str, Any]], object]


def _jobs(loaded: LoadedModel, split: TaskSplit, options: LatencyOptions) -> list[_Job]:
    """Return what is run for each sample, with the inputs where the model takes them."""
    model, processor = loaded.model, loaded.processor
    limit = max_positions(model)
    mode = mode_of(loaded, split, limit)
    writes = split.task.answer == "generate"
    jobs = []
    for sample in split.samples[: options.latency_samples]:
        rows = mode.rows([sample])
        inputs = encode(processor, rows, mode.side, model.dtype)
        check_lengths(inputs, rows, limit, options.latency_tokens if writes else mode.new_tokens)
        run = (
            partial(_write, model, processor, options.latency_tokens)
            if writes
            else partial(_answer, mode, model, rows)
        )
        placed = move(inputs, input_device(model))
        jobs.append(_Job(sample.id, placed, sum(lengths(inputs)), writes, run))
    return jobs


def _write(model: Any, processor: Any, new_tokens: int, inputs: dict[str, Any]) -> object:
    # Without an end token nothing stops before so many tokens are written.
    with greedily(model, tokenizer_of(processor), (), new_tokens) as config:
        return model.generate(**inputs, generation_config=config)


def _answer(mode: Mode, model: Any, rows: Sequence[Row], inputs: dict[str, Any]) -> object:
    return mode.run(model, inputs, rows)


def _run(
    model: Any, stack: Stack, removal: Removal, job: _Job, clock: StageClock
) -> tuple[SampleLatency, int | None]:
    import torch

    total = 0.0

    def once(start: int, stop: int) -> None:
        nonlocal total
        clock.clear()
        began = clock.now()
        job.run(dict(job.inputs))
        total = clock.now() - began

    with skip(model, removal, stack), torch.inference_mode():
        for device in _gpus(model):
            torch.cuda.reset_peak_memory_stats(device)
        run_in_batches(1, 1, once)
    passes = clock.passes
    # Models without a cache read all again for every token: only the order tells the first pass.
    later = [number > 0 and (job.writes or one.tokens == 1) for number, one in enumerate(passes)]
    prefill = sum(
        one.milliseconds for one, is_later in zip(passes, later, strict=True) if not is_later
    )
    decode = tuple(
        one.milliseconds for one, is_later in zip(passes, later, strict=True) if is_later
    )
    found = SampleLatency(
        sample_id=job.sample_id,
        prompt_tokens=job.prompt_tokens,
        new_tokens=len(decode) + 1 if job.writes else len(decode),
        vision=clock.vision,
        prefill=max(0.0, prefill - (clock.vision or 0.0)),
        decode=decode,
        total=total,
    )
    return found, _peak_memory(model)


def _gpus(model: Any) -> list[Any]:
    devices = {parameter.device for parameter in model.parameters()}
    return sorted((one for one in devices if one.type == "cuda"), key=lambda one: one.index or 0)


def _peak_memory(model: Any) -> int | None:
    import torch

    gpus = _gpus(model)
    if gpus:
        return sum(torch.cuda.max_memory_allocated(device) for device in gpus)
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _processor_name() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            names = (line.split(":", 1)[1].strip() for line in lines if "model name" in line)
            return next(names, platform.machine())
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
