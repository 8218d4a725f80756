"""What `depthprune evaluate` shows: one model's evaluation, and several side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import RenderableType
from rich.table import Table

from depthprune.base.files import format_size
from depthprune.base.language import t
from depthprune.report.tables import percent

if TYPE_CHECKING:
    from depthprune.engine.card.compare import Comparison, EvaluationFile, Row

Card = Mapping[str, Any]


def evaluation_parts(card: Card) -> list[RenderableType]:
    """Return the tables of one evaluation, in reading order.

    Args:
        card: the content of the file, see docs/evaluate.md.
    """
    parts: list[RenderableType] = [_model_line(card["model_info"]), _module_line(card)]
    if card["ppl"]:
        parts += [t("Perplexity"), _perplexity_table(card["ppl"])]
    if card["zeroshot"]["tasks"]:
        parts += [
            t("Zero-shot accuracy (lm-evaluation-harness)"),
            _accuracy_table(card["zeroshot"]),
        ]
    if card["speed"]:
        parts += [t("Speed: generating, prompt included"), _speed_table(card["speed"])]
    if card["memory"]:
        parts += [t("Memory"), _memory_table(card["memory"])]
    return parts


def error_lines(errors: Mapping[str, str]) -> list[str]:
    """Return a line for each part that could not be measured."""
    return [t("Failed: {part}: {error}").format(part=part, error=errors[part]) for part in errors]


def comparison_markdown(comparison: Comparison) -> str:
    """Return evaluations side by side as a table in markdown, the baseline first.

    In brackets behind a value stands the difference to the baseline (perplexity; accuracy, in
    percentage points) or the ratio (all else).
    """
    headings = ["", *_headings(comparison)]
    lines = [_line(headings), "|---|" + "--:|" * len(comparison.files)]
    for row in comparison.rows:
        label = _label(row, comparison)
        lines.append(_line([label if row.is_alike else f"{label} *", *_cells(row)]))
    lines += [
        "",
        t(
            "In brackets: difference to the first model (accuracy in percentage points), or ratio. "
            "- = not measured."
        ),
    ]
    if not all(row.is_alike for row in comparison.rows):
        lines.append(
            t(
                "* measured under different conditions (text, windows, samples, metric, length of "
                "the texts, device, or kind of memory): not comparable."
            )
        )
    problems = [f"{file.path}, {problem}" for file in comparison.files for problem in file.problems]
    lines += ["", *(f"- {_escaped(problem)}" for problem in problems)] if problems else []
    return "\n".join(lines) + "\n"


def comparison_value(comparison: Comparison) -> dict[str, Any]:
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
            }
            for row in comparison.rows
        ],
    }


def _model_line(info: Mapping[str, Any]) -> str:
    removed = info["removed"]
    text = (
        t("{name}: {active} of {blocks} blocks (without {removed}), {parameters}, {dtype}")
        if removed
        else t("{name}: {blocks} blocks, {parameters}, {dtype}")
    )
    return text.format(
        name=info["name"],
        active=info["num_active_blocks"],
        blocks=info["num_blocks"],
        removed=", ".join(map(str, removed)),
        parameters=t("{n} parameters").format(n=_count(info["parameters"])),
        dtype=info["dtype"],
    )


def _module_line(card: Card) -> str:
    counts = card["model_info"]["module_parameters"]
    listed = ", ".join(f"{kind} {_count(counts[kind])}" for kind in counts if counts[kind])
    return t("Parameters: {listed}").format(listed=listed)


def _perplexity_table(texts: Mapping[str, Any]) -> Table:
    table = _table(t("text"), t("window"), t("stride"), t("tokens"), t("perplexity"))
    for name, entry in texts.items():
        for which in ("standard", "quick"):
            one = entry[which]
            bounded = one["window"] != one["window_asked"]
            window = f"{one['window']} ({one['window_asked']})" if bounded else str(one["window"])
            ppl = "-" if one["ppl"] is None else _ppl(one["ppl"])
            table.add_row(name, window, str(one["stride"]), str(one["tokens"]), ppl)
    return table


def _accuracy_table(zeroshot: Mapping[str, Any]) -> Table:
    table = _table(t("task"), t("metric"), t("accuracy %"), t("std. error"), "n")
    for name, entry in zeroshot["tasks"].items():
        accuracy, error = entry["accuracy"], entry["stderr"]
        table.add_row(
            name,
            entry["metric"] or "-",
            "-" if accuracy is None else percent(accuracy),
            "-" if error is None else percent(error),
            str(entry["n"]),
        )
    if zeroshot["average"] is not None:
        label = t("average of {n}").format(n=len(zeroshot["average_of"]))
        table.add_section()
        table.add_row(label, "", percent(zeroshot["average"]), "", "")
    return table


def _speed_table(speed: Mapping[str, Any]) -> Table:
    table = _table(t("batch"), t("tokens/s"), t("std"), t("ms/token"), t("ms/step"), t("tokens"))
    for name, one in speed.items():
        table.add_row(
            name.removeprefix("batch_size_"),
            f"{one['tokens_per_second']:.1f}",
            f"{one['tokens_per_second_std']:.1f}",
            f"{one['ms_per_token']:.2f}",
            f"{one['ms_per_step']:.2f}",
            f"{one['prompt_tokens']} + {one['new_tokens']}",
        )
    return table


def _memory_table(memory: Mapping[str, Any]) -> Table:
    table = _table(t("batch"), t("weights"), t("skipped weights"), t("peak"), t("peak of"))
    kinds = {
        "allocated on GPUs": t("allocated on GPUs"),
        "resident set of the process": t("resident set of the process"),
    }
    for name, one in memory.items():
        peak = one["peak_bytes"]
        table.add_row(
            name.removeprefix("batch_size_"),
            format_size(one["weights_bytes"]),
            format_size(one["skipped_bytes"]),
            "-" if peak is None else format_size(peak),
            kinds.get(one["peak_of"], one["peak_of"]),
        )
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first)
    for heading in others:
        table.add_column(heading, justify="right")
    return table


def _headings(comparison: Comparison) -> list[str]:
    """Return the models' names, with the file where two have the same."""
    names = [_heading(file) for file in comparison.files]
    return [
        f"{name} ({file.path})" if names.count(name) > 1 else name
        for name, file in zip(names, comparison.files, strict=True)
    ]


