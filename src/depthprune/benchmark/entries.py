"""What the file of an evaluation says of each thing that was measured, see docs/evaluate.md."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthprune.benchmark.memory import Peak
from depthprune.benchmark.model_info import ModelInfo
from depthprune.benchmark.perplexity import TextPerplexity, Windows
from depthprune.benchmark.ratio import speed_ratio
from depthprune.benchmark.speed import Speed, SpeedOptions
from depthprune.benchmark.zero_shot import TaskAccuracy
from depthprune.blocks.models import LoadedModel
from depthprune.engine.evaluator import Evaluation
from depthprune.engine.reference import input_device
from depthprune.engine.session import cut_places
from depthprune.tasks.damage import damage
from depthprune.tasks.task import Task, TaskSplit

PACKAGES = ("depthprune", "torch", "transformers", "datasets", "lm_eval")


def info_value(info: ModelInfo) -> dict[str, Any]:
    """Return what the file says of the model."""
    return {
        "name": info.name,
        "fingerprint": info.fingerprint,
        "architecture": info.architecture,
        "dtype": info.dtype,
        "stack": info.stack,
        "num_blocks": info.num_blocks,
        "removed": list(info.removed),
        "num_active_blocks": len(info.active),
        "parameters": info.parameters,
        "module_parameters": dict(info.module_parameters),
    }


def perplexity_value(found: TextPerplexity, asked: Windows) -> dict[str, Any]:
    """Return what the file says of a text read in one way."""
    return {
        "ppl": found.ppl,
        "nll": found.nll,
        "tokens": found.tokens,
        "window": found.windows.window,
        "stride": found.windows.stride,
        "window_asked": asked.window,
        "stride_asked": asked.stride,
    }


def accuracy_value(found: TaskAccuracy) -> dict[str, Any]:
    """Return what the file says of a task."""
    return {
        "acc": found.value("acc"),
        "acc_stderr": found.value("acc_stderr"),
        "acc_norm": found.value("acc_norm"),
        "acc_norm_stderr": found.value("acc_norm_stderr"),
        "metric": found.metric,
        "accuracy": found.accuracy,
        "stderr": None if found.metric is None else found.value(f"{found.metric}_stderr"),
        "n": found.num_samples,
        "metrics": dict(found.metrics),
    }


def score_value(split: TaskSplit, found: Evaluation, *, is_cut: bool) -> dict[str, Any]:
    """Return what the file says of a task whose samples were scored.

    Args:
        split: with the samples.
        found: answers of the model, and behind them those of the whole model where `is_cut`.
        is_cut: whether blocks are skipped.
    """
    value = _one_score(split, found.scores[0], found.answers[0], found.answers[-1], is_cut=is_cut)
    if not is_cut:
        return value
    whole = _one_score(split, found.scores[1], found.answers[1], found.answers[1], is_cut=False)
    return value | {"whole": {name: whole[name] for name in ("accuracy", "stderr", "damage")}}


def _one_score(
    split: TaskSplit,
    scores: NDArray[np.float32],
    answers: Sequence[str],
    whole: Sequence[str],
    *,
    is_cut: bool,
) -> dict[str, Any]:
    exact = scores.astype(np.float64)
    std = float(exact.std(ddof=1)) if len(exact) > 1 else None
    return {
        "task": split.task.name,
        "split": split.split,
        "metric": split.scorer.name,
        "accuracy": float(exact.mean()),
        "stderr": None if std is None else std / math.sqrt(len(exact)),
        "n": len(exact),
        "task_fingerprint": split.fingerprint,
        "damage": _damage_value(split.task, answers, whole, is_cut=is_cut),
    }


def _damage_value(
    task: Task, answers: Sequence[str], whole: Sequence[str], *, is_cut: bool
) -> dict[str, Any] | None:
    """Return the damaged answers; None of likelihoods. What it alone writes is its own script."""
    cut = cut_places(answers, task)
    if cut is None:
        return None
    found = vars(damage(answers, whole, cut))
    return found if is_cut else found | {"script": None}


def ratio_value(whole: Speed, speed: Speed) -> dict[str, Any]:
    """Return what the file says of the whole model, which took turns with one without blocks."""
    return {
        "whole_seconds": list(whole.seconds),
        "whole_tokens_per_second": whole.tokens_per_second,
        "times_as_fast": asdict(speed_ratio(whole.seconds, speed.seconds, in_turns=True)),
    }


def speed_value(speed: Speed, options: SpeedOptions, device: str) -> dict[str, Any]:
    """Return what the file says of a timed batch size."""
    return {
        "tokens_per_second": speed.tokens_per_second,
        "tokens_per_second_std": speed.tokens_per_second_std,
        "ms_per_token": speed.ms_per_token,
        "ms_per_token_std": speed.ms_per_token_std,
        "ms_per_step": speed.ms_per_step,
        "prompt_tokens": options.prompt_tokens,
        "new_tokens": options.new_tokens,
        "repeats": options.repeats,
        "warmup": options.warmup,
        "seconds": list(speed.seconds),
        "device": device,
    }


def device_name(loaded: LoadedModel) -> str:
    """Return what the model runs on, in words."""
    import torch

    device = input_device(loaded.model)
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    return f"{platform.machine()} {device.type}{threads}"


def versions() -> dict[str, str | None]:
    """Return the versions of what took part, None where it is not installed."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def memory_value(peak: Peak, weights: int, skipped: int, options: SpeedOptions) -> dict[str, Any]:
    """Return what the file says of memory; sizes in bytes."""
    return {
        "weights_bytes": weights,
        "skipped_bytes": skipped,
        "peak_bytes": peak.num_bytes,
        "peak_of": peak.what,
        "prompt_tokens": options.prompt_tokens,
        "new_tokens": options.new_tokens,
    }
