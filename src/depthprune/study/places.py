"""The folder of one split's result files: whose they are, and how other runs' files step aside.

`{dataset}/{split}/` holds the run made last. The files of a run with another prompt, sample or
dtype lie beside it, in `{dataset}/{split}@{digest}/`, until a run with their options is made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from depthprune.base.errors import FileError, StudyError
from depthprune.base.files import check_can_make
from depthprune.base.log import logger
from depthprune.study import filenames
from depthprune.study.parsing import read_provenance
from depthprune.study.records import ModelRecord


@dataclass(frozen=True)
class Variant:
    """What tells two sets of results of one split apart.

    Attributes:
        fingerprint: of the task: data, samples, prompt, metric.
        settings: under which it was measured.
    """

    fingerprint: str
    settings: str

    def aside(self, folder: Path) -> Path:
        """Return where its files lie while those of other options are in `folder`."""
        digest = hashlib.sha256(f"{self.fingerprint}\n{self.settings}".encode()).hexdigest()[:8]
        return folder.with_name(f"{folder.name}@{digest}")


@dataclass(frozen=True)
class _Holding:
    """What the provenance file of a folder says: the variant, and the names of the files."""

    variant: Variant
    files: frozenset[str]


def check_place(
    folder: Path, variant: Variant, model: ModelRecord, names: Iterable[str]
) -> frozenset[str]:
    """Check that files of these names may be written, and return those written before.

    Nothing is changed.

    Raises:
        StudyError: the folder holds results of another model.
        FileError: the folder cannot be written, or a file is in the way.
    """
    check_can_make(folder)
    held = _holding(folder, model)
    place = folder
    if held is not None and held.variant != variant:
        if held.variant.aside(folder).exists():
            raise FileError(
                f"{folder.name} holds results of other options, which cannot be moved: "
                "their folder is there already",
                where=str(held.variant.aside(folder)),
                mend="move one of the two folders away",
            )
        place = variant.aside(folder)
    elif not folder.exists():
        place = variant.aside(folder)
    if place != folder:
        held = _holding(place, model)
        if held is not None and held.variant != variant:
            raise FileError(
                "the folder holds results of other options than its name says",
                where=str(place),
                mend="move that folder away",
            )
    written = frozenset() if held is None else held.files
    for name in names:
        if name not in written and (place / name).exists():
            raise FileError(
                f"{name} is in the way: it was not written from this study",
                where=str(place / name),
                mend="use another results folder, or move that file away",
            )
    return written


def take_place(folder: Path, variant: Variant, model: ModelRecord) -> None:
    """Move the files of other options aside, and those of `variant`, if there are any, back.

    `check_place` must have allowed it.

    Raises:
        FileError: a folder cannot be renamed.
    """
    held = _holding(folder, model)
    try:
        if held is not None and held.variant != variant:
            folder.rename(held.variant.aside(folder))
            logger.warning(
                "%s held results of other options (sample, prompt or dtype); they are now in %s",
                folder,
                held.variant.aside(folder),
            )
        # A folder without results (a user's notes) stays where it is.
        if not folder.exists() and variant.aside(folder).exists():
            variant.aside(folder).rename(folder)
    except OSError as error:
        raise FileError(
            f"the folder cannot be renamed: {error.strerror or error}",
            where=str(folder),
            mend="check the permissions of the folder above it",
        ) from error


def _holding(folder: Path, model: ModelRecord) -> _Holding | None:
    """Return what an earlier call wrote into a folder for the same model."""
    path = folder / filenames.PROVENANCE
    if not path.exists():
        return None
    found = read_provenance(path)
    if found.model.fingerprint != model.fingerprint:
        raise StudyError(
            f"the folder holds results of another model, {found.model.name}, not of {model.name}",
            where=str(folder),
            mend="use another results folder for this model",
        )
    variant = Variant(found.task_fingerprint, found.settings)
    # The list is a file anyone can edit: only names of result files are ever removed.
    names = (str(file) for file in found.files)
    return _Holding(variant, frozenset(name for name in names if filenames.is_result_file(name)))
