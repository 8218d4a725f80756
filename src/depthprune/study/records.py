"""The records a study is made of: the model, the splits it was measured on, the measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from depthprune.base.removal import Removal
from depthprune.study.identity import Identity

Role = Literal["search", "verification"]
"""What a split was measured for: to find removals, or to measure those that were found again, on
samples that had no part in finding them. Only the first is ranked, merged or written to files."""


@dataclass(frozen=True)
class ModelRecord:
    """The model a study is about.

    Attributes:
        name: as the user names it (a path or hub name).
        fingerprint: identifies the weights and the config; equal means the same model.
        architecture: the class name, e.g. `LlamaForCausalLM`.
        num_blocks: the number of blocks of the unpruned stack.
        stack: where the blocks lie in the model, e.g. `model.layers`.
        parameters: of the whole model, when known.
        block_parameters: parameters of each block, when known.
        identity: what else decides its answers, see `depthprune.study.identity`; empty when unknown
            (imported results, studies of an older depthprune).
    """

    name: str
    fingerprint: str
    architecture: str
    num_blocks: int
    stack: str
    parameters: int | None = None
    block_parameters: tuple[int, ...] | None = None
    identity: Identity = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class SplitRecord:
    """One split of a task, as it was measured.

    Attributes:
        task: with underscores, e.g. `coco_2014_vqa`.
        task_type: e.g. `VQA`; empty when unknown (imported results).
        split: e.g. `train+validation`.
        fingerprint: identifies data, sample ids, prompt and metric.
        sample_ids: in the order of every measurement's scores; empty when unknown.
        metric: the metric with what it depends on.
        metric_version: of the metric's rule, see `Scorer`; None when unknown.
        pictures: digests of each sample's pictures; empty when unknown.
        role: what the split was measured for.
    """

    task: str
    task_type: str
    split: str
    fingerprint: str
    sample_ids: tuple[str, ...]
    metric: str
    metric_version: int | None = None
    pictures: tuple[tuple[str, ...], ...] = field(default=(), compare=False, repr=False)
    role: Role = "search"


@dataclass(frozen=True)
class Run:
    """How some measurements were made.

    Attributes:
        key: of the run, `Measurement.run`.
        created: when it was first begun, ISO 8601 in UTC.
        how: model, tasks, splits, samples, options, versions; plain JSON data.
    """

    key: int
    created: str
    how: Mapping[str, object]


@dataclass(frozen=True)
class StoredSplit:
    """A split that a study holds, with the decoding settings it was measured under."""

    key: int
    record: SplitRecord
    settings: tuple[str, ...]


@dataclass(frozen=True)
class Measurement:
    """How the model scores on one split without the blocks of one removal.

    Attributes:
        task: of the split.
        split: e.g. `validation`.
        removal: the blocks left out; `()` is the baseline.
        accuracy: the float64 mean of the scores.
        std: population standard deviation over the samples; NaN when unknown (imported).
        num_samples: 0 when unknown (imported).
        scores: float32 array of shape (num_samples,), in the order of the split's sample ids; None
            when unknown (imported) or not asked for.
        answers: the answers behind the scores, in the same order; None as for `scores`.
        seconds: how long the measurement took; 0.0 for imported results.
        settings: the decoding settings, see `Evaluator.settings`.
        created: when it was stored, ISO 8601 in UTC.
        origin: None when measured by this study; else where it was imported from.
        stated_drop: the drop as an imported file states it (it may be rounded); None otherwise.
        run: key of the `Run` that made it; None when unknown.
    """

    task: str
    split: str
    removal: Removal
    accuracy: float
    std: float
    num_samples: int
    scores: NDArray[np.float32] | None = field(compare=False)  # arrays have no plain equality
    answers: tuple[str, ...] | None
    seconds: float
    settings: str
    created: str
    origin: str | None = None
    stated_drop: float | None = None
    run: int | None = None
