"""What the harness may do while its code runs: no network unless allowed, nothing on stdout."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any
from unittest.mock import patch

from depthprune.tasks.sources.hub import network


@contextmanager
def guarded(*, download: bool) -> Iterator[None]:
    """Run code of the harness: what it prints goes to standard error, its warnings nowhere.

    Unless `download` is set, `datasets` does not ask the hub, and any other connection to the
    network that a task's own code tries to make fails.
    """
    log = logging.getLogger("lm_eval")
    level = log.level
    # A word about every default of a definition is no help to somebody who did not write it.
    log.setLevel(logging.ERROR)
    try:
        with redirect_stdout(sys.stderr), network(download), _connections(download):
            yield
    finally:
        log.setLevel(level)


@contextmanager
def _connections(allowed: bool) -> Iterator[None]:
    if allowed:
        yield
        return
    connect = socket.socket.connect

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError("the network is not allowed")

    def connect_here(self: socket.socket, address: Any) -> None:
        # Processes of this machine talk to each other through sockets without a network.
        if self.family in (socket.AF_INET, socket.AF_INET6):
            refuse()
        connect(self, address)

    with (
        patch.object(socket.socket, "connect", connect_here),
        patch.object(socket, "getaddrinfo", refuse),
    ):
        yield
