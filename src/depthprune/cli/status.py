"""`depthprune status`: is it still working, and how far is it? Asked from another shell."""

from __future__ import annotations

import json as json_module
from pathlib import Path

from depthprune.base.language import set_language
from depthprune.cli.output import AsJson, Language, show


def status(study: Path, *, json: AsJson = False, lang: Language = "en") -> None:
    """Say what is being measured, how far it is, how long it takes, and whether it still works.

    Reads the study while another process writes it, and changes nothing.

    For example:

        depthprune status my-study
        depthprune status my-study --json

    Parameters
    ----------
    study
        Its folder.

    """
    from depthprune.report.render.text import section_parts
    from depthprune.report.sections.status import status_section, status_value
    from depthprune.study.status import read_status

    set_language(lang)
    found = read_status(study)
    if json:
        print(json_module.dumps(status_value(found), indent=1))
        return
    show(section_parts(status_section(found))[1:])
