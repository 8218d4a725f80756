"""The figure of a comparison of pruning methods: mean accuracy against size."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from depthprune.report.figures.style import (
    BLACK,
    CATEGORIES,
    GREY,
    MARKERS,
    new_figure,
    style,
)
from depthprune.widths.methods import WHOLE, MethodResult


def accuracy_by_size(results: Sequence[MethodResult]) -> Figure:
    """Draw one line for each method and kind of widths, from the whole model down."""
    whole = next(one for one in results if one.method == WHOLE)
    compared = [one for one in results if one.method != WHOLE and not one.as_fast_as]
    names = list(dict.fromkeys(one.name for one in compared))
    methods = list(dict.fromkeys(one.method for one in compared))
    caption = (
        f"Mean accuracy over {', '.join(whole.scores)}. Nothing was trained after pruning. "
        "Black: the whole model; dashed: widths by the scores of all blocks."
    )
    with style():
        figure = new_figure(7.0, 4.8, "What pruned models score for their size", caption)
        axes = figure.add_subplot()
        for name in names:
            place = methods.index(name.partition(" ")[0])
            line = [whole, *(one for one in compared if one.name == name)]
            axes.plot(
                [100 * one.parameters / whole.parameters for one in line],
                [100 * one.mean for one in line],
                color=CATEGORIES[place % (len(CATEGORIES) - 1)],
                marker=MARKERS[place % len(MARKERS)],
                linestyle="--" if name.endswith("global") else "-",
                label=name,
            )
        axes.axhline(100 * whole.mean, color=GREY, linewidth=0.8, zorder=0)
        axes.plot([100], [100 * whole.mean], marker="D", color=BLACK, linestyle="none")
        axes.invert_xaxis()
        axes.set_xlabel("parameters (% of the whole model)")
        axes.set_ylabel("mean accuracy (%)")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
