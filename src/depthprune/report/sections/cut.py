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
    from depthprune.cutting.plan import CutPlan
    from depthprune.cutting.source_files import Reason
    from depthprune.cutting.verify import LogitComparison


_MOST_FILES = 12


def plan_section(plan: CutPlan) -> Section:
    """Return what stays, what goes, which fields change, and what is copied."""
    saved = 1 - plan.bytes_after / plan.bytes_before if plan.bytes_before else 0.0
    facts = t(
        "{name}: {n} {n:block|blocks} ({path}); removed: {blocks}; {kept} {kept:block "
        "stays|blocks stay}"
    )
    weights = t(
        "Weights: {before} -> {after} ({saved} less), {n} {n:tensor|tensors} in "
        "{files} {files:file|files}; disk needed: {disk}"
    )
    sentences = [
        filled(
            facts,
            name=printable(plan.name),
            n=plan.num_blocks,
            path=plan.config_path,
            blocks=blocks_named(plan.removal),
            kept=len(plan.kept),
        ),
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
    return Section("plan", "", sentences, [fields], notes)


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


def closing_parts(result: CutResult | None, verified: LogitComparison | None) -> list[str]:
    """Return what was written and how it was verified."""
    if result is None:
        return [t("Nothing was written: this is the plan (--dry-run).")]
    path, size = printable(str(result.output)), format_size(result.num_bytes)
    lines = [t("Written: {path} ({size})", path=path, size=size)]
    return [*lines, verified_line(verified)] if verified is not None else lines


def verified_line(verified: LogitComparison) -> str:
    """Return whether skipping and cutting agree, and on what that was seen."""
    text = (
        t("Verified: skipping and cutting agree; logits differ by {difference} at most.")
        if verified.agrees
        else t("NOT verified: the logits of skipping and cutting differ by {difference}.")
    )
    inputs = (
        t("{n} {n:input|inputs}, with a picture") if verified.images else t("{n} {n:input|inputs}")
    )
    line = filled(text, difference=f"{verified.difference:.2g}")
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
        "notes": [str(note) for note in plan.notes],
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
