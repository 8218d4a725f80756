"""Is a study being written, by whom, and how far is it? Read while another process holds it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from depthprune.base.files import is_number
from depthprune.base.removal import Removal
from depthprune.study.lock import Holder, read_holder
from depthprune.study.records import ModelRecord
from depthprune.study.store import DATABASE_NAME, LOCK_NAME, StudyStore

State = Literal["running", "silent", "ended", "stopped", "finished", "unknown"]
"""Of the process that holds a study or held it last.

- running: it lives, and gave a sign within `PATIENCE`
- silent: it gave no sign for longer: it hangs, or is of another machine and nobody knows
- ended: it lives no more, and did not say that it had finished: it was killed
- stopped: it was interrupted, or an error ended it; finished: it did all that it was asked for
- unknown: nothing says who wrote
"""

PATIENCE = 60.0
"""Seconds without a sign after which a process is called silent; a sign is due every 5."""


@dataclass(frozen=True)
class Sign:
    """What a process said last of its work, see `Progress.value`; None where it did not say.

    Attributes:
        what: it does.
        age, idle: seconds since it said so, and since it last finished something.
        passed: seconds since the work began.
        done, total: units of work, answers in a search.
        removals: that are measured, each once for every split, and how many there are at most.
        best: removal and drop.
        per_second: units of work.
        workers_per_second: likewise, of each worker.
        seconds_left: at this pace.
    """

    what: str | None
    age: float | None
    idle: float | None
    passed: float | None
    done: float | None
    total: float | None
    removals: tuple[int, int] | None
    best: tuple[Removal, float] | None
    per_second: float | None
    workers_per_second: tuple[float, ...]
    seconds_left: float | None


@dataclass(frozen=True)
class SplitStatus:
    """What a study holds of one split.

    Attributes:
        task, split: their names; what verifies removals says so.
        num_samples: 0 where unknown.
        measured: removals, the whole model included.
        best: of those that remove the most blocks, with its drop; None where there are none.
    """

    task: str
    split: str
    num_samples: int
    measured: int
    best: tuple[Removal, float] | None


@dataclass(frozen=True)
class Status:
    """How far a study is.

    Attributes:
        folder: of the study.
        model: that it is about.
        state: of the process that writes.
        holder: that process; None where nothing is known.
        sign: what it said last.
        splits: what is measured.
    """

    folder: Path
    model: ModelRecord
    state: State
    holder: Holder | None
    sign: Sign
    splits: tuple[SplitStatus, ...]


def read_status(folder: Path) -> Status:
    """Return how far a study is; nothing is locked or changed.

    Raises:
        StudyError: there is no study, or it cannot be read.
    """
    folder = folder.parent if folder.name == DATABASE_NAME else folder
    with StudyStore.open(folder, read_only=True) as study:
        splits = []
        for stored in study.splits(None):
            name = stored.record.split
            if stored.record.role != "search":
                name += f" ({stored.record.role})"
            for settings in stored.settings:
                drops = study.drops(stored.key, settings)
                measured = study.measurements(stored.key, settings, with_samples=False)
                most = max(map(len, drops), default=0)
                largest = [(drops[one], one) for one in drops if len(one) == most]
                drop, best = min(largest, default=(0.0, ()))
                splits.append(
                    SplitStatus(
                        stored.record.task,
                        name,
                        len(stored.record.sample_ids),
                        len(measured),
                        (best, drop) if best else None,
                    )
                )
        model = study.model
    holder = read_holder(folder / LOCK_NAME)
    sign = _sign(holder, datetime.now(UTC))
    return Status(folder, model, _state(holder, sign), holder, sign, tuple(splits))


def _state(holder: Holder | None, sign: Sign) -> State:
    if holder is None:
        return "unknown"
    said = holder.content.get("state")
    if said in ("finished", "stopped"):
        return "finished" if said == "finished" else "stopped"
    if said == "released":
        return "unknown"
    if holder.is_alive is False:
        # One that never said what it does may have done all of it.
        return "unknown" if sign.what is None else "ended"
    return "silent" if sign.age is None or sign.age > PATIENCE else "running"


def _sign(holder: Holder | None, now: datetime) -> Sign:
    """Return what the lock file says; anybody may have written it."""
    content = {} if holder is None else holder.content

    def number(name: str, place: Any = content) -> float | None:
        value = place.get(name)
        return float(value) if is_number(value) else None

    def seconds_since(name: str) -> float | None:
        try:
            return max(0.0, (now - datetime.fromisoformat(str(content.get(name)))).total_seconds())
        except (ValueError, TypeError):
            return None

    what, removals, best = (content.get(name) for name in ("what", "removals", "best"))
    counts = [one for one in removals if type(one) is int] if isinstance(removals, list) else []
    paces = content.get("workers_per_second")
    paces = paces if isinstance(paces, list) else []
    found = None
    if isinstance(best, dict) and isinstance(best.get("removal"), list):
        drop = number("drop", best)
        blocks = tuple(one for one in best["removal"] if type(one) is int)
        found = (blocks, drop) if blocks and drop is not None else None
    return Sign(
        what=what if isinstance(what, str) else None,
        age=seconds_since("updated"),
        idle=seconds_since("advanced"),
        passed=seconds_since("begun"),
        done=number("done"),
        total=number("total"),
        removals=(counts[0], counts[1]) if len(counts) == 2 else None,
        best=found,
        per_second=number("per_second"),
        workers_per_second=tuple(float(one) for one in paces if is_number(one)),
        seconds_left=number("seconds_left"),
    )
