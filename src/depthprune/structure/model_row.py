"""One model of the table: its columns, and what its analysis and its evaluation say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import fsum
from pathlib import Path
from typing import Any, Literal

from depthprune.base.documents import object_at
from depthprune.base.errors import DepthpruneError
from depthprune.base.files import not_finite
from depthprune.benchmark.compare import (
    QUICK_WINDOW,
    STANDARD_WINDOW,
    EvaluationFile,
    evaluation_of,
    is_possible,
)
from depthprune.checkpoint.folder import read_json_value
from depthprune.structure.comparison import ModelComparison, std_kept, variance_kept
from depthprune.structure.finding import EVALUATION, EVALUATION_FILE
from depthprune.structure.summaries import ModelFacts, ModelSummary, facts_of

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
class ModelColumn:
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
    ModelColumn("model", "name"),
    ModelColumn("size_gb", "gigabytes", "low"),
    ModelColumn("parameters_b", "billions", "low"),
    *(ModelColumn(f"ppl_{text}", "ppl", "low", text) for text in TEXTS),
    *(ModelColumn(task, "accuracy", "high", task) for task in TASKS),
    ModelColumn("mean_accuracy", "accuracy", "high"),
    *(
        column
        for rows in BATCHES
        for column in (
            ModelColumn(f"tokens_per_second_batch_{rows}", "rate", "high", str(rows)),
            ModelColumn(f"ms_per_token_batch_{rows}", "time", "low", str(rows)),
        )
    ),
    ModelColumn("peak_memory_mb", "megabytes", "low"),
    ModelColumn("keep_ratio_std", "spread"),
    ModelColumn("keep_ratio_variance", "spread"),
    *(ModelColumn(f"layers_below_{number}", "layers", None, str(number)) for number in THRESHOLDS),
)

_KINDS_OF: Mapping[str, tuple[Kind, ...]] = {
    "size": ("gigabytes", "billions", "ppl", "spread"),
    "zero-shot": ("accuracy",),
    "speed": ("rate", "time", "megabytes"),
    "layers": ("layers",),
}

GROUPS: Mapping[str, tuple[str, ...]] = {
    group: tuple(column.key for column in COLUMNS if column.kind in kinds)
    for group, kinds in _KINDS_OF.items()
}
"""The columns but the model's name, in groups narrow enough for a page or a terminal."""

BY_KEY: Mapping[str, ModelColumn] = {column.key: column for column in COLUMNS}


STANDARD, QUICK = STANDARD_WINDOW, QUICK_WINDOW

MEBIBYTE, GIBIBYTE = 2**20, 2**30
"""What the old files call MB and GB."""

BILLION = 10**9


@dataclass(frozen=True, slots=True)
class NumberConditions:
    """What a number was measured under, as far as a file says.

    Attributes:
        basis: of a perplexity its window, e.g. `2048/512`, of a mean its tasks. Numbers compare
            only on the same one; None is one that no file states, and not taken on trust, for the
            window changes a perplexity by a factor of two.
        details: metric and samples, length and device, or the digest of a text; None, where the
            file does not say, is taken on trust.
    """

    basis: str | None = None
    details: str | None = None

    def compare_with(self, other: NumberConditions) -> bool:
        """Return whether numbers under both compare."""
        trusted = None in (self.details, other.details)
        return self.basis == other.basis and (trusted or self.details == other.details)


@dataclass(frozen=True, slots=True)
class ModelNumber:
    """A finite number, and what it was measured under."""

    value: float
    under: NumberConditions = NumberConditions()


@dataclass(frozen=True)
class Performance:
    """What a file of an evaluation says of its model.

    Attributes:
        path: of the file.
        numbers: by column, in its unit; of perplexities one for every window that the file has, the
            usual one first; of memory the peak of the fewest rows that were tried first.
        removed: blocks that were skipped while measuring.
        problems: what the file holds that can be no measurement, each with its place.
    """

    path: Path
    numbers: Mapping[str, tuple[ModelNumber, ...]]
    removed: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()


