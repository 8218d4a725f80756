"""A table as one HTML file that needs no other."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Any

from depthprune.base.language import TAGS, current_language
from depthprune.report.render.text import cell_text, plain_cell
from depthprune.report.table import Column, Table, cell_of

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


def table_page(title: str, table: Table) -> str:
    """Return a table as a page without scripts; text is text, whatever it holds."""
    title = escape(title)
    digest = base64.b64encode(hashlib.sha256(STYLE.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'"
    marked = "".join(f"<li>{escape(text)}</li>\n" for text in table.marked)
    notes = "".join(f"<li>{escape(text)}</li>\n" for text in table.notes)
    return (
        f'<!DOCTYPE html>\n<html lang="{TAGS[current_language()]}">\n<head>\n'
        '<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        f'<div class="wide">\n<table>\n<thead>\n<tr>{_headings(table)}</tr>\n</thead>\n'
        f"<tbody>\n{_rows(table)}</tbody>\n</table>\n</div>\n"
        f'<ol class="notes">\n{marked}</ol>\n<ul class="notes">\n{notes}</ul>\n'
        "</body>\n</html>\n"
    )


def _headings(table: Table) -> str:
    return "".join(f'<th scope="col">{escape(column.name)}</th>' for column in table.columns)


def _rows(table: Table) -> str:
    lines = []
    for place, (name, *values) in enumerate(table.rows):
        which = ' class="reference"' if place == table.reference else ""
        first = escape(cell_text(table.columns[0], name))
        others = "".join(map(_cell, table.columns[1:], values))
        lines.append(f'<tr{which}><th scope="row">{first}</th>{others}</tr>\n')
    return "".join(lines)


def _cell(column: Column, value: Any) -> str:
    cell = cell_of(value)
    classes = [
        name
        for name, holds in (
            ("list", not column.is_number),
            ("unknown", cell.value is None),
            ("apart", cell.mark is not None),
            ("best", cell.is_best),
        )
        if holds
    ]
    which = f' class="{" ".join(classes)}"' if classes else ""
    mark = "" if cell.mark is None else f" <sup>{cell.mark}</sup>"
    return f"<td{which}>{escape(plain_cell(column, cell))}{mark}</td>"
