"""The file of an evaluation: written after every part, and gone on with when it is there."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from depthprune.base.documents import Json, read_value
from depthprune.base.errors import FileError, option
from depthprune.base.files import check_can_make, write_json

SCHEMA_VERSION = 1

Part = tuple[str, ...]
"""Where something that is measured by itself lies in the file, e.g. `("ppl", "wikitext2")`."""

SAME_MODEL = ("fingerprint", "stack", "removed", "dtype")
"""Fields of `model_info` that must agree for a file to be gone on with."""


class ResultsFile:
    """What was found about one model, kept in a file.

    Args:
        path: of the file; what it holds about this model already is kept, and so are its other
            fields.
        model_info: of the model.
        overwrite: begin anew, whatever is there.

    Raises:
        FileError: the file is none of these, is about another model, or cannot be written.
    """

    def __init__(self, path: Path, model_info: Mapping[str, Any], *, overwrite: bool) -> None:
        check_results_path(path, overwrite=overwrite)
        self.path = path
        self.content: Json = {
            "schema_version": SCHEMA_VERSION,
            "model_info": dict(model_info),
            "ppl": {},
            "zeroshot": {"tasks": {}, "average": None, "average_of": []},
            "scores": {},
            "speed": {},
            "memory": {},
            "errors": {},
            "config": {},
        }
        if path.exists() and not overwrite:
            before = read_value(path)
            _check_same_model(before["model_info"], model_info, path)
            self.content |= before | {"model_info": dict(model_info)}

    def kept(self, part: Part, fingerprint: str) -> bool:
        """Return whether the part was measured with these very settings."""
        entry: Any = self.content
        for name in part:
            entry = entry.get(name) if isinstance(entry, dict) else None
        return isinstance(entry, dict) and entry.get("fingerprint") == fingerprint

    def store(self, part: Part, entry: Mapping[str, Any], fingerprint: str) -> None:
        """Keep what was measured, on the disk when this returns."""
        self._holder(part)[part[-1]] = {**entry, "fingerprint": fingerprint}
        self.content["errors"].pop(part_name(part), None)
        self.write()

    def fail(self, part: Part, error: str) -> None:
        """Keep why a part could not be measured, in place of what was found with other settings."""
        self._holder(part).pop(part[-1], None)
        self.content["errors"][part_name(part)] = error
        self.write()

    def write(self) -> None:
        """Write the file, whole or not at all; raises FileError when that cannot be done."""
        write_json(self.path, self.content)

    def _holder(self, part: Part) -> dict[str, Any]:
        holder = self.content
        for name in part[:-1]:
            holder = holder[name]
        return holder


def part_name(part: Part) -> str:
    """Return what a part is called in `errors`: `ppl.wikitext2`, `zeroshot.piqa`."""
    return ".".join(name for name in part if name != "tasks")


def grouped(errors: Mapping[str, str]) -> list[tuple[list[str], str]]:
    """Return errors with the parts that they befell; those that differ in names alone once."""
    found: dict[str, tuple[list[str], str]] = {}
    for part, error in errors.items():
        told = error.replace(part.rpartition(".")[2], "")
        alike = re.sub(r"'[^']*'|where: .*?(?= mend:|$)", "", told)
        found.setdefault(alike, ([], error))[0].append(part)
    return list(found.values())


def fingerprint_of(settings: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits that identify the settings of a part."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def check_results_path(path: Path, *, overwrite: bool) -> None:
    """Check, before a model is loaded, that results can be written to a file.

    Raises:
        FileError: it is a folder, cannot be written, or holds something else.
    """
    if path.is_dir():
        raise FileError(
            "this is a folder",
            where=str(path),
            mend=f"name a file, e.g. {option('output', 'evaluation_results.json')}",
        )
    check_can_make(path.parent)
    if not path.exists() or overwrite:
        return
    content = read_value(path)
    sections = ("model_info", "ppl", "zeroshot", "speed", "memory", "errors", "config")
    if (
        not isinstance(content, dict)
        or content.get("schema_version") != SCHEMA_VERSION
        or not all(isinstance(content.get(name), dict) for name in sections)
        or not isinstance(content["zeroshot"].get("tasks"), dict)
    ):
        raise FileError(
            "the file is there, and was not written by this version of `depthprune evaluate`",
            where=str(path),
            mend=f"name another file, or replace it with {option('overwrite')}",
        )


def _check_same_model(before: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    differing = [name for name in SAME_MODEL if before.get(name) != now[name]]
    if differing:
        what = ", ".join(f"{name} {before.get(name)!r:.20} there" for name in differing)
        raise FileError(
            f"the file holds results of another model, or of other blocks ({what})",
            where=str(path),
            mend=f"name another file with {option('output')}, or begin anew with "
            f"{option('overwrite')}",
        )
