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

COMMAND = (sys.executable, "-m", "depthprune", "search", "demo", "--num-samples", "4")
OPTIONS = ("--task", "demo_okvqa", "--max-blocks-to-remove", "2", "--beam-width", "1")


def start(study: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *OPTIONS, "--output", str(study)],
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


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_search_that_is_killed_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    undisturbed = start(tmp_path / "undisturbed")
    assert undisturbed.wait() == 0

    folder = tmp_path / "killed"
    kills = 0
    wanted = 3
    while True:
        running = start(folder)
        held = len(stored(folder)) if folder.exists() and kills else 0
        while running.poll() is None:
            # Let each run get a few measurements further, then kill it wherever it is.
            if kills < 4 and folder.exists() and _count(folder) >= held + wanted:
                running.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.01)
        if running.wait() == 0:
            break
    assert kills == 4

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


def _count(folder: Path) -> int:
    try:
        return len(stored(folder))
    except DepthpruneError:
        return 0  # it is being created at this very moment
