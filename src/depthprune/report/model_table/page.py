"""The table of models as one HTML file that needs no other."""

from __future__ import annotations

import base64
import hashlib
from html import escape

from depthprune.base.language import TAGS, current_language, t
from depthprune.report.model_table.grid import Cell, Grid, model_grid
from depthprune.structure.model_columns import Column
from depthprune.structure.model_table import ModelTable

STYLE = """
:root { color-scheme: light dark; }
body { margin: 1.5rem; font: 14px/1.45 system-ui, "Segoe UI", "Noto Sans", "PingFang SC",
  "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
h1 { font-size: 1.2rem; }
.wide { overflow-x: auto; }
table { border-collapse: separate; border-spacing: 0; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #8884; text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
thead th { vertical-align: bottom; white-space: normal; min-width: 4.5rem;
  border-bottom: 2px solid #8888; }
tbody th { position: sticky; left: 0; background: Canvas; font-weight: 500; }
tbody th, thead th:first-child, .list { text-align: left; }
.list { white-space: normal; min-width: 8rem; }
.reference > * { font-style: italic; }
.best { font-weight: 700; color: light-dark(#0a5a9c, #84bdf4); }
.unknown, .apart, .notes { color: light-dark(#566072, #a6b0be); }
sup { line-height: 0; }
.notes { font-size: .88rem; max-width: 95ch; overflow-wrap: anywhere; }
"""


def model_html(table: ModelTable) -> str:
    """Return the table as a page without scripts; names are text, whatever they hold."""
    grid = model_grid(table)
    title = escape(t("Pruned models"))
    digest = base64.b64encode(hashlib.sha256(STYLE.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'"
    marked = "".join(f"<li>{escape(text)}</li>\n" for text in grid.marked)
    notes = "".join(f"<li>{escape(text)}</li>\n" for text in grid.notes)
    return (
        f'<!DOCTYPE html>\n<html lang="{TAGS[current_language()]}">\n<head>\n'
        '<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        f'<div class="wide">\n<table>\n<thead>\n<tr>{_headings(grid)}</tr>\n</thead>\n'
        f"<tbody>\n{_rows(grid)}</tbody>\n</table>\n</div>\n"
        f'<ol class="notes">\n{marked}</ol>\n<ul class="notes">\n{notes}</ul>\n'
        "</body>\n</html>\n"
    )


def _headings(grid: Grid) -> str:
    return "".join(f'<th scope="col">{escape(heading)}</th>' for heading in grid.headings)


def _rows(grid: Grid) -> str:
    lines = []
    for place, cells in enumerate(grid.rows):
        which = ' class="reference"' if place == grid.reference else ""
        inside = "".join(map(_cell, grid.columns, cells))
        lines.append(f"<tr{which}>{inside}</tr>\n")
    return "".join(lines)


def _cell(column: Column, cell: Cell) -> str:
    if column.kind == "name":
        return f'<th scope="row">{escape(cell.text)}</th>'
    classes = [
        name
        for name, holds in (
            ("list", column.kind == "layers"),
            ("unknown", cell.value is None),
            ("apart", cell.mark is not None),
            ("best", cell.is_best),
        )
        if holds
    ]
    which = f' class="{" ".join(classes)}"' if classes else ""
    mark = "" if cell.mark is None else f" <sup>{cell.mark}</sup>"
    return f"<td{which}>{escape(cell.text)}{mark}</td>"
