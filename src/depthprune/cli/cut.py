"""`depthprune cut`: write the checkpoint without some blocks.

Copies gigabytes in 29 MB of memory: what loads numpy, torch or the studies is imported
only where it is needed.
"""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from depthprune.base.errors import DepthpruneError
from depthprune.base.language import set_language, t
from depthprune.base.options import Options
from depthprune.base.removal import Removal
from depthprune.cli.flags import (
    AsJson,
    Language,
    Model,
    block_set,
    protected_blocks,
    with_flags,
)
from depthprune.cli.output import show, show_json
from depthprune.cutting import CutOptions
from depthprune.cutting.model_card import FILE_NAMES, unfitting_fields
from depthprune.healing import LinearMap
from depthprune.report.render.text import section_parts
from depthprune.report.sections.cut import (
    also_warnings,
    closing_parts,
    closing_value,
    plan_section,
    plan_value,
)
from depthprune.workflow.cutting import carry_out

INTERRUPTED = 130
NOT_VERIFIED = 1
"""Exit code when --verify finds a difference; 2 is a mistake in what was asked."""


@dataclass(frozen=True)
class WhichFlags(Options):
    """Blocks to remove (one of these)."""

    remove: tuple[str, ...] = ()
    """Blocks to remove, e.g. 4,13."""

    num_active_blocks: int | None = None
    """Number of blocks to keep; those with the lowest scores of --importance_scores_file are
    removed."""

    importance_scores_file: tuple[Path, ...] = ()
    """File of importance scores (see `depthprune select`); of several, the first that exists."""

    protect: tuple[str, ...] = ()
    """Blocks to keep regardless of their scores, or none (default: the first and the last)."""

    recommendation: Path | None = None
    """File to take the blocks from: pruning_recommendations.json, or block_configs of `analyze` or
    `select --output_file`."""

    removed: int | None = None
    """Number of blocks to remove by --recommendation (default: the recommended number)."""

    def removal(self) -> tuple[Removal, int | None]:
        """Return the blocks that go, and of how many, where the source says it.

        Raises:
            DepthpruneError: none or several ways to choose are given, or one is incomplete.
        """
        scores = bool(self.importance_scores_file) or self.num_active_blocks is not None
        given = [
            option
            for option, is_given in (
                ("--remove", bool(self.remove)),
                ("--num_active_blocks with --importance_scores_file", scores),
                ("--recommendation", self.recommendation is not None),
            )
            if is_given
        ]
        if len(given) != 1:
            raise DepthpruneError(
                "one way to say which blocks go is required, given: "
                f"{' and '.join(given) or 'none'}",
                option=("remove", "num_active_blocks", "recommendation"),
                mend="for example --remove 4,13",
            )
        if self.protect and not scores:
            raise DepthpruneError(
                f"--protect says nothing beside {given[0]}",
                option="protect",
                mend="it belongs to --importance_scores_file",
            )
        if self.removed is not None and self.recommendation is None:
            raise DepthpruneError(
                f"--removed says nothing beside {given[0]}",
                option="removed",
                mend="it belongs to --recommendation",
            )
        if self.remove:
            return block_set(self.remove), None
        if self.recommendation is not None:
            from depthprune.strategies.block_files import recommended_removal

            return recommended_removal(self.recommendation, self.removed)
        return self._by_scores()

    def _by_scores(self) -> tuple[Removal, int]:
        from depthprune.importance.score_files import count_blocks, find_scores
        from depthprune.importance.select import select_blocks

        if not self.importance_scores_file or self.num_active_blocks is None:
            raise DepthpruneError(
                "scores and the number of blocks that stay belong together",
                option=("num_active_blocks", "importance_scores_file"),
                mend="give both",
            )
        found = find_scores(self.importance_scores_file)
        total = count_blocks(found, None)
        protected = protected_blocks(self.protect)
        return select_blocks(
            found.scores, self.num_active_blocks, protected, num_blocks=total
        ), total


@with_flags
def cut(
    model: Model,
    *,
    which: WhichFlags = WhichFlags(),
    output: Annotated[Path | None, Parameter(name=("--output", "--output-dir"))] = None,
    how: Annotated[CutOptions, Parameter(name="*")] = CutOptions(),
    healing: LinearMap = LinearMap(),
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Write a smaller checkpoint without the given blocks; it loads wherever the original does.

    Copies bytes and computes nothing. It needs 29 MB of memory and, with syncing to the disk, takes
    1.27 times as long as cp and sync. The output folder is either complete or absent, even after a
    kill. Exit code 1: --verify found a difference.

    For example:

        depthprune cut demo --remove 4,13 --output demo-14
        depthprune cut ./Qwen2.5-VL-3B-Instruct --remove 4,13 --output smaller --verify
        depthprune cut MODEL --num_active_blocks 14 --importance_scores_file F --output DIR
        depthprune cut MODEL --recommendation pruning_recommendations.json --output DIR
        depthprune cut MODEL --recommendation block_configs.json --removed 2 --output DIR
        depthprune cut MODEL --remove 4,13 --dry_run
        depthprune cut MODEL --remove 4,13 --heal linear --task okvqa --output DIR

    Parameters
    ----------
    output
        Output folder; not needed with --dry_run.

    """
    set_language(lang)
    removal, expected = which.removal()
    try:
        report = carry_out(
            model,
            removal,
            output,
            how,
            read_settings(how.settings),
            num_blocks=expected,
            heal=healing,
        )
    except KeyboardInterrupt:
        if output is None:
            raise
        told = t("interrupted; {path} was not written, and nothing is left of it")
        print(f"\n{told.format(path=output)}", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    plan, verified = report.plan, report.verification
    parts: list[Any] = [*section_parts(plan_section(plan)), *plan.healed]
    if how.study is not None and not report.drops:
        parts.append(t("Note: the study has not measured this removal; the model card says so."))
    parts += also_warnings(how.also, unfitting_fields(plan))
    if report.folder is None:
        parts += [text.rstrip() for text in report.also.values()]
    else:
        parts += [
            t("For {tool}: {path}").format(tool=tool, path=report.folder / FILE_NAMES[tool])
            for tool in how.also
        ]
    if json:
        value = plan_value(plan) | closing_value(output, report.result, verified)
        show_json(value | ({"also": report.also} if how.also else {}))
    else:
        show([*parts, *closing_parts(report.result, verified)])
    if verified is not None and not verified.agrees:
        raise SystemExit(NOT_VERIFIED)


def read_settings(given: Sequence[str]) -> dict[str, Any]:
    """Return the fields and values of `FIELD=JSON`.

    Raises:
        DepthpruneError: one has no `=`, or what follows is not JSON.
    """
    settings = {}
    for text in given:
        name, equals, value = text.partition("=")
        try:
            if not name or not equals:
                raise ValueError("there is no =")
            settings[name] = json_module.loads(value)
        except ValueError as error:
            raise DepthpruneError(
                f"{text!r} is not FIELD=JSON: {error}",
                option="set",
                mend="for example --set 'text_config.moe_topk=[1, 2, 3]'",
            ) from error
    return settings
