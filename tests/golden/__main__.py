"""`python -m tests.golden record|check|check-rounded [GROUP...]`: make or compare golden files."""

from __future__ import annotations

import os
import sys

from tests.golden.commands import GROUPS
from tests.golden.masks import rounded
from tests.golden.recorder import (
    ENVIRONMENT,
    difference,
    environment,
    read_files,
    record,
    write_files,
)

ALL = (*GROUPS, "help")


def main(action: str, *groups: str) -> int:
    """Do what the action says to these groups, or to all; return the exit code.

    `check` compares byte by byte, `check-rounded` with numbers rounded to nine digits.
    """
    different = 0
    for group in groups or ALL:
        if action == "record":
            write_files(group, record(group))
            continue
        golden = read_files(group)
        now = dict(record(group))
        if action == "check-rounded":
            golden, now = (
                {name: rounded(text) for name, text in of.items()} for of in (golden, now)
            )
        for name in sorted(golden | now):
            text = difference(name, golden.get(name), now.get(name))
            different += bool(text)
            sys.stdout.write(text)
        print(f"{group}: {len(now)} commands")
    if different:
        print(f"{different} golden files differ. If that is meant: make golden, and say why")
    return int(different > 0)


if __name__ == "__main__":
    if not ENVIRONMENT.items() <= os.environ.items():
        os.execve(
            sys.executable, [sys.executable, "-m", "tests.golden", *sys.argv[1:]], environment()
        )
    sys.exit(main(*sys.argv[1:]))
