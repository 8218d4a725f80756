"""What `depthprune evaluate` shows: one model's evaluation, and several side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from depthprune.base.language import filled, t
from depthprune.benchmark.results_file import grouped
from depthprune.report.formatting import blocks
from depthprune.report.render.text import value_text
from depthprune.report.sections.answers import damage_columns, reading_note, silent_lines
from depthprune.report.table import Cell, Column, Kind, Section, Table, table_of
from depthprune.tasks.damage import Damage

if TYPE_CHECKING:
    from depthprune.benchmark.compare import ComparedValue, EvaluationComparison, EvaluationFile

Card = Mapping[str, Any]

KINDS: Mapping[str, tuple[Kind, int]] = MappingProxyType(
    {
        "accuracy": ("points", 2),
        "score": ("points", 2),
        "bytes": ("bytes", 0),
        "ppl": ("perplexity", 3),
    }
)
"""How the values of evaluations are shown, and with how many digits; others with two."""

GPU = "allocated on GPUs"
"""Kind of peak memory that is shown; older files have that of a whole process, too."""


def evaluation_sections(card: Card) -> list[Section]:
    """Return one evaluation, in reading order.

    Args:
        card: Content of the file, see docs/evaluate.md.
    """
    kinds = {
        "scores": (t("Scores"), _score_table),
        "ppl": (t("Perplexity"), _perplexity_table),
        "zeroshot": (t("Zero-shot accuracy (lm-evaluation-harness)"), _accuracy_table),
        "speed": (t("Speed: generating, prompt included"), _speed_table),
        "memory": (t("Memory"), _memory_table),
    }
    info = card["model_info"]
    sections = [Section("model", _model_line(info), [_module_line(card)])]
    for name, (title, table) in kinds.items():
        content = card.get(name) or {}
        if content.get("tasks") if name == "zeroshot" else content:
            sections.append(Section(name, title, tables=[table(content)]))
            if name == "scores":
                sections.append(_damage_section(content, len(info["removed"])))
    return sections


def error_lines(errors: Mapping[str, str]) -> list[str]:
    """Return a line for each reason why parts could not be measured."""
    return [
        t("Failed: {part}: {error}", part=", ".join(parts), error=error)
        for parts, error in grouped(errors)
    ]


def comparison_section(comparison: EvaluationComparison) -> Section:
    """Return evaluations side by side, the baseline first.

    In brackets behind a value stands the difference to the baseline (perplexity; accuracy, in
    percentage points) or the ratio (all else; of speeds with its interval).
    """
    names = [Column(name, "shown") for name in _headings(comparison.files)]
    rows = [
        [Cell(_label(row, comparison), mark=None if row.is_alike else "*"), *_cells(row)]
        for row in comparison.rows
    ]
    notes = [
        t(
            "In brackets: difference to the first model (accuracy in percentage points), or ratio. "
            "- = not measured."
        ),
    ]
    if any(any(row.intervals) for row in comparison.rows):
        notes.append(
            t(
                "Ratios of speeds: 95% interval over the repeats; each file was timed by itself, "
                "so what else the machine did then is not in it."
            )
        )
    if not all(row.is_alike for row in comparison.rows):
        notes.append(
            t(
                "* measured under different conditions (text, windows, samples, metric, length of "
                "the texts, device, or kind of memory): not comparable."
            )
        )
    notes += [f"{file.path}, {problem}" for file in comparison.files for problem in file.problems]
    table = Table([Column(""), *names], rows)
    return Section("comparison", t("Evaluations side by side"), tables=[table], notes=notes)


def comparison_value(comparison: EvaluationComparison) -> dict[str, Any]:
    """Return a comparison as plain JSON data."""
    return {
        "models": [
            {"file": str(file.path), "name": file.name, "removed": list(file.removed)}
            | {"problems": list(file.problems)}
            for file in comparison.files
        ],
        "common_tasks": list(comparison.common_tasks),
        "rows": [
            {
                "section": row.key[0],
                "name": row.key[1],
                "kind": row.kind,
                "values": list(row.values),
                "changes": list(row.changes),
                "alike": row.is_alike,
                "windows": list(row.windows),
                "intervals": [one and list(one) for one in row.intervals],
            }
            for row in comparison.rows
        ],
    }


def _model_line(info: Mapping[str, Any]) -> str:
    removed = info["removed"]
    text = (
        t(
            "{name}: {active} of {blocks} {blocks:block|blocks} (without {removed}), "
            "{parameters}, {dtype}"
        )
        if removed
        else t("{name}: {blocks} {blocks:block|blocks}, {parameters}, {dtype}")
    )
    return filled(
        text,
        name=info["name"],
        active=info["num_active_blocks"],
        blocks=info["num_blocks"],
        removed=blocks(removed),
        parameters=t("{n} {n:parameter|parameters}", n=_count(info["parameters"])),
        dtype=info["dtype"],
    )


def _module_line(card: Card) -> str:
    counts = card["model_info"]["module_parameters"]
    listed = ", ".join(f"{kind} {_count(counts[kind])}" for kind in counts if counts[kind])
    return t("Parameters: {listed}", listed=listed)


def _perplexity_table(texts: Mapping[str, Any]) -> Table:
    def window(one: Mapping[str, Any]) -> str:
        bounded = one["window"] != one["window_asked"]
        return f"{one['window']} ({one['window_asked']})" if bounded else str(one["window"])

    return table_of(
        [(name, entry[which]) for name, entry in texts.items() for which in ("standard", "quick")],
        [
            (Column(t("text")), lambda row: row[0]),
            (Column(t("window"), "shown"), lambda row: window(row[1])),
            (Column(t("stride"), "count"), lambda row: row[1]["stride"]),
            (Column(t("tokens"), "count"), lambda row: row[1]["tokens"]),
            (Column(t("perplexity"), "perplexity", 3), lambda row: row[1]["ppl"]),
        ],
        is_spaced=True,
    )


def _accuracy_table(zeroshot: Mapping[str, Any]) -> Table:
    columns = [
        Column(t("task")),
        Column(t("metric"), "shown"),
        Column(t("accuracy %"), "points"),
        Column(t("std. error"), "points"),
        Column("n", "count"),
    ]
    rows = [
        [name, one["metric"] or None, one["accuracy"], one["stderr"], one["n"]]
        for name, one in zeroshot["tasks"].items()
    ]
    if zeroshot["average"] is not None:
        label = t("average of {n}", n=len(zeroshot["average_of"]))
        rows.append([label, "", zeroshot["average"], "", ""])
    return Table(columns, rows, ends=[len(zeroshot["tasks"]) - 1], is_spaced=True)


def _score_table(scores: Mapping[str, Any]) -> Table:
    return table_of(
        scores.values(),
        [
            (Column(t("task")), lambda one: one["task"]),
            (Column(t("split")), lambda one: one["split"]),
            (Column(t("metric")), lambda one: one["metric"]),
            (Column(t("accuracy %"), "points"), lambda one: one["accuracy"]),
            (Column(t("std. error"), "points"), lambda one: one["stderr"]),
            (Column("n", "count"), lambda one: one["n"]),
        ],
    )


def _damage_section(scores: Mapping[str, Any], removed: int) -> Section:
    """Return how written answers are damaged, beside what they score."""
    title = t("Damaged answers")
    written = [one for one in scores.values() if one.get("damage")]
    sentences = silent_lines(one["task"] for one in scores.values() if not one.get("damage"))
    if not written:
        return Section("damage", title, sentences)
    rows = []
    splits = Counter(one["task"] for one in written)
    for one in written:
        name = f"{one['task']} ({one['split']})" if splits[one["task"]] > 1 else one["task"]
        if "whole" in one:
            rows.append((name, 0, one["whole"]))
        rows.append((name, removed, one))
    table = table_of(
        rows,
        [
            (Column(t("task")), lambda row: row[0]),
            (Column(t("blocks removed"), "count"), lambda row: row[1]),
            (Column(t("accuracy %"), "points"), lambda row: row[2]["accuracy"]),
            *damage_columns(lambda row: Damage(**row[2]["damage"])),
        ],
        names=2,
    )
    return Section("damage", title, sentences, [table], [reading_note()])


def _speed_table(speed: Mapping[str, Any]) -> Table:
    columns: list[tuple[Column, Any]] = [
        (Column(t("batch")), lambda row: row[0].removeprefix("batch_size_")),
        (Column(t("tokens/s"), "number", 1), lambda row: row[1]["tokens_per_second"]),
        (Column(t("std"), "number", 1), lambda row: row[1]["tokens_per_second_std"]),
        (Column(t("ms/token"), "number"), lambda row: row[1]["ms_per_token"]),
        (Column(t("ms/step"), "number"), lambda row: row[1]["ms_per_step"]),
        (
            Column(t("tokens"), "shown"),
            lambda row: f"{row[1]['prompt_tokens']} + {row[1]['new_tokens']}",
        ),
    ]
    notes = []
    if any("times_as_fast" in one for one in speed.values()):
        columns.append((Column(t("times as fast"), "shown"), lambda row: _times(row[1])))
        notes.append(
            t("Times as fast as the whole model, which took turns; 95% interval over the repeats.")
        )
    return table_of(speed.items(), columns, notes=notes, is_spaced=True)


def _times(entry: Mapping[str, Any]) -> str | None:
    found = entry.get("times_as_fast")
    if found is None:
        return None
    interval = None if found["low"] is None else (found["low"], found["high"])
    return ratio_text(found["value"], interval)


def ratio_text(value: float, interval: Sequence[float] | None) -> str:
    """Return a ratio with its interval, or that it is not separable from 1."""
    if interval is None:
        return f"x{value:.2f}"
    low, high = interval
    if low <= 1 <= high:
        return t("not separable")
    return f"x{value:.2f} [{low:.2f}, {high:.2f}]"


def _memory_table(memory: Mapping[str, Any]) -> Table:
    columns: list[tuple[Column, Any]] = [
        (Column(t("batch")), lambda row: row[0].removeprefix("batch_size_")),
        (Column(t("weights"), "bytes"), lambda row: row[1]["weights_bytes"]),
        (Column(t("skipped weights"), "bytes"), lambda row: row[1]["skipped_bytes"]),
    ]
    # The memory of a whole process is left out: most of it is Python and its libraries.
    if any(_peak(one) is not None for one in memory.values()):
        columns.append((Column(t("peak on GPUs"), "bytes"), lambda row: _peak(row[1])))
    return table_of(memory.items(), columns, is_spaced=True)


def _peak(entry: Mapping[str, Any]) -> Any:
    return entry["peak_bytes"] if entry["peak_of"] == GPU else None


def _headings(files: Sequence[EvaluationFile]) -> list[str]:
    """Return the models' names, with the file where two have the same."""
    text = t("{name} without {blocks}")
    names = [
        filled(text, name=file.name, blocks=blocks(file.removed)) if file.removed else file.name
        for file in files
    ]
    return [
        f"{name} ({file.path})" if names.count(name) > 1 else name
        for name, file in zip(names, files, strict=True)
    ]


