"""The records a study is made of, and what result files say: plain values."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from depthprune.base.errors import StudyError, option
from depthprune.base.removal import Removal

Identity = Mapping[str, Mapping[str, str]]
"""Texts by part and field. A part with a single field calls that field by the empty name."""

MODEL_CONFIG = "model config"
"""The part that only explains a changed fingerprint: the fingerprint holds the config already."""

_SHOWN = 60
"""Characters of a value that an error shows."""

_CHANGES_SHOWN = 6


def differences(stored: Identity, asked: Identity) -> list[str]:
    """Return what differs, one phrase for each field: `the chat template: was ..., is ...`.

    A part that only one of them knows of is no difference: it was not recorded.
    """
    found = []
    for part, fields in stored.items():
        if part not in asked:
            continue
        for name in dict.fromkeys((*fields, *asked[part])):
            before, after = fields.get(name), asked[part].get(name)
            if before != after:
                what = f"the {part} ({name})" if name else f"the {part}"
                found.append(f"{what}: was {_shown(before, after)}, is {_shown(after, before)}")
    return found


def check_same_identity(stored: Identity, asked: Identity, path: Path) -> None:
    """Refuse a model that answers otherwise than the one that was measured.

    Raises:
        StudyError: names everything that changed.
    """
    without_config = {part: fields for part, fields in asked.items() if part != MODEL_CONFIG}
    changes = differences(stored, without_config)
    if changes:
        raise StudyError(
            "what decides the answers has changed since this study was measured: "
            f"{listed(changes)}",
            where=str(path),
            mend=f"{new_study()}, or undo the change",
        )


def new_study() -> str:
    """Return how to go on with what an existing study refuses."""
    return f"measure in a new study, {option('output', 'NEW')}"


def listed(changes: list[str]) -> str:
    """Return changes as one text, the first few of them in full."""
    more = len(changes) - _CHANGES_SHOWN
    return "; ".join(changes[:_CHANGES_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def pack_fields(fields: Mapping[str, str]) -> str:
    """Return the fields of a part as one text, the same for equal fields."""
    return json.dumps(dict(sorted(fields.items())))


def _shown(text: str | None, other: str | None) -> str:
    """Return a value as an error shows it: a long one from just before its first difference on."""
    if text is None:
        return "absent"
    if len(text) <= _SHOWN:
        return repr(text)
    pairs = zip(text, other or "", strict=False)
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    start = max(0, alike - _SHOWN // 3)
    excerpt = text[start : start + _SHOWN]
    before, after = "..." if start else "", "..." if start + _SHOWN < len(text) else ""
    return repr(before + excerpt + after)


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
        identity: what else decides its answers, see `depthprune.study.records`; empty when unknown
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


@dataclass(frozen=True)
class SampleResult:
    """The score of one sample and the answer behind it (empty when the file has none)."""

    sample_id: str
    score: float
    answer: str = ""


@dataclass(frozen=True)
class RemovalResult:
    """What a file says about one removal.

    Attributes:
        removal: the blocks left out; `()` is the baseline.
        drop: a fraction, as the file states it; else baseline accuracy minus accuracy.
        accuracy: None when the file has none.
        std: population standard deviation over the samples; None when the file has none.
        num_samples: None when the file has none.
        samples: in the order of the file; None when the file has none.
    """

    removal: Removal
    drop: float
    accuracy: float | None = None
    std: float | None = None
    num_samples: int | None = None
    samples: tuple[SampleResult, ...] | None = None


@dataclass(frozen=True)
class Provenance:
    """What depthprune's own files say about how their numbers were measured.

    Attributes:
        num_samples: None where it is not known (imported results).
        files: the names of the result files beside it, as anyone may have edited them.
    """

    model: ModelRecord
    task_fingerprint: str
    task_type: str
    metric: str
    settings: str
    num_samples: int | None = None
    files: tuple[Any, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class DatasetResults:
    """The results of one split of one dataset.

    Attributes:
        dataset: with underscores, e.g. `coco_2014_vqa`.
        split: e.g. `train+validation`.
        num_blocks: of the unpruned model; None when no file tells it.
        baseline_accuracy: None when no file tells it.
        results: by number of removed blocks and removal; the baseline first, when it is known.
        folder: where the files lie.
        beam_width: of the search, when stated.
        max_blocks_to_remove: of the search, when stated.
        provenance: None for results that depthprune did not write.
    """

    dataset: str
    split: str
    num_blocks: int | None
    baseline_accuracy: float | None
    results: tuple[RemovalResult, ...]
    folder: Path
    beam_width: int | None = None
    max_blocks_to_remove: int | None = None
    provenance: Provenance | None = None

    @property
    def drops(self) -> dict[Removal, float]:
        """The drop of every removal, in the order of `results`."""
        return {result.removal: result.drop for result in self.results}


@dataclass(frozen=True)
class ImportanceComparison:
    """Single-block drops of one dataset on its training and its validation split, by block."""

    dataset: str
    path: Path
    train_scores: Mapping[int, float] = field(default_factory=dict)
    validation_scores: Mapping[int, float] = field(default_factory=dict)
    spearman_correlation: float | None = None
    p_value: float | None = None


@dataclass(frozen=True)
class Problem:
    """Something in a file that is not as it should be.

    Attributes:
        what: one sentence.
        where: file and, when known, the place in it.
        left_out: True: what is wrong was left out of the results; False: it was kept, in doubt.
    """

    what: str
    where: str
    left_out: bool = True

    def __str__(self) -> str:
        return f"{self.where}: {self.what} ({'left out' if self.left_out else 'kept'})"


@dataclass(frozen=True)
class FoundResults:
    """All that was found in a folder.

    Attributes:
        datasets: ordered by dataset and split.
        comparisons: ordered by dataset.
        problems: what was left out, or kept in doubt, and why.
    """

    datasets: tuple[DatasetResults, ...]
    comparisons: tuple[ImportanceComparison, ...]
    problems: tuple[Problem, ...]


FEWEST_FRESH = 50
"""Fresh samples of a dataset below which nothing is verified on it."""

OBJECTIVE = "objective"
"""Where `Run.how` of a study says what removals were ranked by."""

UNVERIFIED = "unverified"
"""In what a study says of a run that verified: by dataset, why it could not be verified: a
sentence, or the number of fresh samples where there are too few."""


@dataclass(frozen=True)
class SeenSamples:
    """The samples by which removals were found.

    Attributes:
        ids: by task.
        pictures: digests of their pictures, of all tasks: a picture may belong to several.
    """

    ids: Mapping[str, Collection[str]]
    pictures: frozenset[str]

    def fresh(self, record: SplitRecord) -> NDArray[np.bool_]:
        """Return for each sample of a split whether neither it nor a picture of it was seen."""
        ids = self.ids.get(record.task, ())
        shown: Sequence[Sequence[str]] = record.pictures or ((),) * len(record.sample_ids)
        return np.array(
            [
                name not in ids and self.pictures.isdisjoint(pictures)
                for name, pictures in zip(record.sample_ids, shown, strict=True)
            ],
            dtype=bool,
        )


def seen_samples(splits: Iterable[StoredSplit]) -> SeenSamples:
    """Return the samples of these splits, which were searched."""
    ids: dict[str, set[str]] = {}
    pictures: set[str] = set()
    for stored in splits:
        ids.setdefault(stored.record.task, set()).update(stored.record.sample_ids)
        pictures.update(one for shown in stored.record.pictures for one in shown)
    return SeenSamples(ids, frozenset(pictures))


def increases(losses: Mapping[Removal, NDArray[np.float32]]) -> dict[Removal, float]:
    """Return how much every removal raises the mean loss; the baseline is among them."""
    means = {removal: float(one.mean(dtype=np.float64)) for removal, one in losses.items()}
    return {removal: mean - means[()] for removal, mean in means.items() if () in means}
