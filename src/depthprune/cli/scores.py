"""`depthprune scores`: make files of importance scores; and what the score commands share.

What needs numpy is imported when it is run: `depthprune --help` is there at once.
"""

from __future__ import annotations

import json as json_module
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Group, Parameter

from depthprune.base.errors import DepthpruneError, RemovalError
from depthprune.base.language import counted, filled, set_language, t
from depthprune.cli.output import AsJson as AsJson
from depthprune.cli.output import Language
from depthprune.cli.output import show as show

if TYPE_CHECKING:
    from depthprune.importance.sources import DatasetScores

_SOURCE = Group.create_ordered("Where the scores come from (one of these)")

NUM_BLOCKS = 16
"""What `scores from-removals` takes the model to have, unless it is told."""

scores = App(name="scores", help="Make files of importance scores that are not measured.")


@Parameter(name="*")
@dataclass(frozen=True)
class SourceFlags:
    """Where measured importance comes from."""

    comparison_dir: Annotated[Path | None, Parameter(group=_SOURCE)] = None
    """Folder tree with importance_comparison_{dataset}.json files; or a study."""

    results_dir: Annotated[Path | None, Parameter(group=_SOURCE)] = None
    """Folder tree of results, {dataset}/{split}/layer_importance_scores.json and the like."""

    study: Annotated[Path | None, Parameter(group=_SOURCE)] = None
    """Folder of a study."""

    def given(self) -> list[str]:
        """Return the options that were given."""
        return [f"--{name}" for name, value in vars(self).items() if value is not None]

    def read(self) -> list[DatasetScores]:
        """Read the one source that is named.

        Raises:
            DepthpruneError: none or several are named, or the source cannot be read.
        """
        from depthprune.importance.sources import from_comparisons, from_results, from_study

        if len(self.given()) != 1:
            told = " and ".join(self.given()) or "none"
            raise DepthpruneError(
                f"one source of scores is needed, given: {told}",
                option=("comparison_dir", "results_dir", "study"),
                mend="name one of them, for example --comparison_dir exp3_importance_comparison",
            )
        if self.comparison_dir is not None:
            return from_comparisons(self.comparison_dir)
        if self.results_dir is not None:
            return from_results(self.results_dir)
        assert self.study is not None
        return from_study(self.study)


@scores.command(name="from-removals")
def from_removals(
    *order: str,
    num_blocks: int | None = None,
    study: Path | None = None,
    output_file: Path = Path("scores_from_removals.json"),
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Write a score file by which the named blocks go, in this order, before all others.

    The blocks that are not named share the highest score. `select` keeps the first and the last
    block by default, also when they are named here.

    For example:

        depthprune scores from-removals 4 13 10 2
        depthprune scores from-removals 4 13 10 2 --num_blocks 32 --output_file order.json
        depthprune select --importance_scores_file order.json --num_active_blocks 30 28

    Parameters
    ----------
    order
        Blocks in the order in which they go, as 4 13 10 2.
    num_blocks
        Of the model; 16 when neither this nor a study is given.
    study
        Folder of a study, which knows how many blocks its model has.
    output_file
        Where the scores are written.

    """
    from depthprune.importance.score_files import check_output, write_scores_from_removals
    from depthprune.importance.select import first_and_last
    from depthprune.report.formatting import blocks
    from depthprune.study import Study

    set_language(lang)
    if num_blocks is not None and study is not None:
        raise DepthpruneError("give --num_blocks or --study, not both")
    if study is not None:
        with Study.open(study, read_only=True) as opened:
            num_blocks = opened.model.num_blocks
    if num_blocks is not None and num_blocks < 2:
        raise DepthpruneError(
            f"a model of {counted(num_blocks, 'block')} has nothing to remove",
            option="num_blocks",
            mend="give the number of blocks of the whole model",
        )
    total = NUM_BLOCKS if num_blocks is None else num_blocks
    named = _indices(order)
    try:
        path = write_scores_from_removals(check_output(output_file), named, total)
    except RemovalError as error:
        if num_blocks is not None or max(named, default=0) < total:
            raise
        raise RemovalError(
            error.what,
            mend=f"give --num_blocks: without it, {counted(total, 'block is', 'blocks are')} taken",
        ) from error
    protected = tuple(block for block in first_and_last(total) if block in named)
    if json:
        value = {"output_file": str(path), "num_blocks": total, "removal_order": named}
        print(json_module.dumps(value | {"protected_by_default": list(protected)}, indent=1))
        return
    order_text = t("Order of removal: {order}; of {n} {n:block|blocks}.")
    lines = [filled(order_text, order=", ".join(map(str, named)), n=total)]
    if num_blocks is None and study is None:
        lines.append(
            t("{n} {n:block was|blocks were} taken, as --num_blocks was not given.", n=total)
        )
    if protected:
        note = t("Note: `select` keeps {blocks} (first and last) unless --protect none is given.")
        lines.append(filled(note, blocks=blocks(protected)))
    show([*lines, t("Scores: {path}", path=path)])


def _indices(given: Sequence[str]) -> list[int]:
    """Return block indices in the order given; `4 13` and `4,13` are the same."""
    parts = [part for part in re.split(r"[,\s]+", " ".join(given)) if part]
    for part in parts:
        if not re.fullmatch(r"[0-9]{1,9}", part):
            raise RemovalError(
                f"{part!r} is not a block index",
                mend="name blocks in the order in which they go, as 4 13 10 2",
            )
    return [int(part) for part in parts]