_COLUMNS_OF: Mapping[str, tuple[str, int]] = {
    "parameters": ("parameters_b", BILLION),
    "weights_bytes": ("size_gb", GIBIBYTE),
    "ppl": ("ppl_{}", 1),
    "ppl_quick": ("ppl_{}", 1),
    "ppl_unstated": ("ppl_{}", 1),
    "accuracy": ("{}", 1),
    "tokens_per_second": ("tokens_per_second_batch_{}", 1),
    "ms_per_token": ("ms_per_token_batch_{}", 1),
    "peak_bytes": ("peak_memory_mb", MEBIBYTE),
}
"""The column that a section of an evaluation fills, and its unit; `{}` is the name of a value."""


def performance_file(folder: Path) -> Path | None:
    """Return the file of an evaluation in the folder of a model, or None where there is none."""
    places = (folder / EVALUATION / EVALUATION_FILE, folder / EVALUATION_FILE)
    return next(filter(_may_be_file, places), None)


def _may_be_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # reading it tells what is wrong
        return True


def read_performance(path: Path, folder: Path) -> Performance:
    """Read a file that `depthprune evaluate` wrote, or one of the old scripts.

    Of the old files one generation has `ppl` alone, whose windows it does not tell, and one has
    `ppl_quick_128`, `ppl_standard_2048_512` and, once more, one of the two as `ppl`. A `NaN` or
    `Infinity`, which such scripts write for models that broke, costs only itself.

    Args:
        path: of the file.
        folder: of the model; a link out of it is not followed.

    Raises:
        FileError: it is missing or no JSON (line and column).
        LayoutError: it is no evaluation.
        ModelError: it is a link out of the folder.
    """
    content = read_json_value(path, folder)
    file = evaluation_of(path, content)
    numbers = _numbers_of(file)
    if "schema_version" not in content:
        size: Any = object_at(object_at(content, "metrics"), "model_info").get("model_size_gb")
        numbers["size_gb"] = (ModelNumber(float(size)),) if is_possible("bytes", size) else ()
    not_numbers = (f"{place}: {value} is no measurement" for place, value in not_finite(content))
    return Performance(
        path=path,
        numbers={
            key: found for key, found in _with_windows(numbers, path, folder).items() if found
        },
        removed=file.removed,
        problems=tuple(f"{path}, {problem}" for problem in (*not_numbers, *file.problems)),
    )


def _numbers_of(file: EvaluationFile) -> dict[str, tuple[ModelNumber, ...]]:
    found: dict[str, tuple[ModelNumber, ...]] = {}
    for section, (pattern, unit) in _COLUMNS_OF.items():
        keys = sorted((len(key[1]), key) for key in file.values if key[0] == section)
        for _, key in keys:
            column = BY_KEY.get(pattern.format(key[1]))
            if column is not None and (column.of == key[1] or column.key == pattern):
                under = NumberConditions(file.windows.get(key), file.conditions.get(key))
                one = ModelNumber(file.values[key] / unit, under)
                found[column.key] = (*found.get(column.key, ()), one)
    return found


_MOST_BESIDE = 20
"""Files beside an evaluation that are asked for windows, at most."""


def _with_windows(
    found: Mapping[str, tuple[ModelNumber, ...]], path: Path, folder: Path
) -> dict[str, tuple[ModelNumber, ...]]:
    """Return perplexities with the windows that other evaluations in the same folder state.

    Only an equal perplexity of the same text lends its window: nothing is taken on trust.
    """
    unstated = {key for key, each in found.items() if key.startswith("ppl_")
                and any(one.under.basis is None for one in each)}  # fmt: skip
    if not unstated:
        return dict(found)
    stated: dict[tuple[str, float], str] = {}
    for other in sorted(path.parent.glob("*.json"))[:_MOST_BESIDE]:
        if other == path:
            continue
        try:
            file = evaluation_of(other, read_json_value(other, folder))
        except DepthpruneError:  # most are no evaluations, and none is needed
            continue
        stated |= {(f"ppl_{key[1]}", file.values[key]): w for key, w in file.windows.items()}

    def with_window(key: str, one: ModelNumber) -> ModelNumber:
        basis = one.under.basis or stated.get((key, one.value))
        return replace(one, under=replace(one.under, basis=basis))

    return dict(found) | {
        key: tuple(with_window(key, one) for one in found[key]) for key in unstated
    }


