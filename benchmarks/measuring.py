"""What the benchmarks of the engine share: counting, a plain loop, a beam search."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from depthprune.base.removal import Removal
from depthprune.blocks.models import LoadedModel
from depthprune.blocks.stack import find_stack
from depthprune.engine import Evaluation, Evaluator
from depthprune.engine.evaluator import in_calls
from depthprune.engine.inputs import encode, move
from depthprune.engine.modes import mode_of
from depthprune.strategies import Beam, SearchSpace
from depthprune.tasks.task import TaskSplit


@dataclass
class Cost:
    """What a piece of work took.

    Attributes:
        wall, cpu: seconds.
        calls: executions of blocks of the pruned stack, whatever the batch.
        tokens: rows x length of those executions, padding included.
        memory: MB of the process beyond what it had before, at the most; 0 where Linux is not.
    """

    wall: float = 0.0
    cpu: float = 0.0
    calls: int = 0
    tokens: int = 0
    memory: float = 0.0


@contextmanager
def measured(loaded: LoadedModel) -> Iterator[Cost]:
    """Measure what the body costs; complete when it ends."""
    cost = Cost()

    def count(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        cost.calls += 1
        cost.tokens += inputs[0].shape[:-1].numel()

    # Inside the blocks: an engine may call a block's `forward`, where its own hooks are not run.
    blocks = loaded.model.get_submodule(find_stack(loaded.model).path)
    hooks = [block.mlp.register_forward_pre_hook(count) for block in blocks.children()]
    before = _reset_peak()
    on_gpu = loaded.model.device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated() / 2**20
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield cost
    finally:
        if on_gpu:
            torch.cuda.synchronize()
        cost.wall, cost.cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = torch.cuda.max_memory_allocated() / 2**20 if on_gpu else _peak()
        cost.memory = peak - before
        for hook in hooks:
            hook.remove()


@dataclass(frozen=True)
class PlainLoop:
    """The loop of existing tools: for every removal a shorter list of blocks and plain `generate`.

    It does what they should do and often do not: blocks are renumbered, so that the cache fits.
    Inputs are encoded anew for every removal, in the order of the samples.
    """

    loaded: LoadedModel
    batch_size: int
    removals_per_call: int = 1
    settings: str = "greedy"

    def evaluate(
        self, split: TaskSplit, removals: Sequence[Removal], samples: slice = slice(None)
    ) -> Evaluation:
        """See `Evaluator.evaluate`."""
        chosen = split.samples[samples]
        answers = tuple(self._answers(split, removal, samples) for removal in removals)
        scores = [split.scorer.score_many(chosen, row) for row in answers]
        return Evaluation(
            tuple(removals),
            tuple(sample.id for sample in chosen),
            np.array(scores, dtype=np.float32),
            answers,
        )

    def _answers(self, split: TaskSplit, removal: Removal, samples: slice) -> tuple[str, ...]:
        model, processor = self.loaded.model, self.loaded.processor
        mode = mode_of(self.loaded, split, None)
        chosen = split.samples[samples]
        answers: list[str] = []
        with without(model, removal), torch.inference_mode():
            for start in range(0, len(chosen), self.batch_size):
                rows = mode.rows(chosen[start : start + self.batch_size])
                inputs = move(encode(processor, rows, mode.side, model.dtype), model.device)
                outcomes = mode.run(model, inputs, rows)
                answers += [
                    mode.answer(row.sample, [(row, outcome)])
                    for row, outcome in zip(rows, outcomes, strict=True)
                ]
        return tuple(answers)


@contextmanager
def without(model: Any, removal: Removal) -> Iterator[None]:
    """Replace the list of blocks by a shorter one, as a loop of scripts does it (Llama's kind)."""
    parent_path, _, name = find_stack(model).path.rpartition(".")
    parent = model.get_submodule(parent_path)
    whole = getattr(parent, name)
    kept = [block for index, block in enumerate(whole) if index not in removal]
    config = model.config.get_text_config(decoder=True)
    setattr(parent, name, nn.ModuleList(kept))
    config.num_hidden_layers = len(kept)
    _number(kept)
    try:
        yield
    finally:
        setattr(parent, name, whole)
        config.num_hidden_layers = len(whole)
        _number(whole)


def beam_search(
    evaluator: Evaluator, split: TaskSplit, num_blocks: int, *, width: int = 3, most: int = 4
) -> dict[Removal, Evaluation]:
    """Search one split to its end, nothing stored; return what was measured."""
    strategy, space = Beam(width, max_removed=most), SearchSpace(num_blocks)
    found: dict[Removal, Evaluation] = {}
    batch: Sequence[Removal] = [()]
    while batch:
        for part in in_calls(evaluator, batch):
            evaluation = evaluator.evaluate(split, part)
            found |= {removal: _only(evaluation, row) for row, removal in enumerate(part)}
        baseline = _mean(found[()])
        drops = {removal: baseline - _mean(one) for removal, one in found.items()}
        batch = strategy.ask(space, drops)
    return found


def differing(one: Mapping[Removal, Evaluation], other: Mapping[Removal, Evaluation]) -> int:
    """Return how many answers differ, or are there on one side only."""
    alone = [one[removal] for removal in one.keys() - other.keys()]
    alone += [other[removal] for removal in other.keys() - one.keys()]
    count = sum(len(evaluation.answers[0]) for evaluation in alone)
    for removal in one.keys() & other.keys():
        pairs = zip(one[removal].answers[0], other[removal].answers[0], strict=True)
        count += sum(first != second for first, second in pairs)
    return count


def number_of_answers(found: Mapping[Removal, Evaluation]) -> int:
    """Return how many answers were given."""
    return sum(len(one.answers[0]) for one in found.values())


def machine() -> str:
    """Return one line: processor, threads, load, versions."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    return (
        f"{device}, {os.cpu_count()} CPUs, {torch.get_num_threads()} thread(s) used, load {load}, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    lines = (line for line in text.splitlines() if line.startswith("model name"))
    return next(lines, "unknown").partition(":")[2].strip()


def _only(evaluation: Evaluation, row: int) -> Evaluation:
    return Evaluation(
        (evaluation.removals[row],),
        evaluation.sample_ids,
        evaluation.scores[row : row + 1],
        (evaluation.answers[row],),
    )


def _mean(evaluation: Evaluation) -> float:
    return float(evaluation.scores[0].mean(dtype=np.float64))


def _number(blocks: Sequence[nn.Module] | nn.ModuleList) -> None:
    for index, block in enumerate(blocks):
        for module in block.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = index


def _reset_peak() -> float:
    """Let Linux forget the process's largest size; return its size now in MB."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return 0.0
    return _peak()


def _peak() -> float:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
