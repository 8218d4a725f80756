"""Tables in LaTeX with booktabs; headings and captions are LaTeX already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from depthprune.report.formatting import ELLIPSIS
from depthprune.report.render.text import NOTHING, plain_cell
from depthprune.report.table import Column, Table, cell_of

LONGEST_TABLE = 36
"""Rows that fit on a page; a longer table is a `longtable`, which breaks across pages."""

LIST_WIDTH = "1.9cm"

HEADER = """\
% Written by depthprune. Put into the preamble:
%   \\usepackage{booktabs}
%   \\usepackage{longtable}
"""

SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "_": r"\_",
        "%": r"\%",
        "&": r"\&",
        "#": r"\#",
        "$": r"\$",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        # Behind the end of a row, LaTeX takes these two for an argument.
        "*": "{*}",
        "[": "{[}",
        ELLIPSIS: r"\ldots{}",
    }
)


def escape(text: str) -> str:
    """Return a text that LaTeX prints as it stands; line breaks become spaces."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split()).translate(SPECIAL)


def latex_table(table: Table, caption: str, label: str, *, space: str = "4pt") -> str:
    """Return a table that floats, or of many rows one that breaks across pages.

    Args:
        table: Table with headings in LaTeX.
        caption: Caption in LaTeX.
        label: Label of the table.
        space: Space at either side of a column.
    """
    columns = "".join(map(_alignment, table.columns))
    head = f"\\toprule\n{_row([column.name for column in table.columns])}\\midrule\n"
    body = "".join(_row(list(map(_cell, table.columns, row))) for row in table.rows)
    if len(table.rows) <= LONGEST_TABLE:
        return (
            "\\begin{table}[htbp]\n\\centering\\footnotesize"
            f"\\setlength{{\\tabcolsep}}{{{space}}}\n"
            f"\\caption{{{caption}}}\n\\label{{{label}}}\n"
            f"\\begin{{tabular}}{{{columns}}}\n{head}{body}\\bottomrule\n"
            "\\end{tabular}\n\\end{table}\n"
        )
    return (
        f"{{\\footnotesize\\setlength{{\\tabcolsep}}{{{space}}}\n"
        f"\\begin{{longtable}}{{{columns}}}\n\\caption{{{caption}}}\\label{{{label}}}\\\\\n"
        f"{head}\\endfirsthead\n{head}\\endhead\n\\bottomrule\n\\endfoot\n"
        f"{body}\\end{{longtable}}\n}}\n"
    )


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + " \\\\\n"


def _alignment(column: Column) -> str:
    if column.kind == "list":
        return rf">{{\raggedright\arraybackslash}}p{{{LIST_WIDTH}}}"
    return "r" if column.is_number else "l"


def _cell(column: Column, value: Any) -> str:
    cell = cell_of(value)
    if column.kind == "p-value" and cell.value is not None:
        return _power(cell.value)
    text = plain_cell(column, value)
    if text == NOTHING and (cell.value is None or column.is_number):
        return "--"
    text = _signed(text) if column.is_number else escape(text)
    text = rf"\textbf{{{text}}}" if cell.is_best else text
    return text if cell.mark is None else f"{text}$^{{{cell.mark}}}$"


def _signed(number: str) -> str:
    return f"$-${number[1:]}" if number.startswith("-") else number


def _power(value: float) -> str:
    if value == 0 or value >= 0.001:
        return f"{value:.3f}"
    digits, exponent = f"{value:.1e}".split("e")
    return f"${digits} \\times 10^{{{int(exponent)}}}$"
