"""`depthprune init`: a study file to begin with."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from depthprune.base.errors import FileError
from depthprune.base.files import write_text
from depthprune.base.language import set_language, t
from depthprune.base.terminal import terminal
from depthprune.cli.options import Language

STUDIES = files("depthprune.cli").joinpath("studies")
EXAMPLE = Path(str(STUDIES.joinpath("example.yaml")))
"""The example: it names every field, explains it, and runs as it is."""


def init(
    study_file: Path = Path("study.yaml"), *, overwrite: bool = False, lang: Language = "en"
) -> None:
    """Write an example of a study file: every field with its explanation; it runs as it is.

    For example:

        depthprune init
        depthprune init studies/qwen.yaml

    Parameters
    ----------
    study_file
        Where to write it.
    overwrite
        Replace a file that is there.

    """
    set_language(lang)
    if study_file.is_dir():
        raise FileError(
            "this is a folder",
            where=str(study_file),
            mend=f"name a file, for example {study_file / 'study.yaml'}",
        )
    if study_file.exists() and not overwrite:
        raise FileError(
            "there is a file already",
            where=str(study_file),
            mend="name another one, or add --overwrite",
        )
    write_text(study_file, EXAMPLE.read_text(encoding="utf-8"))
    written = t("Written: {path}. Edit it, then: depthprune run {path}").format(path=study_file)
    terminal(markup=False).print(written, highlight=False, soft_wrap=True)
