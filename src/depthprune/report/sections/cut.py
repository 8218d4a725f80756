"""What `depthprune inspect` and `cut` show: the blocks that can go, the plan, what was written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthprune.base.files import format_size
from depthprune.base.language import Note, filled, t
from depthprune.base.terminal import printable
from depthprune.report.table import Column, Section, Table, table_of

if TYPE_CHECKING:
    from depthprune.blocks.inspect import Inspection
    from depthprune.cutting import Tool
    from depthprune.cutting.execute import CutResult
    from depthprune.cutting.keys import CutNote
    from depthprune.cutting.plan import CutPlan, Pruned
    from depthprune.cutting.source_files import Reason
    from depthprune.cutting.verify import LogitComparison


_MOST_FILES = 12


def plan_section(plan: CutPlan) -> Section:
    """Return what stays, what goes, which fields change, and what is copied."""
    saved = 1 - plan.bytes_after / plan.bytes_before if plan.bytes_before else 0.0
    weights = t(
        "Weights: {before} -> {after} ({saved} less), {n} {n:tensor|tensors} in "
        "{files} {files:file|files}; disk needed: {disk}"
    )
    sentences = [
        _what_goes(plan),
        filled(
            weights,
            before=format_size(plan.bytes_before),
            after=format_size(plan.bytes_after),
            saved=f"{saved:.1%}",
            n=plan.num_tensors,
            files=len(plan.shards),
            disk=format_size(plan.disk_needed),
        ),
    ]
    fields = table_of(
        plan.fields,
        [
            (Column(t("config.json")), lambda change: printable(change.path)),
            (Column(t("before")), lambda change: _short(change.before)),
            (Column(t("after")), lambda change: _short(change.after)),
        ],
    )
    notes = []
    copied = [file.path for file in plan.files.copied]
    if copied:
        notes.append(t("Copied: {files}", files=_listed(copied)))
    if plan.files.left_out:
        reasons = _reasons()
        left = [f"{name} ({reasons[reason]})" for name, reason in plan.files.left_out]
        notes.append(t("Left out: {files}", files=_listed(left)))
    notes += map(_note, plan.notes)
    tables = [fields] if plan.pruned is None else [fields, *_widths_table(plan.pruned)]
    return Section("plan", "", sentences, tables, notes)


def _what_goes(plan: CutPlan) -> str:
    facts = {"name": printable(plan.name), "n": plan.num_blocks, "path": plan.config_path}
    if plan.pruned is None:
        return filled(
            t(
                "{name}: {n} {n:block|blocks} ({path}); removed: {blocks}; {kept} {kept:block "
                "stays|blocks stay}"
            ),
            **facts,
            blocks=blocks_named(plan.removal),
            kept=len(plan.kept),
        )
    pruned = plan.pruned
    return filled(
        t(
            "{name}: {n} {n:block|blocks} ({path}), pruned by {method}; parameters: {before} -> "
            "{after} ({saved} less)"
        ),
        **facts,
        method=pruned.method,
        before=f"{pruned.parameters_before:,}",
        after=f"{pruned.parameters_after:,}",
        saved=f"{pruned.ratio:.1%}",
    )


def _widths_table(pruned: Pruned) -> list[Table]:
    """Return what stays in the blocks, one line for neighbours that are alike."""
    rows: list[list[Any]] = []
    for block, widths in enumerate(pruned.widths):
        if rows and rows[-1][1:] == list(widths):
            rows[-1][0] = f"{rows[-1][0].partition('-')[0]}-{block}"
        else:
            rows.append([str(block), *widths])
    of = t("{name} of {count}")
    channels = of.format(name=t("MLP channels"), count=f"{pruned.num_channels:,}")
    columns = [Column(t("block")), Column(channels, "count")]
    if pruned.num_groups:
        groups = of.format(name=t("attention groups"), count=pruned.num_groups)
        columns.insert(1, Column(groups, "count"))
    else:
        rows = [[block, channels] for block, _, channels in rows]
    return [Table(columns, rows)]


def also_warnings(tools: Sequence[Tool], fields: Sequence[str]) -> list[str]:
    """Return what these tools would write wrongly, and what to do instead."""
    if not fields:
        return []
    instead = {
        "mergekit": t(
            "Warning: mergekit changes only the number of blocks. Replace the config.json that it "
            "writes by the one of this folder: {fields} would not fit."
        ),
        "llama.cpp": t(
            "Warning: llama.cpp changes only the number of blocks, and {fields} would not fit. "
            "Convert the smaller checkpoint to GGUF instead."
        ),
    }
    return [instead[tool].format(fields=_listed(list(fields))) for tool in tools]


def closing_parts(
    result: CutResult | None, verified: LogitComparison | None, *, pruned: bool = False
) -> list[str]:
    """Return what was written and how it was verified; `pruned` is said of units within blocks."""
    if result is None:
        return [t("Nothing was written: this is the plan (--dry-run).")]
    path, size = printable(str(result.output)), format_size(result.num_bytes)
    lines = [t("Written: {path} ({size})", path=path, size=size)]
    return [*lines, verified_line(verified, pruned=pruned)] if verified is not None else lines


def verified_line(verified: LogitComparison, *, pruned: bool = False) -> str:
    """Return whether skipping and cutting agree, and on what that was seen."""
    texts = {
        (False, True): t(
            "Verified: skipping and cutting agree; logits differ by {difference} at most."
        ),
        (False, False): t(
            "NOT verified: the logits of skipping and cutting differ by {difference}."
        ),
        (True, True): t(
            "Verified: masking and pruning agree; logits differ by {difference} at most."
        ),
        (True, False): t("NOT verified: the logits of masking and pruning differ by {difference}."),
    }
    inputs = (
        t("{n} {n:input|inputs}, with a picture") if verified.images else t("{n} {n:input|inputs}")
    )
    line = filled(texts[pruned, verified.agrees], difference=f"{verified.difference:.2g}")
    return f"{line} ({filled(inputs, n=verified.num_inputs)})"


def plan_value(plan: CutPlan) -> dict[str, Any]:
    """Return the plan as plain JSON data."""
    return {
        "model": plan.name,
        "source": str(plan.source),
        "part": plan.part,
        "count": plan.config_path,
        "way": plan.way,
        "num_blocks": plan.num_blocks,
        "removed": list(plan.removal),
        "kept": list(plan.kept),
        "changed_fields": [asdict(change) for change in plan.fields],
        "num_tensors": plan.num_tensors,
        "dropped_tensors": len(plan.dropped),
        "shards": [{"name": one.name, "bytes": one.num_bytes} for one in plan.shards],
        "bytes_before": plan.bytes_before,
        "bytes_after": plan.bytes_after,
        "disk_needed": plan.disk_needed,
        "copied": [file.path for file in plan.files.copied],
        "left_out": [{"file": name, "reason": why} for name, why in plan.files.left_out],
        "quantized": plan.quantized,
        **_pruned_value(plan.pruned),
        "notes": [str(note) for note in plan.notes],
    }


def _pruned_value(pruned: Pruned | None) -> dict[str, Any]:
    if pruned is None:
        return {}
    return {
        "method": pruned.method,
        "parameters_before": pruned.parameters_before,
        "parameters_after": pruned.parameters_after,
        "widths": [{"groups": groups, "channels": channels} for groups, channels in pruned.widths],
    }


def closing_value(
    output: Path | None, result: CutResult | None, verified: LogitComparison | None
) -> dict[str, Any]:
    """Return what was written as plain JSON data."""
    return {
        "output": None if output is None else str(output),
        "written": result is not None,
        "bytes": None if result is None else result.num_bytes,
        "fingerprint": None if result is None else result.fingerprint,
        "verified": None if verified is None else asdict(verified) | {"agrees": verified.agrees},
    }


def blocks_named(removal: Sequence[int]) -> str:
    """Return blocks in words: `block 4`, `blocks 4 and 13`, `blocks 4, 9 and 13`."""
    *first, last = map(str, removal)
    if not first:
        return t("block {block}", block=last)
    return t("blocks {blocks} and {last}", blocks=", ".join(first), last=last)


def _note(note: CutNote) -> str:
    from depthprune.cutting.keys import NOTES

    sentence = Note(NOTES[note.kind], field=printable(note.field))
    return t("Note: {sentence}.", sentence=sentence.translated())


def _reasons() -> dict[Reason, str]:
    return {
        "hidden": t("hidden"),
        "broken link": t("broken link"),
        "link out of the folder": t("link out of the folder"),
        "no file": t("no file"),
        "weights": t("another copy of the weights, or state of training"),
        "whole model": t("describes the whole model"),
        "too large": t("too large for what belongs to a checkpoint"),
    }


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = printable(text)
    return text if len(text) <= 60 else f"{text[:56]} ..."


def _listed(names: list[str]) -> str:
    more = f" ... (+{len(names) - _MOST_FILES})" if len(names) > _MOST_FILES else ""
    return ", ".join(map(printable, names[:_MOST_FILES])) + more


def inspection_section(found: Inspection) -> Section:
    """Return what `inspect` shows of a model: facts, per-layer fields, blocks that can go."""
    stack, per_block = found.stack, found.parameters_per_block
    blocks = t("{path}: {number} {number:block|blocks}")
    size = filled(blocks, path=stack.path, number=stack.num_blocks)
    facts = [
        [t("model"), f"{found.name} ({found.architecture}, {found.kind})"],
        [t("stack"), f"{size}, {stack.part}"],
        [t("counted by"), stack.config_path or t("nothing in the configuration")],
        [t("parameters"), f"{found.parameters:,}"],
        [t("  blocks"), f"{sum(per_block):,} ({_each(per_block)})"],
        [t("  embeddings"), f"{found.embedding_parameters:,}"],
    ]
    if found.vision_parameters:
        facts.append([t("  vision"), f"{found.vision_parameters:,}"])
    for other in found.other_stacks:
        size = filled(blocks, path=other.path, number=other.num_blocks)
        facts.append([t("other stack"), f"{size} (--stack {other.part})"])
    for field in found.layer_fields:
        counts = ", ".join(f"{number} x {kind}" for kind, number in field.counts.items())
        facts.append([t("per block"), f"{field.name}: {counts or field.value}"])
    facts.append([t("can be skipped"), _blocks_that_can_go(found, allowed=found.can_skip)])
    facts.append([t("can be cut"), _blocks_that_can_go(found, allowed=found.can_cut)])
    tables = [Table([Column(""), Column("")], facts, is_spaced=True)]
    refused = Table(
        [Column(t("block"), "count"), Column(t("cannot go alone, because"))],
        [[block, reason] for block, reason in enumerate(found.reasons) if reason is not None],
        is_spaced=True,
    )
    return Section("model", "", tables=[*tables, *([refused] if refused.rows else [])])


def _each(parameters: Sequence[int]) -> str:
    smallest, largest = min(parameters), max(parameters)
    if smallest == largest:
        return t("{smallest:,} each", smallest=smallest)
    return t("{smallest:,} to {largest:,} each", smallest=smallest, largest=largest)


def _blocks_that_can_go(found: Inspection, *, allowed: bool) -> str:
    if not allowed:
        return t("none")
    if len(found.admissible_blocks) == found.num_blocks:
        return t("every block, 0 to {last}", last=found.num_blocks - 1)
    return ", ".join(map(str, found.admissible_blocks))
