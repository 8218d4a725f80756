"""`quick_summary.md`: the answer on one screen."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from depthprune.analysis.combinations import Combination
from depthprune.analysis.whole import Analysis
from depthprune.base.language import t
from depthprune.report.documents.recommended import SCORES
from depthprune.report.evidence import coverage_text
from depthprune.report.inputs import scope_line
from depthprune.report.recommendations import (
    adjusted_lines,
    essential_parts,
    notes,
    target_lines,
)
from depthprune.report.render.markdown import table_lines
from depthprune.report.strategies import recommended_lines, strategy_lines
from depthprune.report.table import Column, table_of

MOST_ROWS = 12
"""Numbers of removed blocks that a table of one screen shows."""


def quick_summary(analysis: Analysis) -> str:
    """Return the short answer as Markdown: what to remove, what it costs, how to go on."""
    found = analysis.recommendations
    path = [step.combination for step in found.stepwise.steps]
    best = [one.combinations[0] for one in found.independent.values() if one.combinations]
    lines = [f"# {t('Which blocks can go')}", "", _plain(scope_line(analysis)), ""]
    lines += [_item(one) for one in notes(found)]
    if found.is_weak:
        return "\n".join(_collapsed(lines)) + "\n"
    if found.targets:
        lines += ["", f"## {t('Targets')}", ""]
        lines += [_item(one) for one in target_lines(found)]
    lines += ["", f"## {t('Recommended strategies')}", ""]
    chosen = [*recommended_lines(found), *strategy_lines(found)]
    lines += [_item(one) for one in chosen if not one.startswith(" ")]
    lines += ["", f"## {t('One block after the other')}", "", *_table(analysis, path)]
    jumps = {len(step.combination.removal) for step in found.stepwise.steps if step.jump}
    if jumps:
        told = t("The cost jumps at {numbers} removed.")
        lines += ["", told.format(numbers=", ".join(map(str, sorted(jumps))))]
    lines += ["", f"## {t('Best for each number removed')}", "", *_table(analysis, best)]
    lines += ["", f"## {t('Blocks that must never go')}", ""]
    lines += [_item(one) for one in essential_parts(found)]
    if found.disagreements:
        lines += ["", f"## {t('Adjusted for the datasets')}", ""]
        lines += [_item(one) for one in adjusted_lines(found)]
    if path:
        lines += ["", f"## {t('Next')}", "", "```bash", select_command(analysis), "```"]
    return "\n".join(_collapsed(lines)) + "\n"


def select_command(analysis: Analysis, scores: str = SCORES) -> str:
    """Return the command that selects exactly the steps of the path from the score file."""
    found = analysis.recommendations
    removed = (len(step.combination.removal) for step in found.stepwise.steps)
    active = " ".join(str(found.num_blocks - number) for number in removed)
    protect = " --protect none" if found.path_ends else ""
    return (
        f"depthprune select --importance_scores_file {quote(scores)} "
        f"--num_active_blocks {active}{protect}"
    )


def _table(analysis: Analysis, ones: Sequence[Combination]) -> list[str]:
    found = analysis.recommendations
    if not ones:
        return [t("None is ranked.")]
    table = table_lines(
        table_of(
            ones[:MOST_ROWS],
            [
                (Column(t("removed"), "count"), lambda one: len(one.removal)),
                (
                    Column("num_active_blocks", "count"),
                    lambda one: found.num_blocks - len(one.removal),
                ),
                (Column(t("blocks"), "blocks"), lambda one: one.removal),
                (Column(t("drop (points)"), "points"), lambda one: one.mean),
                (Column(t("std"), "points"), lambda one: one.std if one.coverage > 1 else None),
                (Column(t("acc. %"), "points"), lambda one: one.accuracy),
                (Column(t("95% interval"), "interval"), lambda one: one.interval),
                (
                    Column(t("coverage"), "shown"),
                    lambda one: coverage_text(one, found.datasets),
                ),
                (Column("n", "samples"), lambda one: one.num_samples),
            ],
        )
    )
    more = len(ones) - MOST_ROWS
    if more > 0:
        table += ["", t("... and {n} more").format(n=more)]
    return table


def _item(line: str) -> str:
    return f"- {_plain(line)}"


def _plain(text: str) -> str:
    """Return a line whose names (of models, of datasets) are not taken for Markdown."""
    return "".join(f"\\{letter}" if letter in "\\`*_<>[]#" else letter for letter in text)


def _collapsed(lines: Sequence[str]) -> list[str]:
    """Return the lines without empty ones that follow each other."""
    return [line for before, line in zip(("", *lines), lines, strict=False) if line or before]
