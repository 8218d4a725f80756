"""Several evaluations side by side: differences and ratios to the first, the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, fsum, isfinite, log, sqrt
from pathlib import Path
from reprlib import repr as short
from statistics import fmean, variance
from typing import Any, Literal

from depthprune.base.documents import Json, object_at, read_value
from depthprune.base.errors import DepthpruneError, LayoutError, option
from depthprune.base.files import is_number

Kind = Literal["count", "ppl", "accuracy", "score", "rate", "time", "bytes"]
"""What a value is; perplexities, accuracies and scores compare by difference, all else by ratio."""

DIFFERING: tuple[Kind, ...] = ("ppl", "accuracy", "score")

STANDARD_WINDOW = "2048/512"
"""Windows of 2048 tokens, a new one every 512: the usual perplexity."""

QUICK_WINDOW = "128"
"""Windows of 128 tokens without overlap."""

MEBIBYTE = 2**20
"""What the old files call MB."""

Key = tuple[str, str]
"""Section and name of a value, e.g. `("ppl", "wikitext2")`."""


@dataclass(frozen=True)
class EvaluationFile:
    """What a file of an evaluation says, whichever tool wrote it.

    Attributes:
        path: of the file.
        name: of the model.
        removed: blocks that were skipped.
        values: what was measured.
        conditions: of values that mean something under equal conditions only: the digest of a
            text, number of documents, length of what was generated, device.
        windows: of perplexities, e.g. `2048/512`; absent where no file states one. It is never
            taken on trust, for it changes a perplexity by a factor of two.
        problems: values that are left out because they can be no measurement, each with its place.
        repeats: seconds of each repeat behind a speed.
    """

    path: Path
    name: str
    removed: tuple[int, ...] = ()
    values: dict[Key, float] = field(default_factory=dict)
    conditions: dict[Key, str] = field(default_factory=dict)
    windows: dict[Key, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    repeats: dict[Key, tuple[float, ...]] = field(default_factory=dict)

    def add(
        self, section: str, name: str, value: Any, condition: str | None = None, *, unit: int = 1
    ) -> None:
        """Note a value, unless it is missing or can be no measurement."""
        if isinstance(value, float) and not isfinite(value):
            return  # whoever reads such files names them with their places
        if value is not None and not is_possible(_KINDS[section], value):
            place = " ".join(filter(None, (section, name)))
            self.problems.append(f"{place}: {short(value)} can be no measurement")
        elif value is not None:
            self.values[section, name] = float(value) * unit
            if condition is not None:
                self.conditions[section, name] = condition

    def add_perplexity(
        self, section: str, name: str, value: Any, window: str | None, text: str | None = None
    ) -> None:
        """Note a perplexity, the window it was measured in and the digest of its text."""
        self.add(section, name, value, text)
        if window is not None and (section, name) in self.values:
            self.windows[section, name] = window


@dataclass(frozen=True)
class ComparedValue:
    """One value of every file.

    Attributes:
        key: which.
        kind: what it is.
        values: of every file, None where it was not measured.
        changes: to the first file: a difference or a ratio by the kind, None where one lacks.
        is_alike: whether all were measured under the same conditions, as far as files tell.
        windows: of a perplexity: those it was measured in, None where a file does not say.
        intervals: of the ratios of a speed, None where a file lacks repeats.
    """

    key: Key
    kind: Kind
    values: tuple[float | None, ...]
    changes: tuple[float | None, ...]
    is_alike: bool = True
    windows: tuple[str | None, ...] = ()
    intervals: tuple[tuple[float, float] | None, ...] = ()


@dataclass(frozen=True)
class EvaluationComparison:
    """Evaluations side by side.

    Attributes:
        files: the baseline first.
        rows: what at least one of them measured.
        common_tasks: the zero-shot tasks that all measured, over which the average goes.
    """

    files: tuple[EvaluationFile, ...]
    rows: tuple[ComparedValue, ...]
    common_tasks: tuple[str, ...]


@dataclass(frozen=True)
class Ratio:
    """How many times as fast one side is as another: the geometric mean, and its 95% interval.

    Attributes:
        value: of the repeats.
        low, high: ends of the interval, by Student's t on the logarithms; None for one repeat.
    """

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def is_separable(self) -> bool:
        """Whether the interval leaves out 1."""
        return self.low is not None and self.high is not None and not self.low <= 1 <= self.high


def speed_ratio(before: Sequence[float], after: Sequence[float], *, in_turns: bool) -> Ratio:
    """Return how many times as fast `after` is, from the seconds of each repeat.

    Args:
        before: of the side that is compared with.
        after: of the other.
        in_turns: the repeats took turns, and are compared one by one; else the sides are (Welch).
    """
    first, second = ([log(one) for one in side] for side in (before, after))
    mean = fmean(first) - fmean(second)
    if min(len(first), len(second)) < 2:
        return Ratio(exp(mean))
    if in_turns:
        changes = [one - other for one, other in zip(first, second, strict=True)]
        variances = [variance(changes) / len(changes)]
        degrees = float(len(changes) - 1)
    else:
        variances = [variance(side) / len(side) for side in (first, second)]
        weights = [
            one * one / (len(side) - 1)
            for one, side in zip(variances, (first, second), strict=True)
        ]
        degrees = sum(variances) ** 2 / sum(weights) if any(weights) else 1.0
    from scipy.special import stdtrit

    half = float(stdtrit(degrees, 0.975)) * sqrt(sum(variances))
    return Ratio(exp(mean), exp(mean - half), exp(mean + half))


def read_evaluation(path: Path) -> EvaluationFile:
    """Read a file that `depthprune evaluate` wrote, or one in a schema of the old scripts.

    Raises:
        FileError: it is missing or no JSON.
        LayoutError: it is no evaluation, or holds NaN (with its place).
    """
    return evaluation_of(path, read_value(path))


def evaluation_of(path: Path, content: Any) -> EvaluationFile:
    """Return what the content of such a file says, without what can be no measurement.

    Raises:
        LayoutError: it is no evaluation.
    """
    if isinstance(content, dict) and "schema_version" in content:
        return _read_ours(path, content)
    metrics = content.get("metrics") if isinstance(content, dict) else None
    if isinstance(metrics, dict):
        return _read_old(path, content, metrics)
    raise LayoutError(
        "this is no evaluation: neither schema_version nor metrics are there",
        where=str(path),
        mend="give files that `depthprune evaluate` wrote",
    )


def compare_evaluations(files: Sequence[EvaluationFile]) -> EvaluationComparison:
    """Set evaluations beside the first of them.

    Raises:
        DepthpruneError: there are fewer than two.
    """
    if len(files) < 2:
        raise DepthpruneError(
            "there is nothing to compare: only one file was given",
            option="compare",
            mend="give the baseline's file first, then others: "
            f"{option('compare', 'base.json,cut.json')}",
        )
    measured = [{key[1] for key in file.values if key[0] == "accuracy"} for file in files]
    keys = dict.fromkeys(key for file in files for key in file.values)
    common = tuple(
        name
        for section, name in keys
        if section == "accuracy" and all(name in names for names in measured)
    )
    rows = [
        _row(key, [file.values.get(key) for file in files], _is_alike(key, files), files)
        for key in sorted(keys, key=lambda key: SECTIONS.index(key[0]))
    ]
    if common:
        means = [fsum(file.values["accuracy", name] for name in common) for file in files]
        alike = all(_is_alike(("accuracy", name), files) for name in common)
        average = _row(("average", ""), [total / len(common) for total in means], alike)
        last = max(place for place, row in enumerate(rows) if row.key[0] == "accuracy")
        rows.insert(last + 1, average)
    return EvaluationComparison(tuple(files), tuple(rows), common)


_KINDS: Mapping[str, Kind] = {
    "parameters": "count",
    "active_blocks": "count",
    "ppl": "ppl",
    "ppl_quick": "ppl",
    "ppl_unstated": "ppl",
    "accuracy": "accuracy",
    "average": "accuracy",
    "score": "score",
    "tokens_per_second": "rate",
    "ms_per_token": "time",
    "weights_bytes": "bytes",
    "peak_bytes": "bytes",
}

SECTIONS = tuple(_KINDS)
"""Of values, in the order of tables."""


def window_name(window: Any, stride: Any) -> str | None:
    """Return a window as tables name it: `2048/512`, or `128` without overlap; None if unknown."""
    if not (is_number(window) and is_number(stride)):
        return None
    return f"{window}" if window == stride else f"{window}/{stride}"


def _old_perplexities(metrics: Mapping[str, Any]) -> Iterator[tuple[str, Any, str | None]]:
    """Return text, perplexity and window of those in a file of the old scripts.

    One generation of these files has `ppl` alone, whose window it does not tell (None); the other
    names the windows, and has one of the two once more as `ppl`, which is left out.
    """
    known: set[tuple[str, float | str]] = set()
    for which, window in (
        ("ppl_standard_2048_512", STANDARD_WINDOW),
        ("ppl_quick_128", QUICK_WINDOW),
        ("ppl", None),
    ):
        for name, value in object_at(metrics, which).items():
            # `wikitext2 (wikitext-2-raw-v1)`
            text = name.partition(" (")[0]
            told = (text, value if is_number(value) else short(value))
            if told not in known:
                known.add(told)
                yield text, value, window


def _row(
    key: Key,
    values: Sequence[float | None],
    alike: bool,
    files: Sequence[EvaluationFile] = (),
) -> ComparedValue:
    kind = _KINDS[key[0]]
    base = values[0]

    def change(value: float | None) -> float | None:
        if value is None or base is None:
            return None
        if kind not in DIFFERING and not base:
            return None
        found = value - base if kind in DIFFERING else value / base
        return found if isfinite(found) else None

    measured = [file for file in files if kind == "ppl" and key in file.values]
    windows = dict.fromkeys(file.windows.get(key) for file in measured)
    intervals = (
        tuple(_interval(key, files[0], file) for file in files) if kind in ("rate", "time") else ()
    )
    changes = tuple(map(change, values))
    return ComparedValue(key, kind, tuple(values), changes, alike, tuple(windows), intervals)


def _interval(key: Key, first: EvaluationFile, file: EvaluationFile) -> tuple[float, float] | None:
    """Return the interval of how many times as fast a file says it is as the first does."""
    if file is first or not (key in first.repeats and key in file.repeats):
        return None
    ratio = speed_ratio(first.repeats[key], file.repeats[key], in_turns=False)
    if ratio.low is None or ratio.high is None:
        return None
    low, high = ratio.low, ratio.high
    return (low, high) if _KINDS[key[0]] == "rate" else (1 / high, 1 / low)


def _is_alike(key: Key, files: Sequence[EvaluationFile]) -> bool:
    told = {file.conditions[key] for file in files if key in file.conditions}
    windows = {file.windows.get(key) for file in files if key in file.values}
    return len(told) <= 1 and len(windows) <= 1


_MOST = 1e24
"""No count, time or memory is so large."""


def is_possible(kind: Kind, value: Any) -> bool:
    """Return whether something can be a measurement of this kind."""
    if not is_number(value):
        return False
    if kind == "ppl":
        return bool(value >= 1)
    return bool(0 <= value <= (1 if kind == "accuracy" else _MOST))


def _read_ours(path: Path, content: Mapping[str, Any]) -> EvaluationFile:
    info = object_at(content, "model_info")
    removed = info.get("removed")
    blocks = [one for one in removed if type(one) is int] if isinstance(removed, list) else []
    found = EvaluationFile(path, str(info.get("name") or path.stem), tuple(blocks))
    found.add("parameters", "", info.get("parameters"))
    found.add("active_blocks", "", info.get("num_active_blocks"))
    for name, entry in _objects(content, "ppl"):
        for section, which in (("ppl", "standard"), ("ppl_quick", "quick")):
            one = object_at(entry, which)
            window, digest = window_name(one.get("window"), one.get("stride")), None
            if entry.get("text_sha256"):
                digest = str(entry["text_sha256"])
            found.add_perplexity(section, name, one.get("ppl"), window, digest)
    for name, entry in _objects(object_at(content, "zeroshot"), "tasks"):
        answered = f"{entry.get('metric')} of {entry.get('n')}"
        found.add("accuracy", name, entry.get("accuracy"), answered)
    for name, entry in _objects(content, "scores"):
        scored = f"{entry.get('metric')} of {entry.get('task_fingerprint')}"
        found.add("score", name, entry.get("accuracy"), scored)
    for name, entry in _objects(content, "speed"):
        batch = name.removeprefix("batch_size_")
        length = f"{entry.get('prompt_tokens')}+{entry.get('new_tokens')}"
        timed = f"{length} on {entry.get('device')}"
        found.add("tokens_per_second", batch, entry.get("tokens_per_second"), timed)
        seconds = entry.get("seconds")
        if isinstance(seconds, list) and all(is_number(one) and one > 0 for one in seconds):
            for name in ("tokens_per_second", "ms_per_token"):
                found.repeats[name, batch] = tuple(map(float, seconds))
        found.add("ms_per_token", batch, entry.get("ms_per_token"), timed)
    for name, entry in _objects(content, "memory"):
        batch, peak = name.removeprefix("batch_size_"), entry.get("peak_bytes")
        found.add("weights_bytes", "", entry.get("weights_bytes"))
        if is_number(peak) and is_number(entry.get("skipped_bytes")):
            # What a model without the skipped blocks would take.
            peak -= entry["skipped_bytes"]
        found.add("peak_bytes", batch, peak, str(entry.get("peak_of")))
    return found


def _read_old(path: Path, content: Mapping[str, Any], metrics: Mapping[str, Any]) -> EvaluationFile:
    place = content.get("model_path")
    name = "/".join(Path(place).parts[-2:]) if isinstance(place, str) else path.stem
    found = EvaluationFile(path, name)
    info = object_at(metrics, "model_info")
    found.add("parameters", "", info.get("total_params"))
    found.add("active_blocks", "", info.get("num_layers"))
    sections = {STANDARD_WINDOW: "ppl", QUICK_WINDOW: "ppl_quick", None: "ppl_unstated"}
    for text, value, window in _old_perplexities(metrics):
        found.add_perplexity(sections[window], text, value, window)
    for name, entry in object_at(metrics, "zeroshot").items():
        found.add("accuracy", name, entry.get("accuracy") if isinstance(entry, dict) else entry)
    efficiency = object_at(metrics, "efficiency")
    for name, entry in _objects(efficiency, "speed"):
        batch = name.removeprefix("batch_size_")
        found.add("tokens_per_second", batch, entry.get("throughput_tokens_per_sec"))
        found.add("ms_per_token", batch, entry.get("latency_ms_per_token"))
    memory = object_at(efficiency, "memory")
    for section, old_name in (
        ("weights_bytes", "model_memory_mb"),
        ("peak_bytes", "inference_peak_mb"),
    ):
        found.add(section, "", memory.get(old_name), unit=MEBIBYTE)
    return found


def _objects(holder: Mapping[str, Any], name: str) -> list[tuple[str, Json]]:
    found = object_at(holder, name)
    return [(key, value) for key, value in found.items() if isinstance(value, dict)]
