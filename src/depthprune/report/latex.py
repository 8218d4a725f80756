"""Tables for papers: LaTeX with booktabs, to be read with \\input. In English only."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from pathlib import Path

from depthprune.analysis.agreement import is_consistent
from depthprune.analysis.findings import SplitAgreement
from depthprune.analysis.whole import Analysis
from depthprune.base.files import write_text
from depthprune.importance.compare import THRESHOLD
from depthprune.report.names import ELLIPSIS, short_names
from depthprune.report.sections.findings import samples_by_removal
from depthprune.report.tables import percent

CONSISTENCY_TABLE = "consistency_table.tex"
IMPORTANCE_TABLE = "block_importance_table.tex"

LONGEST_TABLE = 36
"""Rows that fit on a page; a longer table is a `longtable`, which breaks across pages."""

NAME_LETTERS = 24
LINE_LETTERS = 80
"""Letters that fit across a page of text beside the first columns, in small print."""

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


def consistency_table(agreements: Sequence[SplitAgreement]) -> str:
    """Return, as LaTeX, how well the training split of each dataset predicts its validation split.

    Columns: dataset, blocks measured on both splits, Spearman's rho, p-value, consistent or not.
    """
    names = short_names([one.dataset for one in agreements], 40)
    rows = [
        [
            escape(name),
            str(len(one.train_scores.keys() & one.validation_scores.keys())),
            "--" if one.rho is None else _signed(f"{one.rho:.3f}"),
            "--" if one.p_value is None else _power(one.p_value),
            "--" if one.rho is None else ("yes" if is_consistent(one.rho) else "no"),
        ]
        for name, one in zip(names, agreements, strict=True)
    ]
    caption = (
        "Spearman's rank correlation of single-block drops between the training and the "
        rf"validation split; consistent: $\rho \geq {THRESHOLD}$. $n$: blocks measured on both; "
        "--: undefined."
    )
    heading = ["Dataset", "$n$", r"$\rho$", "$p$", "Consistent"]
    return HEADER + booktabs_table("lrrrl", heading, rows, caption, "tab:consistency")


def block_importance_table(analysis: Analysis) -> str:
    """Return, as LaTeX, the drop of every single block: mean, std, and on each dataset, in points.

    More datasets than fit across a page go on in further tables.
    """
    table = analysis.table
    blocks = {one.block: one for one in analysis.findings.blocks}
    singles = table.single_drops
    samples = samples_by_removal(table)
    names = [escape(name) for name in short_names(table.datasets, NAME_LETTERS)]
    parts = _parts(short_names(table.datasets, NAME_LETTERS))
    texts = []
    for number, columns in enumerate(parts):
        rows = []
        for block in range(table.num_blocks):
            found = blocks.get(block)
            row = [str(block)]
            if number == 0:
                row += (
                    ["--", "--", "0", "--"]
                    if found is None
                    else [
                        _points(found.mean),
                        _points(found.std) if found.coverage > 1 else "--",
                        str(found.coverage),
                        str(samples[(block,)] or "--"),
                    ]
                )
            rows.append(row + [_points(float(singles[block, column])) for column in columns])
        first = ["Mean", "Std", "Sets", "$n$"] if number == 0 else []
        which = f" (part {number + 1} of {len(parts)})" if len(parts) > 1 else ""
        caption = (
            f"Accuracy drop when one block is removed, in percentage points{which}. Mean and "
            "population standard deviation over the datasets that measured it (Sets; $n$: their "
            "samples); "
            "negative: better without the block; --: not measured."
        )
        texts.append(
            booktabs_table(
                "r" * (1 + len(first) + len(columns)),
                ["Block", *first, *(names[column] for column in columns)],
                rows,
                caption,
                "tab:block-importance" + (f"-{number + 1}" if number else ""),
            )
        )
    return HEADER + "\n".join(texts)


def write_latex(analysis: Analysis, folder: Path) -> list[Path]:
    """Write the tables that the analysis has rows for, whole or not at all; return their paths.

    Raises:
        FileError: the folder cannot be written.
    """
    texts = {}
    if analysis.findings.agreements:
        texts[CONSISTENCY_TABLE] = consistency_table(analysis.findings.agreements)
    if analysis.findings.blocks:
        texts[IMPORTANCE_TABLE] = block_importance_table(analysis)
    written = []
    for name, text in texts.items():
        path = Path(folder) / name
        write_text(path, text)
        written.append(path)
    return written


def booktabs_table(
    columns: str,
    heading: Sequence[str],
    rows: Sequence[Sequence[str]],
    caption: str,
    label: str,
    *,
    space: str = "4pt",
) -> str:
    """Return a table that floats, or of many rows one that breaks across pages.

    Args:
        columns: as LaTeX names them, e.g. `lrr`.
        heading, rows: as wide as `columns`, escaped.
        caption, label: of the table, escaped.
        space: at either side of a column.
    """
    head = f"\\toprule\n{_row(heading)}\\midrule\n"
    body = "".join(map(_row, rows))
    if len(rows) <= LONGEST_TABLE:
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


def _parts(names: Sequence[str]) -> list[list[int]]:
    """Return the indices of the names in runs that fit across a page, at least one run."""
    parts: list[list[int]] = [[]]
    # The first part has mean, std, sets and n besides.
    used = 25
    for index, name in enumerate(names):
        letters = max(len(name), 5) + 2
        if parts[-1] and used + letters > LINE_LETTERS:
            parts.append([])
            used = 0
        parts[-1].append(index)
        used += letters
    return parts


def _points(fraction: float) -> str:
    return "--" if isnan(fraction) else _signed(percent(fraction))


def _signed(number: str) -> str:
    return f"$-${number[1:]}" if number.startswith("-") else number


def _power(value: float) -> str:
    if value == 0 or value >= 0.001:
        return f"{value:.3f}"
    digits, exponent = f"{value:.1e}".split("e")
    return f"${digits} \\times 10^{{{int(exponent)}}}$"
