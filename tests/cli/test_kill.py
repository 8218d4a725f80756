"""The program itself, killed again and again, ends with the results of an undisturbed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from depthprune.base.errors import DepthpruneError
from depthprune.study import Measurement, Study

COMMAND = (sys.executable, "-m", "depthprune", "search", "demo")
OPTIONS = ("--task", "demo_okvqa", "--beam-width", "1")
OPTIONS += ("--protect", "0,11,12,13,14,15")


def start(study: Path, *more: str) -> subprocess.Popen[str]:
    more = more or ("--num-samples", "2", "--max-blocks-to-remove", "2")
    return subprocess.Popen(
        [*COMMAND, *OPTIONS, *more, "--output", str(study)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def stored(folder: Path) -> list[Measurement]:
    if not (folder / "study.db").exists():
        return []
    with Study.open(folder, read_only=True) as study:
        return study.measurements()


def test_a_search_that_is_killed_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    undisturbed = start(tmp_path / "undisturbed")
    assert undisturbed.wait() == 0

    folder = tmp_path / "killed"
    for measurements in (2, 5):
        running = start(folder)
        stop_after(running, folder, measurements, signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL
    assert start(folder).wait() == 0

    first, second = stored(tmp_path / "undisturbed"), stored(folder)
    assert [one.removal for one in first] == [one.removal for one in second]
    for one, other in zip(first, second, strict=True):
        assert (one.accuracy, one.answers) == (other.accuracy, other.answers)
        assert one.scores is not None
        assert other.scores is not None
        assert np.array_equal(one.scores, other.scores)
    names = ("summary.txt", "results/demo-okvqa/train+validation/layer_importance_scores.json")
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_search_that_is_stopped_says_so_and_writes_what_it_has(
    tmp_path: Path, sent: signal.Signals
) -> None:
    # So long that it has not ended when the signal arrives.
    running = start(tmp_path / "study", "--num-samples", "16", "--max-blocks-to-remove", "4")
    stop_after(running, tmp_path / "study", 2, sent)
    _, errors = running.communicate()
    assert running.returncode == 130
    assert "run the same command again" in errors
    assert list((tmp_path / "study" / "results").rglob("exp3_*.json"))


def stop_after(
    running: subprocess.Popen[str], folder: Path, measurements: int, sent: signal.Signals
) -> None:
    """Send a signal as soon as so many measurements are stored, wherever the program is then."""
    while _count(folder) < measurements:
        assert running.poll() is None, "it ended before it could be stopped"
        time.sleep(0.01)
    running.send_signal(sent)


def _count(folder: Path) -> int:
    try:
        return len(stored(folder))
    except DepthpruneError:
        return 0  # it is being created at this very moment
