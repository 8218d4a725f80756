"""How much CPU time it takes until the program answers, and what it imports for that.

    python benchmarks/startup.py [--rounds 9]

Each command runs in a process of its own, in turns; the least CPU time (user and system) counts,
for other programs only ever add to it. Python's own start is among it, and shown for comparison.
The limits are those of the first three commands; beyond them the exit code is 1.
"""

from __future__ import annotations

import argparse
import resource
import shlex
import subprocess
import sys

LIMITS = {
    "-c 'import depthprune'": 0.05,
    "-m depthprune --help": 0.5,
    "-m depthprune recommend --help": 0.5,
    "-m depthprune search --help": None,
    "-m depthprune cut --help": None,
    "-c 'import cyclopts, rich.markdown'": None,
    "-c pass": None,
}
"""CPU seconds at most; None: no limit."""

HEAVY = ("torch", "transformers", "numpy", "pydantic", "matplotlib")


def main() -> int:
    """Print a line for each command; 1 when one is beyond its limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    seconds = {line: min(cpu_seconds(line) for _ in range(rounds)) for line in LIMITS}
    print(f"{'python ...':40}{'CPU s':>8}{'limit':>8}  imports")
    for line, limit in LIMITS.items():
        told = "" if limit is None else f"{limit:g}"
        print(f"{line:40}{seconds[line]:8.3f}{told:>8}  {', '.join(imported(line)) or '-'}")
    return int(any(limit and seconds[line] > limit for line, limit in LIMITS.items()))


def cpu_seconds(line: str) -> float:
    """Return the CPU seconds of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command(line), capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def imported(line: str) -> list[str]:
    """Return which large packages a run imports."""
    done = subprocess.run(command(f"-X importtime {line}"), capture_output=True, text=True)
    names = {text.rpartition("|")[2].strip() for text in done.stderr.splitlines()}
    return [name for name in HEAVY if name in names]


def command(line: str) -> list[str]:
    """Return the arguments of a line for Python."""
    return [sys.executable, *shlex.split(line)]


if __name__ == "__main__":
    sys.exit(main())