def choose_number(found: Sequence[ModelNumber], window: str = STANDARD) -> ModelNumber:
    """Return the perplexity under `window`, else under another one that is known, else any.

    Args:
        found: of one text, in the order of preference; at least one.
        window: that is wanted.
    """
    wanted = (one for one in found if one.under.basis == window)
    known = (one for one in found if one.under.basis is not None)
    return next(wanted, None) or next(known, None) or found[0]


ALL_TASKS = ", ".join(TASKS)
"""What a mean accuracy is a mean of, where all were measured."""


@dataclass(frozen=True)
class ModelRow:
    """One model of the table.

    Attributes:
        name: as in a summary.
        numbers: by column, in the unit of the column; what is not known is absent.
        comparison: with its original; None where no file tells it.
        facts: of its layers, in a few numbers.
        mend: the command that makes an analysis, where there is none.
        is_reference: whether it is the model that the others were pruned from.
        notes: what could not be read, or does not agree.
    """

    name: str
    numbers: Mapping[str, ModelNumber] = field(default_factory=dict)
    comparison: ModelComparison | None = None
    facts: ModelFacts | None = None
    mend: str | None = None
    is_reference: bool = False
    notes: tuple[str, ...] = ()


def model_row(model: ModelSummary, window: str = STANDARD) -> ModelRow:
    """Return the row of a model, from its analysis and from its evaluation.

    Parameters and size are those of the evaluation where it has them, else of the analysis; where
    both tell, and not the same, a note says so. A file that cannot be read costs only its numbers.

    Args:
        model: with its folder.
        window: of the perplexity that is wanted.
    """
    notes = list(model.problems)
    performance: Performance | None = None
    place = performance_file(model.folder)
    if place is not None:
        try:
            performance = read_performance(place, model.folder)
        except DepthpruneError as error:
            notes.append(f"{error.where or place}: {error.what}")
    numbers = _counts_of(model)
    if performance is not None:
        counted, measured = numbers.get("parameters_b"), performance.numbers.get("parameters_b")
        if counted and measured and counted.value != measured[0].value:
            own, other = (round(one.value * BILLION) for one in (measured[0], counted))
            notes.append(f"{performance.path}: {own:,} parameters, but {other:,} in the analysis")
        numbers |= {key: choose_number(one, window) for key, one in performance.numbers.items()}
        if tasks := [task for task in TASKS if task in numbers]:
            numbers["mean_accuracy"] = _mean_accuracy({task: numbers[task] for task in tasks})
        numbers = {key: numbers[key] for key in BY_KEY if key in numbers}
        notes += performance.problems
        if performance.removed:
            blocks = ", ".join(map(str, performance.removed))
            notes.append(f"{performance.path}: measured while blocks {blocks} were skipped")
    return ModelRow(
        name=model.name,
        numbers=numbers,
        comparison=model.comparison,
        facts=facts_of(model),
        mend=model.mend,
        notes=tuple(notes),
    )


def _counts_of(model: ModelSummary) -> dict[str, ModelNumber]:
    comparison, total = model.comparison, facts_of(model).params
    size = model.anatomy.bytes if model.anatomy else 0
    found = {
        "parameters_b": None if total is None else total / BILLION,
        "size_gb": size / GIBIBYTE if size else None,
        "keep_ratio_std": std_kept(comparison) if comparison else None,
        "keep_ratio_variance": variance_kept(comparison) if comparison else None,
    }
    return {key: ModelNumber(value) for key, value in found.items() if value is not None}


def _mean_accuracy(found: Mapping[str, ModelNumber]) -> ModelNumber:
    """Return the mean over those of the tasks that were measured, which are its basis."""
    details = [one.under.details for one in found.values() if one.under.details is not None]
    conditions = "; ".join(details) if len(details) == len(found) else None
    mean = fsum(one.value for one in found.values()) / len(found)
    return ModelNumber(mean, NumberConditions(", ".join(found), conditions))
