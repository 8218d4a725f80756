"""A command that is killed at any instant ends, run again, as if it had not been."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM, Signals
from typing import Any

import pytest

from tests.cli.program import run_quietly

SEARCH = ("search", "demo", "--task", "demo_okvqa", "--beam-width", "1")
PROTECT = ("--protect", "0,1,2,3,5,6,8,9,10,11,12,15", "--max-blocks-to-remove", "2")

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.cli.preload"])

KINDS = ("whole", "killed")
RESULTS = "results/demo-okvqa/train+validation"

# Which these are is told by other columns; when and how long is another matter each time. The last
# digits of losses depend on the batch, which a resumed run cuts elsewhere.
LEFT_OUT = {"id", "created", "seconds", "checksum", "losses"}
NAMES = {
    "split_id": "SELECT task || split || fingerprint || role FROM split WHERE id = ?",
    "settings_id": "SELECT text FROM settings WHERE id = ?",
    "run_id": "SELECT how FROM run WHERE id = ?",
    "race_id": "SELECT candidates FROM race WHERE id = ?",
    "measurement_id": "SELECT split_id || removal FROM measurement WHERE id = ?",
    "splits": None,
}


def start(*arguments: str, errors: Path | str = os.devnull) -> BaseProcess:
    process = CONTEXT.Process(target=run_quietly, args=(arguments, errors))
    process.start()
    return process


def run(*arguments: str) -> None:
    process = start(*arguments)
    process.join()
    assert process.exitcode == 0


def content(folder: Path) -> dict[str, list[str]]:
    """Return every row of a study by table, with the names of what it points to."""
    found = {}
    with closing(sqlite3.connect(f"file:{folder}/study.db?mode=ro", uri=True)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            cursor = connection.execute(f"SELECT * FROM {table}")
            columns = [one[0] for one in cursor.description]
            found[table] = sorted(
                repr([_named(connection, *one) for one in zip(columns, row, strict=True)])
                for row in cursor.fetchall()
            )
    return found


def _named(connection: sqlite3.Connection, column: str, value: Any) -> Any:
    if column in LEFT_OUT:
        return None
    query = NAMES.get(column)
    return value if query is None else connection.execute(query, (value,)).fetchone()


def size(folder: Path) -> int:
    """Return how many rows of what was measured there are."""
    try:
        with closing(sqlite3.connect(f"file:{folder}/study.db?mode=ro", uri=True)) as connection:
            queries = [f"SELECT count(*) FROM {one}" for one in ("measurement", "race_chunk")]
            rows = sum(connection.execute(one).fetchone()[0] for one in queries)
    except sqlite3.Error:
        rows = 0  # it is being made at this very moment
    return rows + len(list((folder / "sweep").glob("*.json")))


def stop(process: BaseProcess, folder: Path, rows: int, delay: float, sent: Signals) -> None:
    """Send a signal so long after so many rows are there, wherever the program is then."""
    while size(folder) < rows:
        assert process.is_alive(), "it ended before it could be stopped"
        time.sleep(0.01)
    time.sleep(delay)
    assert process.pid is not None
    os.kill(process.pid, sent)
    process.join()


def check(
    arguments: Callable[[Path], Sequence[str]],
    begun: Path | None,
    tmp_path: Path,
    *,
    kills: int,
    seed: int,
) -> Path:
    """Hold that a command which is killed again and again ends as one that is not."""
    whole, killed = (tmp_path / one for one in KINDS)
    if begun is not None:
        for folder in (whole, killed):
            shutil.copytree(begun, folder)
    before = size(whole)
    run(*arguments(whole))
    draws = random.Random(seed)
    measured = size(whole) - before
    assert measured > 2
    for rows in sorted(draws.sample(range(1, measured // 2 + 1), kills)):
        process = start(*arguments(killed))
        stop(process, killed, before + rows, draws.uniform(0, 0.02), SIGKILL)
        assert process.exitcode == -SIGKILL
    run(*arguments(killed))
    assert content(killed) == content(whole)
    return whole


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("searched") / "study"
    run(*SEARCH, *PROTECT, "--num-samples", "50", "--output", str(folder))
    return folder


def search(folder: Path) -> tuple[str, ...]:
    return (*SEARCH, *PROTECT, "--num-samples", "2", "--output", str(folder))


def race(folder: Path) -> tuple[str, ...]:
    more = ("--race", "--race-chunk", "4", "--num-samples", "24", "--output", str(folder))
    return (*SEARCH, *PROTECT, *more)


def verification(folder: Path) -> tuple[str, ...]:
    return ("recommend", str(folder), "--verify")


def sweep(folder: Path) -> tuple[str, ...]:
    configs = folder.with_name("configs.json")
    entries = {str(16 - n): {"removed_block_indices": [4, 7, 13, 14][:n]} for n in range(1, 5)}
    configs.write_text(json.dumps({"block_configs": entries}))
    data = ("--task", "demo_okvqa", "--split", "validation", "--num-samples", "2")
    times = ("--latency-samples", "1", "--latency-tokens", "2", "--warmup", "0")
    named = ("--block_configs", str(configs), "--output", str(folder))
    return ("sweep", "demo", *data, *times, *named)


def test_a_search_that_is_killed_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    check(search, None, tmp_path, kills=2, seed=4)
    for name in ("summary.txt", f"{RESULTS}/layer_importance_scores.json"):
        texts = [(tmp_path / kind / name).read_bytes() for kind in KINDS]
        assert texts[0] == texts[1]


@pytest.mark.parametrize("sent", [SIGINT, SIGTERM])
def test_a_search_that_is_stopped_says_so_and_writes_what_it_has(
    tmp_path: Path, sent: Signals
) -> None:
    # So long that it has not ended when the signal arrives.
    more = ("--num-samples", "16", "--max-blocks-to-remove", "4")
    folder, errors = tmp_path / "study", tmp_path / "errors"
    process = start(*SEARCH, *more, "--output", str(folder), errors=errors)
    stop(process, folder, 2, 0, sent)
    assert process.exitcode == 130
    assert "run the same command again" in errors.read_text()
    assert list((folder / RESULTS).rglob("exp3_*.json"))


def test_a_race_that_is_killed_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = check(race, None, tmp_path, kills=1, seed=1)
    assert content(whole)["race"]


def test_a_verification_that_is_killed_ends_as_if_it_had_not_been(
    searched: Path, tmp_path: Path
) -> None:
    whole = check(verification, searched, tmp_path, kills=1, seed=2)
    assert sum("verification" in row for row in content(whole)["split"]) == 1


def test_a_sweep_that_is_killed_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    check(sweep, None, tmp_path, kills=1, seed=3)
    files = [sorted(one.name for one in (tmp_path / n / "sweep").iterdir()) for n in KINDS]
    assert files[0] == files[1]
    assert "sweep_summary.json" in files[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 16))
@pytest.mark.parametrize("command", [search, race, verification, sweep])
def test_it_ends_so_wherever_it_is_killed(
    searched: Path, tmp_path: Path, command: Callable[[Path], Sequence[str]], seed: int
) -> None:
    begun = searched if command is verification else None
    check(command, begun, tmp_path, kills=2, seed=seed)
