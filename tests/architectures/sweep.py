"""Check every architecture, each in a process of its own, and write what came of it."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path

from tests.architectures.check import CLASSES, Outcome, check_architecture, entries

TIME_LIMIT_SECONDS = 60


def jobs(roles: list[str]) -> list[tuple[str, str, str]]:
    """Return (role, model type, part) for every stack to check."""
    found = []
    for role in roles:
        for model_type in entries(role):
            parts = ("decoder", "encoder") if role == "s2s" else ("text",)
            found += [(role, model_type, part) for part in parts]
    return found


def check_apart(job: tuple[str, str, str]) -> Outcome:
    """Check one stack in a forked process, which may crash or hang."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, job))
    start = time.monotonic()
    process.start()
    sender.close()
    try:
        if receiver.poll(TIME_LIMIT_SECONDS):
            return receiver.recv()
        note = f"took longer than {TIME_LIMIT_SECONDS} s"
    except EOFError:
        note = "the process died"
    finally:
        process.kill()
        process.join()
    return Outcome(*job, "fail", note=note, seconds=time.monotonic() - start)


def _send(sender: Connection, job: tuple[str, str, str]) -> None:
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    sender.send(check_architecture(*job))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("roles", nargs="*", default=list(CLASSES))
    parser.add_argument("--only", nargs="*", help="model types")
    parser.add_argument("--results", type=Path, default=Path("/tmp/architectures.jsonl"))
    options = parser.parse_args()
    check_architecture("causal", "llama")  # imports once what every forked process needs
    with options.results.open("w") as file:
        for job in jobs(options.roles):
            if options.only and job[1] not in options.only:
                continue
            result = check_apart(job)
            file.write(json.dumps(asdict(result)) + "\n")
            file.flush()
            if result.status != "pass" or result.note:
                sys.stdout.write(f"{job} {result.status} {result.note}\n")


if __name__ == "__main__":
    main()
