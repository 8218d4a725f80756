"""One writer per study: a lock that the system takes back when its holder dies."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
            self._holder: dict[str, Any] = {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
                "command": shlex.join([Path(sys.argv[0] or "python").name, *sys.argv[1:]]),
            }
            self.tell({})
        except BaseException:
            os.close(self._descriptor)
            raise

    def tell(self, doing: Mapping[str, Any]) -> None:
        """Write into the file who holds the lock and what it does, for other processes."""
        if self._descriptor is None:
            return
        self._doing = dict(doing)
        text = json.dumps(self._holder | self._doing).encode() + b"\n"
        # A courtesy: a full disk must not look like a lock that is held.
        with contextlib.suppress(OSError):
            # Whoever reads meanwhile finds a whole first line: what is longer is cut off later.
            os.pwrite(self._descriptor, text, 0)
            os.ftruncate(self._descriptor, len(text))

    def release(self) -> None:
        """Let the lock go; the file stays, since removing it could take away another's lock."""
        if self._descriptor is not None:
            # The process may live on and never say more about this study.
            if self._doing.get("state") not in ("finished", "stopped"):
                self.tell(self._doing | {"state": "released"})
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


@dataclass(frozen=True)
class Holder:
    """Who holds a study, or held it last, as the lock file says.

    Attributes:
        pid, host: of the process.
        since: when it took the lock, ISO 8601 in UTC.
        is_alive: whether the process still lives; None where it is on another machine.
        content: all that the file says, see `Progress.value`.
    """

    pid: int
    host: str
    since: str
    is_alive: bool | None
    content: Mapping[str, Any]


def read_holder(path: Path) -> Holder | None:
    """Return who holds, or held, a lock by its file; None where that does not say."""
    try:
        content = json.loads(path.read_text(encoding="utf-8").partition("\n")[0])
        pid, host, since = int(content["pid"]), str(content["host"]), str(content["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_alive = _alive(pid) if host == socket.gethostname() else None
    return Holder(pid, host, since, is_alive, content)


def _holder(path: Path) -> str:
    holder = read_holder(path)
    if holder is None:
        return "another process"
    text = f"process {holder.pid} on {holder.host} since {holder.since}"
    if holder.is_alive is False:
        text += " (which has ended; a process that it started still holds the study)"
    return text


def _alive(pid: int) -> bool:
    # On Linux one that has ended is there until its parent asks for it.
    with contextlib.suppress(OSError):
        if Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z"):
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
