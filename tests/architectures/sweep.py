"""Check every architecture of transformers, each in a process of its own.

`python -m tests.architectures.sweep --only llama` checks some of them by hand.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection

from tests.architectures.check import CLASSES, Outcome, check_architecture, entries

CPU_LIMIT_SECONDS = 60
TIME_LIMIT_SECONDS = 600  # on a busy machine

Job = tuple[str, str, str]
"""Role, model type and part of the model."""

Check = Callable[[str, str, str], Outcome]

PARTS = {"s2s": ("decoder", "encoder"), "vlm": ("text", "vision")}
"""The stacks of a class; of the others, the one of the text."""


def all_jobs(roles: Iterable[str] = tuple(CLASSES)) -> list[Job]:
    """Return every stack to check; of encoder-decoders and vision-language models, both."""
    found = []
    for role in roles:
        parts = PARTS.get(role, ("text",))
        found += [(role, model_type, part) for model_type in entries(role) for part in parts]
    return found


def sweep(jobs: Iterable[Job], check: Check = check_architecture) -> Iterator[Outcome]:
    """Check one after the other; one that crashes or hangs does not stop the rest."""
    check("causal", "llama", "text")  # imports once what every forked process needs
    for job in jobs:
        yield _check_apart(job, check)


def _check_apart(job: Job, check: Check) -> Outcome:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, job, check))
    start = time.monotonic()
    process.start()
    sender.close()
    try:
        if receiver.poll(TIME_LIMIT_SECONDS):
            outcome: Outcome = receiver.recv()
            return outcome
        note = f"took longer than {TIME_LIMIT_SECONDS} s"
    except EOFError:
        note = f"the process died, perhaps of the limit of {CPU_LIMIT_SECONDS} s of CPU time"
    finally:
        process.kill()
        process.join()
    return Outcome(*job, "fail", note=note, seconds=time.monotonic() - start)


def _send(sender: Connection, job: Job, check: Check) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_SECONDS, CPU_LIMIT_SECONDS))
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    sender.send(check(*job))


def main() -> None:
    """Print what became of the architectures named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("roles", nargs="*", help=f"of {list(CLASSES)}, all if not given")
    parser.add_argument("--only", nargs="*", help="model types")
    parser.add_argument("--part", help="of the model: text, vision, encoder, decoder")
    options = parser.parse_args()
    jobs = [
        job
        for job in all_jobs(options.roles or CLASSES)
        if (not options.only or job[1] in options.only)
        and (not options.part or job[2] == options.part)
    ]
    for outcome in sweep(jobs):
        sys.stdout.write(f"{outcome}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