def _heading(file: EvaluationFile) -> str:
    if not file.removed:
        return file.name
    blocks = ", ".join(map(str, file.removed))
    return t("{name} without {blocks}").format(name=file.name, blocks=blocks)


def _label(row: Row, comparison: Comparison) -> str:
    section, name = row.key
    if row.kind == "ppl":
        windows = ", ".join(window or t("window not stated") for window in row.windows)
        return t("perplexity, {name} ({windows})").format(name=name, windows=windows)
    labels = {
        "parameters": t("parameters"),
        "active_blocks": t("active blocks"),
        "accuracy": t("{name} %"),
        "average": t("average of the {n} tasks that all have, %"),
        "tokens_per_second": t("tokens/s, batch {name}"),
        "ms_per_token": t("ms/token, batch {name}"),
        "weights_bytes": t("weights"),
        "peak_bytes": t("peak memory, batch {name}") if name else t("peak memory"),
    }
    return labels[section].format(name=name, n=len(comparison.common_tasks))


def _cells(row: Row) -> list[str]:
    cells = []
    for place, (value, change) in enumerate(zip(row.values, row.changes, strict=True)):
        if value is None:
            cells.append("-")
        elif place == 0 or change is None:
            cells.append(_value(row, value))
        else:
            cells.append(f"{_value(row, value)} ({_change(row, change)})")
    return cells


def _value(row: Row, value: float) -> str:
    if row.kind == "count":
        return _count(int(value))
    if row.kind == "accuracy":
        return percent(value)
    if row.kind == "bytes":
        return format_size(int(value))
    return _ppl(value) if row.kind == "ppl" else f"{value:.2f}"


def _change(row: Row, change: float) -> str:
    if row.kind == "accuracy":
        return f"{100 * change:+.2f}"
    return f"{change:+.2f}" if row.kind == "ppl" else f"x{change:.2f}"


def _ppl(value: float) -> str:
    return f"{value:.3f}" if value < 10_000 else f"{value:.3g}"


def _count(number: int) -> str:
    for unit, factor in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= factor:
            return f"{number / factor:.2f} {unit}"
    return str(number)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(map(_escaped, cells)) + " |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
