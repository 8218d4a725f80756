"""Write the smaller checkpoint as planned: a whole folder, or none."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depthprune.base.errors import FileError, option
from depthprune.base.files import format_size
from depthprune.checkpoint.fingerprint import model_fingerprint
from depthprune.cutting.model_card import PROVENANCE_NAME, MeasuredDrop, model_card, provenance
from depthprune.cutting.plan import CutPlan
from depthprune.cutting.shards import INDEX_NAME, OnBytes, write_shards

_NEW, _OLD = "new-", "replaced-"


def check_output(source: Path, output: Path, *, overwrite: bool) -> None:
    """Check that `output` may be written.

    Raises:
        FileError: it lies in the source, or the source in it; it exists and is not to be
            overwritten, or is no checkpoint.
    """
    inner, outer = output.resolve(), source.resolve()
    if inner == outer:
        raise FileError("the output is the source", where=str(output), mend="choose another folder")
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise FileError(
            "the output lies inside the source, or the source inside the output",
            where=str(output),
            mend="choose a folder elsewhere",
        )
    if not output.exists() and not output.is_symlink():
        return
    if output.is_dir() and not output.is_symlink() and not any(output.iterdir()):
        return
    if not overwrite:
        raise FileError(
            "the output exists already",
            where=str(output),
            mend=f"choose another folder, or replace this one with {option('overwrite')}",
        )
    if output.is_symlink() or not (output / "config.json").is_file():
        raise FileError(
            "the output exists and is no checkpoint, so it is not overwritten",
            where=str(output),
            mend="choose another folder",
        )


def check_disk(output: Path, needed: int) -> None:
    """Raise FileError when the disk under `output` has less than `needed` bytes left."""
    place = output.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed:
        raise FileError(
            f"the disk has {format_size(free)} left, and {format_size(needed)} are needed",
            where=str(place),
            mend="make room, or choose an output on another disk",
        )


@contextmanager
def new_folder(output: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield an empty folder that becomes `output` when the body ends, and goes when it fails.

    What earlier runs to this output left behind is cleared away first. What the body writes must be
    on the disk (fsync) when it ends.

    Args:
        output: the final place, see `check_output`.
        overwrite: whether a folder that is there is replaced; it is there until the new one is
            whole, and comes back when renaming fails.

    Raises:
        FileError: the folder cannot be made or renamed, or the output has appeared meanwhile.
    """
    output = output.absolute()
    missing = [parent for parent in output.parents if not parent.exists()]
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(output)
        if not overwrite and output.is_dir() and any(output.iterdir()):
            raise FileExistsError(errno.EEXIST, "the output exists already")  # it came back
        place, lock = _make(output)
    except OSError as error:
        _remove_empty(missing)
        raise _cannot_write(output, error) from error
    try:
        try:
            yield place
            _sync(place)
            _put(place, output, overwrite=overwrite)
            _sync(output.parent)
        except OSError as error:
            raise _cannot_write(output, error) from error
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(lock)
        _remove_empty(missing)


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders as far as they are empty, the innermost first."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


def clear_leftovers(output: Path) -> tuple[Path, ...]:
    """Remove what runs to `output` that were killed have left, and return it.

    A folder that was about to be replaced goes back to its place when nothing has taken it.
    """
    cleared = []
    start = f".{output.name}.depthprune-"
    for leftover in sorted(output.parent.glob(f".{_escaped(output.name)}.depthprune-*")):
        if not re.fullmatch(rf"({_NEW}|{_OLD})\w+", leftover.name[len(start) :]):
            continue
        lock = _try_lock(leftover)
        if lock is None:
            continue
        try:
            old = leftover.name.startswith(f"{start}{_OLD}")
            if old and not output.exists():
                leftover.rename(output)
            else:
                shutil.rmtree(leftover, ignore_errors=True)
            cleared.append(leftover)
        finally:
            os.close(lock)
    return tuple(cleared)


def _make(output: Path) -> tuple[Path, int]:
    while True:
        made = tempfile.mkdtemp(prefix=f".{output.name}.depthprune-{_NEW}", dir=output.parent)
        place = Path(made)
        lock = _try_lock(place, needed=False)
        # Between the two lines another run may have taken it for a leftover.
        if lock is not None and place.exists():
            return place, lock


def _try_lock(folder: Path, *, needed: bool = True) -> int | None:
    """Return a lock on a folder, or None when another process holds it or it is gone.

    Args:
        folder: to be locked.
        needed: give None also where the file system knows no locks, as some of clusters do.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if not needed and not isinstance(error, BlockingIOError):
            return descriptor
        os.close(descriptor)
        return None
    return descriptor


def _put(place: Path, output: Path, *, overwrite: bool) -> None:
    if not overwrite or not output.exists():
        # Onto an empty folder, but not onto a full one: the system refuses that.
        place.rename(output)
        return
    old = place.with_name(place.name.replace(_NEW, _OLD, 1))
    output.rename(old)
    try:
        place.rename(output)
    except OSError:
        old.rename(output)
        raise
    # By its new name, no later run takes what is left of it for a whole folder.
    old.rename(place)
    shutil.rmtree(place, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Make the names in a folder last; some file systems cannot, and do it by themselves."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _cannot_write(output: Path, error: OSError) -> FileError:
    return FileError(
        f"the smaller checkpoint cannot be written: {error.strerror or error}",
        where=str(output),
        mend="check that the folder is writable and the disk has room; nothing was left behind",
    )


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
    on_bytes: OnBytes = lambda count: None,
    drops: tuple[MeasuredDrop, ...] = (),
    command: str | None = None,
    extra_files: Mapping[str, str] | None = None,
) -> CutResult:
    """Write what `plan` says to the folder `output`: all of it, or nothing.

    Args:
        plan: from `plan_cut`.
        output: is made; its parents too.
        overwrite: replace a checkpoint that is there, once the new one is whole.
        on_bytes: called with the number of bytes of weights written since the last call.
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
        write_shards(plan.shards, folder, on_bytes)
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
