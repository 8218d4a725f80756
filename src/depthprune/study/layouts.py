"""The documented result files: what each holds, declared once for reading and for writing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from unicodedata import category

from depthprune.base.documents import (
    ANY,
    BLOCKS,
    COUNT,
    NUMBER,
    TEXT,
    Field,
    Kind,
    Layout,
    WrongFieldError,
    each,
    unexpected,
)
from depthprune.base.removal import Removal
from depthprune.study.records import (
    ModelRecord,
    Provenance,
    SampleResult,
)


@dataclass(frozen=True)
class ResultEntry:
    """What a file says about one removal; None where it says nothing.

    Attributes:
        removed, active: blocks that are left out, and that stay.
        num_blocks: of the unpruned model.
        accuracy, drop, std, num_samples, samples: see `RemovalResult`.
        baseline: accuracy of the unpruned model.
    """

    removed: Removal | None = None
    active: Any = None
    num_blocks: int | None = None
    accuracy: float | None = None
    drop: float | None = None
    std: float | None = None
    num_samples: int | None = None
    baseline: float | None = None
    samples: tuple[SampleResult, ...] | None = None


def dataset_name(name: str) -> str:
    """Return the name of a dataset as it is written in files: underscores, no hyphens."""
    return name.replace("-", "_")


def is_name(value: object) -> bool:
    """Return whether a value can be the name of a dataset or split.

    It becomes a folder's name when it is written again: it must not lead out of one. It is printed,
    too: it must not command a terminal.
    """
    return (
        isinstance(value, str)
        and value not in ("", ".", "..")
        and not any(letter in "/\\" or category(letter) in ("Cc", "Cs") for letter in value)
    )


def _name(value: Any) -> str:
    if not is_name(value):
        raise WrongFieldError(f"{value!r} is not a name")
    return str(value)


def _scores(value: Any) -> dict[int, float]:
    if not isinstance(value, dict):
        raise unexpected("a JSON object of block: score", value)
    scores: dict[int, float] = {}
    for key, score in value.items():
        if not (key.isascii() and key.isdigit() and len(key) < 10):
            raise WrongFieldError(f"{key!r} is not a block index")
        if int(key) in scores:
            raise WrongFieldError(f"block {int(key)} is listed twice")
        try:
            scores[int(key)] = NUMBER.read(score)
        except WrongFieldError as wrong:
            raise wrong.within(key) from None
    return dict(sorted(scores.items()))


def _spread(value: Any) -> float:
    std: float = NUMBER.read(value)
    if std < 0:
        raise WrongFieldError(f"{std} is below 0")
    return std


NAME = Kind("a name", _name)
DATASET = Kind("a name", lambda value: dataset_name(_name(value)))

SCORES = Kind(
    "a JSON object of block: score",
    _scores,
    lambda scores: {str(block): scores[block] for block in sorted(scores)},
)
"""Scores by block, `{"0": score, ...}`; read in ascending order."""

SAMPLE = Layout(
    SampleResult,
    Field("sample_id", Kind("an id", str), required=True),
    Field("score", NUMBER, required=True),
    Field("answer", Kind("an answer", str)),
)

ENTRY = Layout(
    ResultEntry,
    Field("step", COUNT, lambda one: len(one.removed), derived=True),
    Field("num_active_blocks", COUNT, lambda one: len(one.active), derived=True),
    Field("num_total_blocks", COUNT, "num_blocks"),
    Field("active_block_indices", Kind("a list", lambda value: value, list), "active"),
    Field("removed_block_indices", BLOCKS, "removed"),
    Field("accuracy", NUMBER),
    Field("accuracy_drop", NUMBER, "drop"),
    Field("num_samples", COUNT, omit=True),
    Field("std", Kind("a number", _spread), omit=True),
    Field("baseline_accuracy", NUMBER, "baseline"),
    Field("samples", each(SAMPLE), omit=True),
)
"""Of the file of one removal, behind dataset and split, and of the list in a summary."""

HEAD = Layout(
    dict,
    Field("dataset_name", DATASET, "dataset"),
    Field("split", NAME),
    Field("baseline_accuracy", NUMBER, omit=True),
    Field("beam_width", COUNT, omit=True),
    Field("max_blocks_to_remove", COUNT, omit=True),
    Field("num_total_blocks", COUNT, "num_blocks", omit=True),
    Field("total_blocks", COUNT),
)
"""What a file says of everything in it; of the users' scripts some of it in `config`."""

COMPARISON = Layout(
    dict,
    Field("dataset_name", DATASET, "dataset"),
    Field("train_scores", SCORES),
    Field("validation_scores", SCORES),
    Field("spearman_correlation", NUMBER, omit=True),
    Field("p_value", NUMBER, omit=True),
)
"""Of `importance_comparison_{dataset}.json`."""

_MODEL = Layout(
    ModelRecord,
    Field("name", TEXT, required=True),
    Field("fingerprint", TEXT, required=True),
    Field("architecture", TEXT, required=True),
    Field("num_blocks", COUNT, required=True),
    Field("stack", TEXT, required=True),
)
PROVENANCE = Layout(
    Provenance,
    Field("model", _MODEL, required=True),
    Field("task_fingerprint", TEXT, required=True),
    Field("task_type", TEXT, required=True),
    Field("metric", TEXT, required=True),
    Field("settings", TEXT, required=True),
    Field("num_samples", COUNT, omit=True),
    Field("files", each(ANY)),
)
"""Of `provenance.json`."""
