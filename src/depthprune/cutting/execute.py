"""Write the smaller checkpoint as planned: a whole folder, or none."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depthprune.base.errors import FileError
from depthprune.checkpoint.fingerprint import model_fingerprint
from depthprune.cutting.copying import OnBytes, write_shards
from depthprune.cutting.folder import check_disk, check_output, new_folder
from depthprune.cutting.model_card import MeasuredDrop, model_card
from depthprune.cutting.plan import CutPlan
from depthprune.cutting.provenance import PROVENANCE_NAME, provenance
from depthprune.cutting.shards import INDEX_NAME


@dataclass(frozen=True)
class CutResult:
    """What was written.

    Attributes:
        output: the folder.
        num_bytes: of all its files.
        fingerprint: of the smaller checkpoint, see `model_fingerprint`.
    """

    output: Path
    num_bytes: int
    fingerprint: str


def execute_cut(
    plan: CutPlan,
    output: Path,
    *,
    overwrite: bool = False,
    on_bytes: OnBytes | None = None,
    drops: tuple[MeasuredDrop, ...] = (),
    command: str | None = None,
    extra_files: Mapping[str, str] | None = None,
) -> CutResult:
    """Write what `plan` says to the folder `output`: all of it, or nothing.

    Args:
        plan: from `plan_cut`.
        output: is made; its parents too.
        overwrite: replace a checkpoint that is there, once the new one is whole.
        on_bytes: is told how many bytes of weights more were written.
        drops: what the removal was measured to cost, for the model card.
        command: by which the model can be made again.
        extra_files: texts to be written beside, by name, see `also`.

    Raises:
        FileError: the output may not be written, or there is no room; the source has changed or
            cannot be read. Nothing is left behind.
    """
    check_output(plan.source, output, overwrite=overwrite)
    check_disk(output, plan.disk_needed)
    fingerprint = model_fingerprint(plan.source)
    mode = _mode(plan.source / "config.json")
    weights_mode = _mode(plan.shards[0].tensors[0].source.file)
    with new_folder(output, overwrite=overwrite) as folder:
        write_shards(plan.shards, folder, on_bytes or _ignore)
        for shard in plan.shards:
            (folder / shard.name).chmod(weights_mode)
        for file in plan.files.copied:
            _copy_file(plan.source / file.path, folder / file.path)
        for name, value in _documents(plan).items():
            _write_text(folder / name, _as_json(value), mode)
        written = model_fingerprint(folder)
        record = provenance(plan, fingerprint, written, command)
        _write_text(folder / PROVENANCE_NAME, _as_json(record), mode)
        texts = {"README.md": model_card(plan, drops, command), **(extra_files or {})}
        for name, text in texts.items():
            _write_text(folder / name, text, mode)
        folder.chmod(_mode(plan.source))
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return CutResult(output, size, written)


def _documents(plan: CutPlan) -> dict[str, Any]:
    documents = {"config.json": plan.config, **plan.documents}
    if plan.index is not None:
        documents[INDEX_NAME] = plan.index
    return documents


def _copy_file(source: Path, target: Path) -> None:
    """Copy a file, links followed, with its mode; it is on the disk when this returns."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = source.open("rb")
    except OSError as error:
        raise FileError(f"cannot read: {error.strerror or error}", where=str(source)) from error
    with file, target.open("xb") as out:
        shutil.copyfileobj(file, out)
        out.flush()
        os.fsync(out.fileno())
    target.chmod(_mode(source))


def _write_text(path: Path, text: str, mode: int) -> None:
    with path.open("xb") as file:
        # Half a surrogate pair is no UTF-8; as a JSON escape it is kept.
        file.write(text.encode("utf-8", "backslashreplace"))
        file.flush()
        os.fsync(file.fileno())
    path.chmod(mode)


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _mode(path: Path) -> int:
    """Return the permissions of a file or folder; the owner may always read and write the copy."""
    mode = stat.S_IMODE(path.stat().st_mode) & 0o777
    return mode | (0o700 if path.is_dir() else 0o600)


def _ignore(_count: int) -> None:
    pass
