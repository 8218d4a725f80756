"""What `depthprune structure batch` shows: what became of each model, and what it lost."""

from __future__ import annotations

from rich import box
from rich.console import RenderableType
from rich.table import Table

from depthprune.base.language import t
from depthprune.base.shown import shown
from depthprune.report.structure_summary import count_cells, remarks
from depthprune.structure.batches import BatchOutcome, BatchResult
from depthprune.structure.facts import facts_of
from depthprune.structure.summary import Summary


def batch_parts(outcome: BatchOutcome, summary: Summary) -> list[RenderableType]:
    """Return the table of all models, what happened to their layers, and what went wrong.

    Args:
        outcome: of the run.
        summary: of its models, see `BatchOutcome.summary`.
    """
    facts = {one.name: facts_of(one) for one in summary.models}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    # Names are folded where 80 columns are too few; nothing else is.
    table.add_column(t("model"), overflow="fold")
    table.add_column(t("format"), no_wrap=True)
    table.add_column(t("parameters"), justify="right", no_wrap=True)
    table.add_column(t("pruning ratio %"), justify="right", max_width=8)
    table.add_column(t("layers"), justify="right", no_wrap=True)
    table.add_column(t("outcome"), no_wrap=True)
    for one in outcome.results:
        own = facts.get(one.name) if one.status == "success" else None
        cells = ("", "", "") if own is None else count_cells(own)
        table.add_row(shown(one.name), one.kind or "-", *cells, _status(one))
    parts: list[RenderableType] = [table]
    told = [
        f"  {shown(name)}: {remark}" for name, found in facts.items() for remark in remarks(found)
    ]
    if told:
        parts += [f"{t('Remarks on layers')}:", *told, ""]
    notes = [
        f"{shown(one.name)}: {shown(note.translated())}"
        for one in summary.models
        if one.anatomy is not None
        for note in one.anatomy.notes
    ]
    if notes:
        parts += [*(t("Note: {text}").format(text=note) for note in notes), ""]
    for one in outcome.with_status("failed"):
        error = "\n".join(map(shown, (one.error or "").splitlines()))
        parts += [t("Failed: {part}: {error}").format(part=shown(one.name), error=error), ""]
    reused = sum(one.reused for one in outcome.results)
    parts.append(
        t("Analysed: {done}; unchanged since an earlier run: {reused}; failed: {failed}").format(
            done=len(outcome.with_status("success")) - reused,
            reused=reused,
            failed=len(outcome.with_status("failed")),
        )
    )
    return parts


def _status(one: BatchResult) -> str:
    if one.reused:
        return t("unchanged")
    return {"success": t("analysed"), "failed": t("FAILED"), "no model": t("no model")}[one.status]
