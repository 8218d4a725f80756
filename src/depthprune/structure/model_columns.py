"""The 24 columns of the table of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Kind = Literal[
    "name",
    "gigabytes",
    "billions",
    "ppl",
    "accuracy",
    "rate",
    "time",
    "megabytes",
    "spread",
    "layers",
]
"""What stands in a column, and its unit: gigabytes and megabytes of 2^30 and 2^20 bytes, as in the
old files; billions of parameters; accuracy: 0..1; rate: tokens per second; time: milliseconds per
token; spread: of shares 0..1; layers: a list of layers."""

Better = Literal["high", "low"]

TEXTS = ("wikitext2", "ptb")

TASKS = (
    "boolq",
    "piqa",
    "hellaswag",
    "winogrande",
    "arc_easy",
    "arc_challenge",
    "openbookqa",
)

BATCHES = (1, 4)
"""Rows that are generated at once."""

THRESHOLDS = (5, 10, 15, 20)
"""Percent of a layer's parameters; layers that keep less are listed."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table.

    Attributes:
        key: as in files for programs.
        kind: what stands in it.
        better: which end is the better one; None where neither is.
        of: the text, task, number of rows or threshold; empty where the key says it all.
    """

    key: str
    kind: Kind
    better: Better | None = None
    of: str = ""


COLUMNS = (
    Column("model", "name"),
    Column("size_gb", "gigabytes", "low"),
    Column("parameters_b", "billions", "low"),
    *(Column(f"ppl_{text}", "ppl", "low", text) for text in TEXTS),
    *(Column(task, "accuracy", "high", task) for task in TASKS),
    Column("mean_accuracy", "accuracy", "high"),
    *(
        column
        for rows in BATCHES
        for column in (
            Column(f"tokens_per_second_batch_{rows}", "rate", "high", str(rows)),
            Column(f"ms_per_token_batch_{rows}", "time", "low", str(rows)),
        )
    ),
    Column("peak_memory_mb", "megabytes", "low"),
    Column("keep_ratio_std", "spread"),
    Column("keep_ratio_variance", "spread"),
    *(Column(f"layers_below_{number}", "layers", None, str(number)) for number in THRESHOLDS),
)

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "size": (
            "size_gb",
            "parameters_b",
            *(f"ppl_{text}" for text in TEXTS),
            "keep_ratio_std",
            "keep_ratio_variance",
        ),
        "zero-shot": (*TASKS, "mean_accuracy"),
        "speed": (
            *(
                f"{name}_batch_{rows}"
                for rows in BATCHES
                for name in ("tokens_per_second", "ms_per_token")
            ),
            "peak_memory_mb",
        ),
        "layers": tuple(f"layers_below_{number}" for number in THRESHOLDS),
    }
)
"""The columns but the model's name, in groups narrow enough for a page or a terminal."""

BY_KEY = MappingProxyType({column.key: column for column in COLUMNS})
