"""The texts of the page that do not depend on the results."""

from __future__ import annotations

from depthprune.base.language import t
from depthprune.report.tables import interval_note


def page_words() -> dict[str, str]:
    """Return the texts of the template."""
    return {
        "title": t("Which blocks can go?"),
        "theme": t("Dark"),
        "skip": t("Skip to the answer"),
        "no_script": t("The interactive parts of this page need JavaScript; the tables do not."),
        "never": t("Must stay"),
        "warnings": t("Before you rely on it"),
        "try": t("Try it"),
        "what_if": t("What if?"),
        "what_if_help": t(
            "Click blocks to remove them, or move with the arrow keys and press the space bar. The "
            "bar below a number is what that block costs alone."
        ),
        "strip": t("Blocks of the model; pressed: removed"),
        "put_back": t("Put all back"),
        "front": t("What each further block costs"),
        "front_help": t(
            "Every dot is a combination that was measured. Hover over it, or move with the arrow "
            "keys; click or press Enter to try it above."
        ),
        "shown_value": t("Vertical axis"),
        "drop": t("accuracy drop"),
        "accuracy": t("mean accuracy"),
        "table": t("All combinations"),
        "table_help": t(
            "Click a heading to sort. Hover over a row, or move to its blocks, for the drop on "
            "each dataset; click the blocks to try them above."
        ),
        "number": t("Blocks removed"),
        "all": t("all"),
        "unranked": t("show those that are not ranked"),
        "more": t("Show all"),
        "heatmap": t("Every block alone, on every dataset"),
        "heatmap_help": t(
            "Drop in points when that block alone is removed; blue gains accuracy, orange loses "
            "some, hatched was not measured. Datasets: most sensitive first. Move with the arrow "
            "keys."
        ),
        "findings": t("What else was found"),
        "made_by": t(
            "Made by depthprune. Drops are percentage points; std is over datasets (population)."
        )
        + " "
        + interval_note(),
    }


def script_words() -> dict[str, str]:
    """Return the texts of the script; it fills in what stands in braces."""
    return {
        "block": t("block"),
        "blocks": t("blocks"),
        "blockNumber": t("Block {block}"),
        "removed": t("removed"),
        "drop": t("drop (points)"),
        "interval": t("95% interval (points)"),
        "std": t("std (points)"),
        "coverage": t("datasets"),
        "adjusted": t("adjusted drop (points)"),
        "accuracy": t("accuracy %"),
        "points": t("{drop} points"),
        "measured": t("measured"),
        "estimate": t("estimate"),
        "unknown": t("unknown"),
        "nothingRemoved": t("Nothing is removed: the unpruned model, drop 0."),
        "everythingRemoved": t("Removing every block leaves no model."),
        "withInterval": t("95% interval {spread}"),
        "withStd": t("{spread} std"),
        "of": t("{coverage} of {total} {total:dataset|datasets}"),
        "baselineFor": t("mean accuracy {accuracy} %"),
        "notRanked": t("not ranked"),
        "offBy": t(
            "± {error} points, from {count} measured {count:combination|combinations} of "
            "{number} {number:block|blocks}"
        ),
        "offByUnknown": t(
            "how far off is unknown: no combination of {number} {number:block|blocks} was "
            "measured that tells"
        ),
        "notAlone": t("No estimate: not measured alone: {blocks}."),
        "sum": t("Sum of single drops"),
        "synergy": t("Known pairwise synergies ({known} of {pairs} {pairs:pair|pairs})"),
        "estimated": t("Estimated drop"),
        "beyond": t(
            "More than the whole accuracy of the unpruned model: expect nothing to be left."
        ),
        "notEmbedded": t(
            "This page holds the best {shown} of {total} {total:combination|combinations} "
            "of {number} {number:block|blocks}; this one is not among them, if it was "
            "measured."
        ),
        "mustStay": t("Block {block} must stay."),
        "perDataset": t("Drop on each dataset"),
        "perBlock": t("What the estimate is made of"),
        "notMeasured": t("not measured"),
        "more": t("and {n} more"),
        "removedBlocks": t("removed: {blocks}"),
        "removedAxis": t("blocks removed"),
        "dropAxis": t("accuracy drop (percentage points)"),
        "accuracyAxis": t("mean accuracy (%)"),
        "best": t("best"),
        "robust": t("robust ({n} {n:dataset|datasets} or more)"),
        "bars": t("bars: 95% interval, or ± std over datasets"),
        "size": t("larger dot: more datasets; hollow: not ranked"),
        "unpruned": t("unpruned"),
        "outside": t("{n} above"),
        "outsideBelow": t("{n} below"),
        "notComparable": t("Means over different datasets are not comparable: prefer the drop."),
        "shown": t("{shown} of {total} {total:combination|combinations}"),
        "truncated": t(
            "{total} {total:combination was|combinations were} measured; this page holds "
            "{held}: the best of each number."
        ),
        "mean": t("mean"),
        "cell": t("Block {block} on {dataset}: {drop}"),
        "orMore": t("{n} or more"),
        "orLess": t("{n} or less"),
        "alone": t("alone"),
    }
