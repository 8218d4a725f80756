"""Workers as actors of Ray: started, watched, replaced when they are lost."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from socket import create_connection
from time import monotonic
from typing import Any

from depthprune.base.errors import DepthpruneError, option, spelling
from depthprune.base.language import counted
from depthprune.base.log import logger
from depthprune.base.progress import Progress, progress
from depthprune.engine.evaluator import Evaluator
from depthprune.engine.options import Workers
from depthprune.engine.workers.sliced import LostWorker
from depthprune.engine.workers.worker import (
    Answered,
    Job,
    Shared,
    Signs,
    Worker,
    WorkerFacts,
    as_sent,
    versions,
)
from depthprune.tasks.task import TaskSplit

Open = Callable[[Progress], tuple[Evaluator, WorkerFacts]]
"""Opens the model where it is called; picklable."""

OWN_MODULES = "depthprune_user_"
"""How modules of a user's own files begin, see `execute`."""

ROOM_SECONDS = 180.0
"""A worker that did not begin by then has no place on the cluster, and is no longer waited for.

To begin takes it seconds, or minutes where its imports come from a slow or busy disk.
"""


@dataclass(eq=False)
class _Slot:
    """A worker: the actor, what it was asked first, and where it is."""

    actor: Any
    placed: Any
    opened: Any
    begun: float
    signs: Any = None
    node: str = ""
    is_ready: bool = False
    removals_per_call: int = 0


