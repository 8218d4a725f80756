"""What a model scores and takes: from the file of its evaluation, of every generation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
from depthprune.structure.folders import EVALUATION, EVALUATION_FILE
from depthprune.structure.json_files import read_json_value

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
