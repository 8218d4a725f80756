"""Tables for the terminal; the same tables are kept as text files. Only formatting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING

from rich import box
from rich.console import RenderableType
from rich.table import Table

from depthprune.base.language import t
from depthprune.base.removal import Removal, format_removal
from depthprune.base.terminal import terminal

if TYPE_CHECKING:  # they load numpy and scipy, which tables of other things do without
    from depthprune.analysis.bootstrap import Interval
    from depthprune.analysis.combinations import Combination, DatasetMeasurements, Ranking
    from depthprune.analysis.summary import Summary
    from depthprune.importance.compare import RankAgreement

MAX_WIDTH = 100
"""Columns of the tables in text files."""


def percent(fraction: float, decimals: int = 2) -> str:
    """Return a fraction as percentage points; a number that rounds to zero has no sign."""
    text = f"{100 * fraction:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def blocks(removal: Removal) -> str:
    """Return the blocks of a removal for a table cell."""
    return ", ".join(map(str, removal)) if removal else t("none")


def interval_text(interval: Interval | None) -> str:
    """Return an interval as `[low, high]` in percentage points, or `-` where none is known."""
    if interval is None:
        return "-"
    return f"[{percent(interval.low, 1)}, {percent(interval.high, 1)}]"


def interval_note() -> str:
    """Return what the intervals of a report are about, and where there is none."""
    return t(
        "Interval: 95%, paired by sample; about these datasets, what other samples of them would "
        "give. None without scores per sample or below 10 samples; a bootstrap where scores may "
        "exceed 1 (CIDEr-D)."
    )


def dataset_table(datasets: Sequence[DatasetMeasurements]) -> Table:
    """Return what was measured: task type, samples, baseline accuracy and removals of each set."""
    table = _table()
    table.add_column(t("dataset"))
    table.add_column(t("task type"))
    table.add_column("n", justify="right")
    table.add_column(t("baseline %"), justify="right")
    table.add_column(t("removals measured"), justify="right")
    for dataset in datasets:
        table.add_row(
            dataset.dataset,
            dataset.task_type,
            str(dataset.baseline.num_samples),
            percent(dataset.baseline.accuracy),
            str(len(dataset.measurements)),
        )
    return table


def importance_table(ranking: Ranking) -> Table:
    """Return single blocks from the least to the most important."""
    table = _table()
    table.add_column(t("block"), justify="right")
    table.add_column(t("drop %"), justify="right")
    table.add_column(t("95% interval"), justify="right", no_wrap=True)
    table.add_column("n", justify="right")
    several = any(one.coverage > 1 for one in ranking.combinations)
    if several:
        table.add_column(t("std"), justify="right")
        table.add_column(t("sets"), justify="right")
        table.add_column(t("hit hardest"))
    for one in ranking.combinations:
        dataset, drop = max(one.drops.items(), key=lambda item: (item[1], item[0]))
        over_sets = (_std(one), str(one.coverage), f"{dataset} {percent(drop)}") if several else ()
        table.add_row(
            blocks(one.removal),
            percent(one.mean),
            interval_text(one.interval),
            str(one.num_samples),
            *over_sets,
        )
    return table


def drop_matrix(ranking: Ranking, datasets: Sequence[DatasetMeasurements]) -> Table:
    """Return the drop of each combination on each dataset, in the order of the ranking."""
    table = _table()
    table.add_column(t("blocks"), justify="right")
    for dataset in datasets:
        heading = f"{dataset.dataset}_n={dataset.baseline.num_samples}".replace("_", "\n")
        table.add_column(heading, justify="right")
    for one in ranking.combinations:
        cells = (
            percent(one.drops[dataset.dataset], 1) if dataset.dataset in one.drops else "-"
            for dataset in datasets
        )
        table.add_row(blocks(one.removal), *cells)
    return table


def combination_table(summary: Summary, *, top: int = 3) -> Table:
    """Return the best combinations over all datasets for each number of removed blocks."""
    table = _table()
    table.add_column(t("removed"), justify="right")
    table.add_column(t("active"), justify="right")
    table.add_column(t("blocks"))
    table.add_column(t("drop %"), justify="right")
    table.add_column(t("95% interval"), justify="right", no_wrap=True)
    table.add_column(t("std"), justify="right")
    table.add_column(t("sets"), justify="right")
    table.add_column("n", justify="right")
    num_blocks, num_datasets = summary.num_blocks, len(summary.datasets)
    for number, ranking in sorted(summary.combinations.items()):
        for place, one in enumerate(ranking.combinations[:top]):
            table.add_row(
                str(number) if place == 0 else "",
                str(num_blocks - number) if place == 0 else "",
                blocks(one.removal),
                percent(one.mean),
                interval_text(one.interval),
                _std(one),
                f"{one.coverage}/{num_datasets}",
                str(one.num_samples),
                end_section=place == min(top, len(ranking.combinations)) - 1,
            )
        if not ranking.combinations:
            none = t("none ranked")
            table.add_row(str(number), str(num_blocks - number), none, end_section=True)
    return table


def best_combinations(summary: Summary, *, top: int = 3) -> list[Combination]:
    """Return the combinations that `combination_table` shows, in its order."""
    return [
        one for _, each in sorted(summary.combinations.items()) for one in each.combinations[:top]
    ]


def left_out_note(summary: Summary) -> str:
    """Return a line that says how many combinations the ranking leaves out, and why."""
    rankings = summary.combinations.values()
    text = t(
        "Left out of this ranking: {low} measured on fewer than {coverage} datasets "
        "(--min-coverage). A mean over few datasets (sets) says little about the others."
    ).format(low=sum(ranking.low_coverage for ranking in rankings), coverage=summary.min_coverage)
    return text + below_limit_note(rankings)


def below_limit_note(rankings: Iterable[Ranking]) -> str:
    """Return the sentence that counts what `--min-drop` left out; nothing where it left out none.

    Only an option leaves them out: by default nothing is too small to be ranked.
    """
    count = sum(ranking.improving for ranking in rankings)
    text = t(" {count} with a mean drop below --min-drop.")
    return text.format(count=count) if count else ""


def best_table(summary: Summary) -> Table:
    """Return the best combination that each dataset's own search found, per number removed."""
    numbers = sorted(summary.combinations)
    table = _table()
    table.add_column(t("dataset"), no_wrap=True)
    table.add_column("n", justify="right")
    for number in numbers:
        table.add_column(t("{number} removed").format(number=number))
    samples = {one.dataset: str(one.baseline.num_samples) for one in summary.datasets}
    for dataset, best in summary.best.items():
        cells = (
            f"{format_removal(best[number][0], ',')} ({percent(best[number][1])})"
            if number in best
            else "-"
            for number in numbers
        )
        table.add_row(dataset, samples[dataset], *cells)
    return table


def agreement_table(agreements: Mapping[str, RankAgreement]) -> Table:
    """Return how far train and validation order the blocks alike, for each dataset."""
    table = _table()
    table.add_column(t("dataset"))
    table.add_column("rho", justify="right")
    table.add_column(t("p-value"), justify="right")
    for dataset, agreement in agreements.items():
        table.add_row(dataset, _number(agreement.rho, ".4f"), _number(agreement.p_value, ".2e"))
    return table


def as_text(parts: Sequence[RenderableType], width: int = MAX_WIDTH) -> str:
    """Return tables and lines as plain text of at most `width` columns."""
    console = terminal(
        file=StringIO(), width=width, color_system=None, legacy_windows=False, markup=False
    )
    for part in parts:
        console.print(part, highlight=False)
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False)


def _std(one: Combination) -> str:
    return percent(one.std) if one.coverage > 1 else "-"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