class RayPool:
    """Workers on this machine, or on a cluster of Ray; see `Pool`.

    Args:
        options: how many, and where.
        open_model: opens the model on a worker.
        on_cpu: whether the model is to run on CPUs, whatever there is.
    """

    def __init__(self, options: Workers, open_model: Open, *, on_cpu: bool = False) -> None:
        """Start the workers; return when those that found a place have opened the model.

        Raises:
            MissingDependencyError: Ray is not installed.
            DepthpruneError: there is no such cluster, or no place for a worker; a node has other
                versions or another model.
        """
        self._options = options
        self._lost = 0
        self._said: set[str] = set()
        self._running: dict[Any, _Slot] = {}
        self._shared: dict[int, tuple[TaskSplit, Shared]] = {}  # the object keeps its id
        self.removals_per_call = 0
        import ray

        self._ray = ray
        _connect(ray, options)
        totals = ray.cluster_resources()
        gpus = 0 if on_cpu else (options.gpus_per_worker or int(totals.get("GPU", 0) > 0))
        there = int(totals.get("GPU", 0))
        if options.ray is None and gpus > there:
            raise DepthpruneError(
                f"a worker is to have {counted(gpus, 'GPU')}, this machine has {there or 'none'}",
                option="gpus_per_worker",
                mend="ask for no more than there are, or name a cluster by " + option("ray"),
            )
        number = _number(options, totals, gpus, len(ray.nodes()))
        cores = os.cpu_count() if options.ray is None else totals.get("CPU")
        threads = None
        if not gpus and "OMP_NUM_THREADS" not in os.environ:
            threads = max(1, int(cores or 1) // number)
        self._kind = ray.remote(
            num_cpus=0 if options.ray is None else 1,
            num_gpus=gpus,
            max_restarts=0,
            scheduling_strategy="SPREAD",
            concurrency_groups={"signs": 1},
        )(Worker)
        opened = ray.cloudpickle.dumps((open_model, spelling()))
        self._opening = opened, versions(), str(Path.cwd()), threads
        self._needs = f"{counted(gpus, 'GPU')}" if gpus else "1 CPU core"
        self._slots = [self._start() for _ in range(number)]
        self._wait(all_of_them=True)

    def ready(self) -> Sequence[int]:
        """See `Pool.ready`."""
        return self._look() or self._wait(all_of_them=False)

    def share(self, split: TaskSplit) -> Shared:
        """See `Pool.share`."""
        if id(split) in self._shared:
            return self._shared[id(split)][1]
        for name, module in list(sys.modules.items()):
            if name.startswith(OWN_MODULES):  # a user's files, which no worker can import
                self._ray.cloudpickle.register_pickle_by_value(module)
        fetch = partial(self._ray.get, self._ray.put(as_sent(split)))
        shared = Shared(len(self._shared), split.task.name, fetch)
        self._shared[id(split)] = split, shared
        return shared

    def submit(self, worker: int, job: Job) -> Any:
        """See `Pool.submit`."""
        slot = self._slots[worker]
        handle = slot.actor.evaluate.remote(job)
        self._running[handle] = slot
        return handle

    def wait(self, handles: Sequence[Any]) -> Sequence[Any]:
        """See `Pool.wait`."""
        done: list[Any] = self._ray.wait(list(handles), num_returns=1, timeout=1.0)[0]
        return done

    def result(self, handle: Any) -> Answered:
        """See `Pool.result`."""
        slot = self._running.pop(handle)
        answered: Answered = self._get(slot, handle)
        slot.removals_per_call = answered.removals_per_call
        self.removals_per_call = min(one.removals_per_call for one in self._slots if one.is_ready)
        self._hear(slot, wait=5.0)
        return answered

    def done(self) -> Mapping[int, float]:
        """See `Pool.done`."""
        heard = {worker: self._hear(slot) for worker, slot in enumerate(self._slots)}
        return {worker: signs.done for worker, signs in heard.items() if signs is not None}

    def close(self) -> None:
        """See `Pool.close`."""
        for slot in self._slots:
            self._ray.kill(slot.actor)

    def _start(self) -> _Slot:
        actor = self._kind.remote()
        opened = actor.open.remote(*self._opening)
        return _Slot(actor, actor.node.remote(), opened, monotonic())

    def _wait(self, *, all_of_them: bool) -> Sequence[int]:
        """Return the workers that are ready, once all that found a place are, or one of them is.

        Raises:
            DepthpruneError: none found a place.
        """
        with progress("starting workers") as bar:
            while True:
                ready = self._look()
                bar.describe(f"starting workers ({len(ready)} of {len(self._slots)} ready)")
                coming = [
                    one
                    for one in self._slots
                    if not one.is_ready and (one.node or monotonic() - one.begun < ROOM_SECONDS)
                ]
                if ready and not (coming and all_of_them):
                    break
                if not coming:
                    raise DepthpruneError(
                        f"no worker found a place within {ROOM_SECONDS:.0f} seconds: each needs "
                        f"{self._needs}",
                        option="workers",
                        mend="wait until others have finished, or ask for less by "
                        f"{option('gpus_per_worker')}; `ray status` shows what is free",
                    )
                self._ray.wait([one.opened for one in coming], timeout=1.0)
        if all_of_them and len(ready) < len(self._slots):
            logger.warning(
                "%d of %d workers found a place; the others join when there is one",
                *(len(ready), len(self._slots)),
            )
        return ready

    def _look(self) -> list[int]:
        """Return the workers that are ready; see who has opened the model meanwhile."""
        for slot in list(self._slots):
            with suppress(LostWorker):
                if not slot.node and self._is_done(slot.placed):
                    slot.node = self._get(slot, slot.placed)
                if not slot.is_ready and self._is_done(slot.opened):
                    facts, slot.removals_per_call = self._get(slot, slot.opened)
                    self._check(slot, facts)
                    slot.is_ready = True
                    self._hear(slot, wait=5.0)
        return [worker for worker, slot in enumerate(self._slots) if slot.is_ready]

    def _check(self, slot: _Slot, facts: WorkerFacts) -> None:
        """Refuse a worker whose model is not that of the others."""
        if not hasattr(self, "facts"):
            self.facts, self.removals_per_call = facts, slot.removals_per_call
        elif facts != self.facts:
            raise DepthpruneError(
                "the model that was opened there is another one, or runs in another number type",
                where=slot.node,
                mend="let every node have the same files of the model, and name the type by "
                f"{option('dtype')}",
            )

    def _get(self, slot: _Slot, handle: Any) -> Any:
        """Return what an actor returned.

        Raises:
            LostWorker: the actor has gone; another one is being started.
            DepthpruneError: too many have gone; or what was raised there.
        """
        from ray.exceptions import RayError, RayTaskError

        try:
            return self._ray.get(handle)
        except RayTaskError as error:
            if not isinstance(error.cause, DepthpruneError):
                raise
            place = f"{error.cause.where or ''} ({slot.node})".strip()
            raise (error.cause.but(where=place) if self._options.ray else error.cause) from error
        except RayError as error:  # the actor died, its node did, or Ray killed it for memory
            if slot in self._slots:  # else it was replaced already
                self._replace(self._slots.index(slot), slot, str(error))
            raise LostWorker from error

    def _replace(self, worker: int, slot: _Slot, cause: str) -> None:
        self._lost += 1
        where, why = slot.node or "a node", " ".join(cause.split())
        why = why if len(why) <= 600 else f"{why[:300]} ... {why[-300:]}"
        if self._lost > self._options.max_restarts:
            raise DepthpruneError(
                f"{counted(self._lost, 'worker')} failed, the last one on {where}: {why}",
                where=where,
                mend="what was measured is kept: run the same command again to go on, with a "
                f"smaller {option('batch_size')} where memory ran out, or more "
                f"{option('max_restarts')}",
            )
        logger.warning(
            "worker %d on %s was lost and is replaced; the others answer its samples (%s)",
            *(worker, where, why),
        )
        self._ray.kill(slot.actor)
        self._slots[worker] = self._start()

    def _hear(self, slot: _Slot, wait: float = 0.0) -> Signs | None:
        """Pass on what a worker has to say; None while it says nothing."""
        from ray.exceptions import RayError

        if slot.signs is None:
            slot.signs = slot.actor.signs.options(concurrency_group="signs").remote()
        if not self._is_done(slot.signs, wait):
            return None
        asked, slot.signs = slot.signs, None
        try:
            signs: Signs = self._ray.get(asked)
        except RayError:
            return None  # its job tells that it is lost
        for level, text in signs.messages:
            if text not in self._said:
                self._said.add(text)
                logger.log(level, "%s", text)
        return signs

    def _is_done(self, handle: Any, wait: float = 0.0) -> bool:
        return bool(self._ray.wait([handle], timeout=wait)[0])


def _connect(ray: Any, options: Workers) -> None:
    """Join a cluster, or start Ray on this machine: on loopback, without its dashboard.

    Raises:
        DepthpruneError: there is no such cluster.
    """
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's own is 15: behind all others
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if options.ray is None:
        ray.init(
            "local", include_dashboard=False, _node_ip_address="127.0.0.1", num_cpus=1, **quiet
        )
        return
    try:
        host, _, port = options.ray.rpartition(":")
        if port.isdecimal():  # Ray itself tries for minutes
            create_connection((host.rpartition("/")[2].strip("[]"), int(port)), timeout=10).close()
        ray.init(options.ray, **quiet)
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        raise DepthpruneError(
            f"there is no cluster of Ray at {options.ray!r}: {str(error).splitlines()[0]}",
            option="ray",
            mend="start one with the command `ray start`; the token must be the same on every node",
        ) from error


def _number(options: Workers, totals: Mapping[str, float], gpus: int, nodes: int) -> int:
    """Return how many workers are started."""
    if options.wanted != "all":
        return int(options.wanted)
    if gpus:
        return max(1, int(totals.get("GPU", 0)) // gpus)
    if options.ray is None:
        raise DepthpruneError(
            "all means every GPU, and this machine has none",
            option="workers",
            mend=f"name a number of workers, e.g. {option('workers', 2)}",
        )
    return nodes
