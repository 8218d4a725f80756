"""One model of the table: what its analysis and its evaluation say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import fsum

from depthprune.base.errors import DepthpruneError
from depthprune.structure.comparison import Comparison
from depthprune.structure.facts import ModelFacts, facts_of
from depthprune.structure.kept import std_kept, variance_kept
from depthprune.structure.model_columns import BATCHES, TASKS, TEXTS
from depthprune.structure.performance import (
    GIBIBYTE,
    STANDARD,
    Conditions,
    Measured,
    Performance,
    choose_perplexity,
    performance_file,
    read_performance,
)
from depthprune.structure.summary import ModelSummary

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
        numbers |= {key: one for key, one in _measured(performance, window) if one is not None}
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


def _measured(found: Performance, window: str) -> Iterator[tuple[str, Measured | None]]:
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
