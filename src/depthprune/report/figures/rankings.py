"""Figure: the cheapest removals for each number of removed blocks."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from depthprune.analysis.combinations import Ranking
from depthprune.analysis.whole import Analysis
from depthprune.report.figures.marks import Bar, combination_error, draw_bars
from depthprune.report.figures.style import (
    BLUE,
    DROP_AXIS,
    SKY,
    SMALL_SIZE,
    name_panel,
    new_figure,
    say,
    styled,
)
from depthprune.report.figures.words import (
    combination_note,
    count_of,
    scope,
    shown_of,
    spread,
    whiskers,
)
from depthprune.report.names import removal_label

TOP = 5
MOST_PANELS = 8
PANEL_WIDTH = 2.9


@styled
def rankings_by_num_removed(analysis: Analysis) -> Figure:
    """Draw the five smallest mean drops of each number removed, one panel for each number."""
    rankings = analysis.recommendations.independent
    numbers = spread(sorted(rankings), MOST_PANELS)
    shown = {number: rankings[number].combinations[:TOP] for number in numbers}
    rows = max(1, (len(numbers) + 1) // 2)
    caption = (
        f"{whiskers(one for those in shown.values() for one in those)} "
        "Beside each bar: mean drop, datasets it was measured on of all datasets, samples n where "
        "known. A mean over few datasets says little about the others. "
        f"{shown_of(len(numbers), len(rankings), 'numbers of removed blocks')}\n{scope(analysis)}"
    )
    figure = new_figure(
        11.5,
        1.5 + 2.35 * rows,
        "Which blocks to remove: the smallest mean drops for each number of removed blocks",
        caption,
    )
    columns = 1 if len(numbers) < 2 else 2
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    if not numbers:
        say(panels[0], "no removal was measured")
    for panel, number in zip(panels, numbers, strict=False):
        _draw_ranking(panel, number, rankings[number], analysis)
    for panel in panels[max(1, len(numbers)) :]:
        panel.set_axis_off()
    for panel in panels[max(0, len(numbers) - columns) : len(numbers)]:
        panel.set_xlabel(DROP_AXIS)
        panel.tick_params(axis="x", labelbottom=True)
    return figure


def _draw_ranking(panel: Axes, number: int, ranking: Ranking, analysis: Analysis) -> None:
    recommendations = analysis.recommendations
    active = recommendations.num_blocks - number
    title = f"{count_of(number, 'block')} removed, {active} active: "
    ranked = len(ranking.combinations)
    title += f"best {min(TOP, ranked)} of {ranked:,}" if ranked else "none ranked"
    left_out = []
    if ranking.low_coverage:
        least = recommendations.min_coverage
        left_out.append(f"{ranking.low_coverage:,} on fewer than {count_of(least, 'dataset')}")
    if ranking.improving:
        left_out.append(f"{ranking.improving:,} with a drop below the ranked range")
    if left_out:
        title += f"\nleft out: {'; '.join(left_out)}"
    name_panel(panel, title, 4.7)
    if not ranked:
        # The axis is shared: its ticks must stay for the other panels.
        panel.text(
            0.5,
            0.5,
            "every combination of this size was left out",
            transform=panel.transAxes,
            ha="center",
            va="center",
            color="#555555",
            fontsize=SMALL_SIZE,
        )
        panel.set_yticks([])
        return
    bars = []
    for place, one in enumerate(ranking.combinations[:TOP]):
        error, colour = combination_error(one)
        note = combination_note(one, recommendations.num_datasets)
        label = removal_label(one.removal)
        bars.append(Bar(label, one.mean, error, BLUE if place == 0 else SKY, note, colour))
    draw_bars(panel, bars)
    panel.set_ylim(TOP - 0.4, -0.6)
    panel.set_ylabel("blocks removed")
