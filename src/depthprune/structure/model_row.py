"""One model of the table: its columns, and what its analysis and its evaluation say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import fsum
from pathlib import Path
from types import MappingProxyType
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
from depthprune.structure.comparison import Comparison, std_kept, variance_kept
from depthprune.structure.finding import EVALUATION, EVALUATION_FILE
from depthprune.structure.summarize import ModelFacts, ModelSummary, facts_of

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


STANDARD, QUICK = STANDARD_WINDOW, QUICK_WINDOW

GIBIBYTE = 2**30
"""What the old files call GB."""


@dataclass(frozen=True, slots=True)
class Conditions:
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

    def compare_with(self, other: Conditions) -> bool:
        """Return whether numbers under both compare."""
        trusted = None in (self.details, other.details)
        return self.basis == other.basis and (trusted or self.details == other.details)


@dataclass(frozen=True, slots=True)
class Measured:
    """A finite number, and what it was measured under."""

    value: float
    under: Conditions = Conditions()


@dataclass(frozen=True)
class Performance:
    """What a file of an evaluation says of its model.

    Attributes:
        path: of the file.
        parameters: None where the file does not say, as everything here.
        size_bytes: of the weights.
        perplexities: by text, under every window that the file has, the usual one first.
        accuracies: 0..1, by task.
        tokens_per_second, ms_per_token: by the number of rows generated at once.
        peak_bytes: the most memory in use while generating the fewest rows that were tried.
        removed: blocks that were skipped while measuring.
        problems: what the file holds that can be no measurement, each with its place.
    """

    path: Path
    parameters: int | None
    size_bytes: float | None
    perplexities: Mapping[str, tuple[Measured, ...]]
    accuracies: Mapping[str, Measured]
    tokens_per_second: Mapping[int, Measured]
    ms_per_token: Mapping[int, Measured]
    peak_bytes: Measured | None
    removed: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()


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
    is_old = "schema_version" not in content
    perplexities: dict[str, tuple[Measured, ...]] = {}
    for section in ("ppl", "ppl_quick", "ppl_unstated"):
        for text, one in _measured(file, section).items():
            perplexities[text] = (*perplexities.get(text, ()), one)
    perplexities = _with_windows(perplexities, path, folder)
    parameters = file.values.get(("parameters", ""))
    return Performance(
        path=path,
        parameters=None if parameters is None else int(parameters),
        size_bytes=_old_size(content) if is_old else file.values.get(("weights_bytes", "")),
        perplexities=perplexities,
        accuracies=_measured(file, "accuracy"),
        tokens_per_second=_by_rows(file, "tokens_per_second"),
        ms_per_token=_by_rows(file, "ms_per_token"),
        peak_bytes=_peak(file),
        removed=file.removed,
        problems=(
            *(
                f"{path}, {place}: {value} is no measurement"
                for place, value in not_finite(content)
            ),
            *(f"{path}, {problem}" for problem in file.problems),
        ),
    )


_MOST_BESIDE = 20
"""Files beside an evaluation that are asked for windows, at most."""


def _with_windows(
    found: Mapping[str, tuple[Measured, ...]], path: Path, folder: Path
) -> dict[str, tuple[Measured, ...]]:
    """Return perplexities with the windows that other evaluations in the same folder state.

    Only an equal perplexity of the same text lends its window: nothing is taken on trust.
    """
    if all(one.under.basis is not None for each in found.values() for one in each):
        return dict(found)
    stated: dict[tuple[str, float], str] = {}
    for other in sorted(path.parent.glob("*.json"))[:_MOST_BESIDE]:
        if other == path:
            continue
        try:
            file = evaluation_of(other, read_json_value(other, folder))
        except DepthpruneError:  # most are no evaluations, and none is needed
            continue
        stated |= {(key[1], file.values[key]): window for key, window in file.windows.items()}
    return {
        text: tuple(
            one
            if one.under.basis is not None or (text, one.value) not in stated
            else replace(one, under=replace(one.under, basis=stated[text, one.value]))
            for one in each
        )
        for text, each in found.items()
    }


def choose_perplexity(found: tuple[Measured, ...], window: str = STANDARD) -> Measured | None:
    """Return the perplexity under `window`, else under another one that is known, else any.

    Args:
        found: of one text, in the order of preference.
        window: that is wanted.
    """
    wanted = (one for one in found if one.under.basis == window)
    known = (one for one in found if one.under.basis is not None)
    return next(wanted, None) or next(known, None) or next(iter(found), None)


def _old_size(content: Mapping[str, Any]) -> float | None:
    size: Any = object_at(object_at(content, "metrics"), "model_info").get("model_size_gb")
    return size * GIBIBYTE if is_possible("bytes", size) else None


def _measured(file: EvaluationFile, section: str) -> dict[str, Measured]:
    return {
        key[1]: Measured(value, Conditions(file.windows.get(key), file.conditions.get(key)))
        for key, value in file.values.items()
        if key[0] == section
    }


def _by_rows(file: EvaluationFile, section: str) -> dict[int, Measured]:
    found = _measured(file, section)
    # A number of rows that is longer is none.
    return {int(name): found[name] for name in found if name.isdecimal() and len(name) < 9}


def _peak(file: EvaluationFile) -> Measured | None:
    """Return the peak of the fewest rows; an old file has one, and does not tell of how many."""
    found = _measured(file, "peak_bytes")
    return found[min(found, key=lambda name: (len(name), name))] if found else None


MEBIBYTE = 2**20
BILLION = 10**9

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
    numbers: Mapping[str, Measured] = field(default_factory=dict)
    comparison: Comparison | None = None
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
    numbers: dict[str, Measured | None] = _analysed(model)
    if performance is not None:
        notes += _disagreement(numbers, performance)
        numbers |= {key: one for key, one in _columns_of(performance, window) if one is not None}
        notes += performance.problems
        if performance.removed:
            blocks = ", ".join(map(str, performance.removed))
            notes.append(f"{performance.path}: measured while blocks {blocks} were skipped")
    return ModelRow(
        name=model.name,
        numbers={key: one for key, one in numbers.items() if one is not None},
        comparison=model.comparison,
        facts=facts_of(model),
        mend=model.mend,
        notes=tuple(notes),
    )


def _analysed(model: ModelSummary) -> dict[str, Measured | None]:
    comparison, total = model.comparison, facts_of(model).params
    size = model.anatomy.bytes if model.anatomy else 0
    return {
        "parameters_b": _known(total, BILLION),
        "size_gb": _known(size or None, GIBIBYTE),
        "keep_ratio_std": _known(std_kept(comparison) if comparison else None),
        "keep_ratio_variance": _known(variance_kept(comparison) if comparison else None),
    }


def _columns_of(found: Performance, window: str) -> Iterator[tuple[str, Measured | None]]:
    yield "parameters_b", _known(found.parameters, BILLION)
    yield "size_gb", _known(found.size_bytes, GIBIBYTE)
    for text in TEXTS:
        yield f"ppl_{text}", choose_perplexity(found.perplexities.get(text, ()), window)
    for task in TASKS:
        yield task, found.accuracies.get(task)
    yield "mean_accuracy", _mean_accuracy(found)
    for rows in BATCHES:
        yield f"tokens_per_second_batch_{rows}", found.tokens_per_second.get(rows)
        yield f"ms_per_token_batch_{rows}", found.ms_per_token.get(rows)
    if found.peak_bytes is not None:
        peak = found.peak_bytes
        yield "peak_memory_mb", Measured(peak.value / MEBIBYTE, peak.under)


def _known(value: float | None, unit: int = 1) -> Measured | None:
    return None if value is None else Measured(value / unit)


def _mean_accuracy(found: Performance) -> Measured | None:
    """Return the mean over those of the tasks that were measured, which are its basis."""
    tasks = [task for task in TASKS if task in found.accuracies]
    if not tasks:
        return None
    mean = fsum(found.accuracies[task].value for task in tasks) / len(tasks)
    details = [found.accuracies[task].under.details for task in tasks]
    told = "; ".join(one for one in details if one is not None) if None not in details else None
    return Measured(mean, Conditions(", ".join(tasks), told))


def _disagreement(
    analysed: Mapping[str, Measured | None], performance: Performance
) -> Iterator[str]:
    one = analysed["parameters_b"]
    if one is not None and performance.parameters is not None:
        counted = round(one.value * BILLION)
        if counted != performance.parameters:
            yield (
                f"{performance.path}: {performance.parameters:,} parameters, "
                f"but {counted:,} in the analysis"
            )
