"""Tables for the terminal; the same tables are kept as text files. Only formatting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from depthprune.base.language import t
from depthprune.base.removal import Removal, format_removal
from depthprune.base.terminal import terminal
from depthprune.report.table import Column, Table, table_of

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
    return table_of(
        datasets,
        [
            (Column(t("dataset")), lambda one: one.dataset),
            (Column(t("task type")), lambda one: one.task_type),
            (Column("n", "count"), lambda one: one.baseline.num_samples),
            (Column(t("baseline %"), "points"), lambda one: one.baseline.accuracy),
            (Column(t("removals measured"), "count"), lambda one: len(one.measurements)),
        ],
        is_spaced=True,
    )


def importance_table(ranking: Ranking) -> Table:
    """Return single blocks from the least to the most important."""

    def hit_hardest(one: Combination) -> str:
        dataset, drop = max(one.drops.items(), key=lambda item: (item[1], item[0]))
        return f"{dataset} {percent(drop)}"

    over_sets: list[tuple[Column, Callable[[Combination], Any]]] = [
        (Column(t("std"), "points"), _std),
        (Column(t("sets"), "count"), lambda one: one.coverage),
        (Column(t("hit hardest")), hit_hardest),
    ]
    return table_of(
        ranking.combinations,
        [
            (Column(t("block"), "shown"), lambda one: blocks(one.removal)),
            (Column(t("drop (points)"), "points"), lambda one: one.mean),
            (Column(t("95% interval"), "interval"), lambda one: one.interval),
            (Column("n", "count"), lambda one: one.num_samples),
            *(over_sets if any(one.coverage > 1 for one in ranking.combinations) else ()),
        ],
        is_spaced=True,
    )


def drop_matrix(ranking: Ranking, datasets: Sequence[DatasetMeasurements]) -> Table:
    """Return the drop of each combination on each dataset, in the order of the ranking."""
    headings = (f"{one.dataset}_n={one.baseline.num_samples}" for one in datasets)
    columns = [Column(heading.replace("_", "\n"), "points", 1) for heading in headings]
    rows = [
        [blocks(one.removal), *(one.drops.get(dataset.dataset) for dataset in datasets)]
        for one in ranking.combinations
    ]
    return Table([Column(t("blocks"), "shown"), *columns], rows, is_spaced=True)


def combination_table(summary: Summary, *, top: int = 3) -> Table:
    """Return the best combinations over all datasets for each number of removed blocks."""
    rows: list[list[Any]] = []
    ends = []
    for number, ranking in sorted(summary.combinations.items()):
        counts: list[Any] = [number, summary.num_blocks - number]
        for one in ranking.combinations[:top]:
            sets = f"{one.coverage}/{len(summary.datasets)}"
            drop = [one.mean, one.interval, _std(one), sets, one.num_samples]
            rows.append([*counts, blocks(one.removal), *drop])
            counts = ["", ""]
        if not ranking.combinations:
            rows.append([*counts, t("none ranked"), *[""] * 5])
        ends.append(len(rows) - 1)
    columns = [
        Column(t("removed"), "count"),
        Column(t("active"), "count"),
        Column(t("blocks")),
        Column(t("drop (points)"), "points"),
        Column(t("95% interval"), "interval"),
        Column(t("std"), "points"),
        Column(t("sets"), "shown"),
        Column("n", "count"),
    ]
    return Table(columns, rows, ends=ends, is_spaced=True)


def best_combinations(summary: Summary, *, top: int = 3) -> list[Combination]:
    """Return the combinations that `combination_table` shows, in its order."""
    return [
        one for _, each in sorted(summary.combinations.items()) for one in each.combinations[:top]
    ]


def left_out_note(summary: Summary) -> str:
    """Return a line that says how many combinations the ranking leaves out, and why."""
    rankings = summary.combinations.values()
    text = t(
        "Left out of this ranking: {low} measured on fewer than {coverage} "
        "{coverage:dataset|datasets} (--min-coverage). A mean over few datasets (sets) "
        "says little about the others.",
        low=sum(ranking.low_coverage for ranking in rankings),
        coverage=summary.min_coverage,
    )
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
    name = t("{number} removed")
    columns = [Column(t("dataset")), Column("n", "count")]
    columns += [Column(name.format(number=number)) for number in numbers]
    samples = {one.dataset: one.baseline.num_samples for one in summary.datasets}
    rows: list[list[Any]] = []
    for dataset, best in summary.best.items():
        known = {
            number: f"{format_removal(removal, ',')} ({percent(drop)})"
            for number, (removal, drop) in best.items()
        }
        rows.append([dataset, samples[dataset], *map(known.get, numbers)])
    return Table(columns, rows, is_spaced=True)


def agreement_table(agreements: Mapping[str, RankAgreement]) -> Table:
    """Return how far train and validation order the blocks alike, for each dataset."""
    return table_of(
        agreements.items(),
        [
            (Column(t("dataset")), lambda one: one[0]),
            (Column("rho", "number", 4), lambda one: one[1].rho),
            (Column(t("p-value"), "p-value"), lambda one: one[1].p_value),
        ],
        is_spaced=True,
    )


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


def _std(one: Combination) -> float | None:
    return one.std if one.coverage > 1 else None
