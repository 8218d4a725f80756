"""`depthprune study`: is what was measured still what was stored?"""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from depthprune.base.language import set_language, t
from depthprune.base.terminal import terminal
from depthprune.cli.output import AsJson, Language

if TYPE_CHECKING:
    from depthprune.study.integrity import Damage

DAMAGED = 1

study = App(name="study", help="Look after a study: find damage to it, and mend it.")


@study.command
def check(folder: Path, *, json: AsJson = False, lang: Language = "en") -> None:
    """List everything in a study that is not what was stored; nothing is changed.

    The exit code is 0 where all is intact, and 1 where something is damaged.

    For example:

        depthprune study check my-study

    Parameters
    ----------
    folder
        Of the study.

    """
    from depthprune.study.integrity import check_study

    set_language(lang)
    found = check_study(folder)
    mend = t("`depthprune study repair` drops it; run again, and it is measured anew.")
    _tell(found, t("damaged: {what}"), mend, json)
    if found:
        raise SystemExit(DAMAGED)


@study.command
def repair(folder: Path, *, json: AsJson = False, lang: Language = "en") -> None:
    """Drop everything in a study that is damaged, so that the next run measures it anew.

    What is intact stays as it is. A study whose file itself is damaged cannot be mended so.

    For example:

        depthprune study repair my-study

    Parameters
    ----------
    folder
        Of the study.

    """
    from depthprune.study.integrity import repair_study

    set_language(lang)
    mend = t("Run the same command again: what was dropped is measured anew.")
    _tell(repair_study(folder), t("dropped: {what}"), mend, json)


def _tell(found: Sequence[Damage], line: str, mend: str, as_json: bool) -> None:
    if as_json:
        print(json_module.dumps({"damaged": [asdict(one) for one in found]}, indent=1))
        return
    lines = [line.format(what=one.what) for one in found]
    lines += [mend] if found else [t("Everything is what was stored.")]
    terminal(markup=False).print("\n".join(lines), soft_wrap=True)