def _label(row: ComparedValue, comparison: EvaluationComparison) -> str:
    section, name = row.key
    if row.kind == "ppl":
        windows = ", ".join(window or t("window not stated") for window in row.windows)
        return t("perplexity, {name} ({windows})", name=name, windows=windows)
    labels = {
        "parameters": t("parameters"),
        "active_blocks": t("active blocks"),
        "accuracy": t("{name} %"),
        "score": t("{name}, score %"),
        "average": t("average of the {n} {n:task|tasks} that all have, %"),
        "tokens_per_second": t("tokens/s, batch {name}"),
        "ms_per_token": t("ms/token, batch {name}"),
        "weights_bytes": t("weights"),
        "peak_bytes": t("peak memory, batch {name}") if name else t("peak memory"),
    }
    return filled(labels[section], name=name, n=len(comparison.common_tasks))


def _cells(row: ComparedValue) -> list[str]:
    cells = []
    for place, (value, change) in enumerate(zip(row.values, row.changes, strict=True)):
        if value is None:
            cells.append("-")
        elif place == 0 or change is None:
            cells.append(_value(row, value))
        else:
            interval = row.intervals[place] if row.intervals else None
            text = _change(row, change) if interval is None else ratio_text(change, interval)
            cells.append(f"{_value(row, value)} ({text})")
    return cells


def _value(row: ComparedValue, value: float) -> str:
    if row.kind == "count":
        return _count(int(value))
    kind, digits = KINDS.get(row.kind, ("number", 2))
    return value_text(Column("", kind, digits), value)


def _change(row: ComparedValue, change: float) -> str:
    if row.kind in ("accuracy", "score"):
        return f"{100 * change:+.2f}"
    return f"{change:+.2f}" if row.kind == "ppl" else f"x{change:.2f}"


def _count(number: int) -> str:
    for unit, factor in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= factor:
            return f"{number / factor:.2f} {unit}"
    return str(number)
