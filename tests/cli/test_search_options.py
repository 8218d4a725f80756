"""The options of `search`, end to end on the embedded model: a few samples, a few blocks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.removal import parse_removal
from depthprune.strategies import SearchSpace
from depthprune.strategies.warm_start import proposals
from depthprune.study import StudyStore
from tests.cli.program import Finished, Program

TASKS = ("demo_okvqa", "demo_tally_qa", "demo_science_qa_img")
FREE = (1, 2, 3, 7)
PROTECTED = tuple(block for block in range(16) if block not in FREE)


def search(program: Program, folder: Path, *options: object, tasks: int = 2) -> Finished:
    return program(
        *("search", "demo", "--task", *TASKS[:tasks], "--split", "validation"),
        *("--num-samples", 2, "--output", folder, "--protect", *PROTECTED),
        *("--max-blocks-to-remove", 3, "--width", 1, *options),
    )


def value_of(done: Finished) -> dict[str, Any]:
    assert done.code == 0, done.err
    value: dict[str, Any] = json.loads(done.out)
    return value


def measured(folder: Path) -> dict[str, set[tuple[int, ...]]]:
    found: dict[str, set[tuple[int, ...]]] = {}
    with StudyStore.open(folder, read_only=True) as study:
        for one in study.measurements(with_samples=False):
            found.setdefault(one.task, set()).add(one.removal)
    return found


def test_a_joint_search_measures_every_combination_on_all_tasks(
    program: Program, tmp_path: Path
) -> None:
    weights = ("--joint", "--task-weights", "demo-okvqa=3", "demo_tally_qa=1")
    value = value_of(search(program, tmp_path, *weights, "--json"))
    first, second = measured(tmp_path).values()
    assert first == second
    found = value["search"]["splits"]["validation"]
    assert found["weights"] == {"demo_okvqa": 0.75, "demo_tally_qa": 0.25}
    assert [gain["num_removed"] for gain in found["gains"]] == [2, 3]
    assert all(gain["gain"] >= 0 for gain in found["gains"])

    again = search(program, tmp_path, *weights, "--lang", "zh")
    assert "demo_okvqa 0.75, demo_tally_qa 0.25" in again.out
    assert "联合搜索" in again.out
    assert "收益" in again.out
    assert value_of(search(program, tmp_path, *weights, "--json"))["measured"] == 0


def test_completion_measures_the_best_on_every_dataset_and_does_nothing_twice(
    program: Program, tmp_path: Path
) -> None:
    value = value_of(search(program, tmp_path, "--complete", 2, "--json", tasks=3))
    split = value["splits"]["validation"]
    for number in ("1", "2", "3"):
        ranked = split["combinations"][number]["ranking"][:2]
        assert all(one["num_datasets"] == 3 for one in ranked)
    assert value["search"]["splits"]["validation"]["completion"]["best"] == 2
    gains = value["search"]["splits"]["validation"]["gains"]
    assert gains["datasets"].keys() == set(TASKS)

    summary = (tmp_path / "summary.txt").read_bytes()
    again = search(program, tmp_path, "--complete", 2, tasks=3)
    assert "Nothing was measured anew" in again.out
    assert "The best 2 combinations of each number removed are measured on every" in again.out
    assert "What each dataset's own search gained" in " ".join(again.out.split())
    assert (tmp_path / "summary.txt").read_bytes() == summary


def test_a_proxy_proposes_first_and_is_computed_once(program: Program, tmp_path: Path) -> None:
    options = ("--warm-start", "angular_distance")
    first = search(program, tmp_path, *options)
    assert first.code == 0, first.err
    kept = sorted((tmp_path / "proxies").rglob("angular_distance.json"))
    written = [path.stat().st_mtime_ns for path in kept]
    space = SearchSpace(16, frozenset(PROTECTED))
    for path, removals in zip(kept, measured(tmp_path).values(), strict=True):
        found = json.loads(path.read_text())
        scores = {int(block): score for block, score in found["importance_scores"].items()}
        runs = {parse_removal(run): score for run, score in found["runs"].items()}
        assert set(proposals(scores, runs, space, 3)) <= removals

    assert "Nothing was measured anew" in search(program, tmp_path, *options).out
    assert [path.stat().st_mtime_ns for path in kept] == written


@pytest.mark.parametrize(
    "options",
    [
        ("--strategy", "greedy", "--max_drop", 0.25),
        ("--method", "exhaustive"),
        ("--strategy", "evolutionary", "--offspring", 2, "--generations", 1),
    ],
)
def test_every_strategy_runs_to_its_end_and_says_what_it_gained(
    program: Program, tmp_path: Path, options: tuple[object, ...]
) -> None:
    value = value_of(search(program, tmp_path, *options, "--json", tasks=1))
    assert value["search"]["strategy"] in options
    gains = value["search"]["splits"]["validation"]["gains"]
    assert [gain["num_removed"] for gain in gains][:1] == [2]
    results = tmp_path / "results" / "demo-okvqa" / "validation"
    summary = json.loads((results / "exp3_accuracy_sensitivity_v2_results.json").read_text())
    assert "beam_width" not in summary
    assert summary["max_blocks_to_remove"] == 3
    if "exhaustive" in options:
        assert value["measured"] == 1 + 4 + 6 + 4


def test_a_profile_says_nothing_of_gains(program: Program, tmp_path: Path) -> None:
    done = program(
        *("profile", "demo", "--task", TASKS[0], "--num-samples", 2, "--output", tmp_path),
        *("--protect", *range(1, 16), "--json"),
    )
    found = value_of(done)["search"]
    assert found["strategy"] == "ablation"
    assert all(not split for split in found["splits"].values())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--task-weights", "2", "1"), ("joint search only", "--joint")),
        (("--joint", "--task-weights", "2"), ("1 weights for 2 tasks", "demo_okvqa")),
        (("--joint", "--task-weights", "2", "-1"), ("the weight of demo_tally_qa is -1.0",)),
        (("--joint", "--task-weights", "nan", "1"), ("the weight of demo_okvqa is nan",)),
        (("--joint", "--task-weights", "0", "0"), ("the weights are all zero",)),
        (("--joint", "--task-weights", "mmmu=1"), ("mmmu has a weight",)),
        (("--warm-start", "tarot"), ("no proxy 'tarot'", "block_influence")),
        (("--warm-start", "taylor", "--strategy", "exhaustive"), ("measures everything",)),
        (("--complete", "-1"), ("--complete", "0 or more")),
        (("--max-drop", "nan"), ("--max-drop", "fraction")),
        (("--max-drop", "5"), ("--max-drop", "fraction")),
        (("--min-drop", "nan"), ("--min-drop", "fraction")),
        (("--min-coverage", "0"), ("--min-coverage", "1 or more")),
        (("--protect", "16"), ("--protect", "blocks from 0 to 15")),
        (("--strategy", "guess"), ("beam", "greedy", "exhaustive", "evolutionary")),
        (("--strategy", "exhaustive", "--exhaustive-limit", "10"), ("exhaustive search", "10")),
    ],
)
def test_options_that_cannot_be_meant_end_with_2_before_anything_is_made(
    program: Program, tmp_path: Path, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    done = search(program, tmp_path / "study", *options)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert done.out == ""
    message = " ".join(done.err.split())
    for word in words:
        assert word in message
    assert not (tmp_path / "study").exists()
