"""One writer per study: a lock that the system takes back when its holder dies."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from depthprune.base.errors import StudyError
from depthprune.base.log import logger


class WriteLock:
    """Holds a folder's lock file until it is released or the process ends, however it ends.

    The lock is flock's, not the file's presence: after `kill -9` nothing stale is left to clear.
    Who holds it stands in the file, for the message that a second process gets.

    Raises:
        StudyError: another process (or another open study of this one) holds the lock, or the
            file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise StudyError(
                f"cannot lock the study for writing: {error.strerror or error}",
                where=str(path),
                mend="choose a folder that you may write to, or open the study read-only",
            ) from error
        try:
            _lock(self._descriptor, path)
            holder = {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            # The holder is a courtesy: a full disk must not look like a lock that is held.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, json.dumps(holder).encode() + b"\n", 0)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let the lock go; the file stays, since removing it could take away another's lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _lock(descriptor: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        logger.warning("this system has no flock: nothing stops a second writer of %s", path.parent)
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StudyError(
            f"the study is being written by {_holder(path)}",
            where=str(path.parent),
            mend="wait for it to end, choose another study folder, or open the study read-only",
        ) from error
    except OSError as error:
        raise StudyError(
            f"this file system cannot lock files: {error.strerror or error}",
            where=str(path),
            mend="put the study on a local disk",
        ) from error


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        pid, host, since = int(holder["pid"]), str(holder["host"]), str(holder["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
    text = f"process {pid} on {host} since {since}"
    if host == socket.gethostname() and not _alive(pid):
        text += " (which has ended; a process that it started still holds the study)"
    return text


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
