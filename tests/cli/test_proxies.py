"""`depthprune proxies`, end to end, on the embedded model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from depthprune.blocks.models import load_model
from depthprune.blocks.stack import find_stack
from depthprune.importance.compare import agreement_with_drops, best_runs
from depthprune.importance.proxies import PROXIES, ProxyScores, kept_proxy, proxy_file, write_proxy
from depthprune.strategies.model import model_record
from depthprune.strategies.pipeline import load_splits
from depthprune.study import ModelRecord, StudyStore
from depthprune.tasks import get_task, load_split
from depthprune.tasks.demo import MODEL_PATH
from depthprune.tasks.task import TaskSplit
from tests.cli.program import Program

TASK = "demo_tally_qa"
SPLIT = "train+validation"
RUN = ("--task", TASK, "--num-samples", 4)


@pytest.fixture(scope="module")
def split() -> TaskSplit:
    return load_split(get_task(TASK), SPLIT, 4)


@pytest.fixture(scope="module")
def record() -> ModelRecord:
    loaded = load_model(MODEL_PATH, device="cpu")
    return model_record(loaded, find_stack(loaded.model), "demo")


@pytest.fixture
def measured(tmp_path: Path, split: TaskSplit, record: ModelRecord) -> Path:
    """Return a study in which block b costs b hundredths, and the first four cost nothing."""
    return study_in(tmp_path / "study", split, record)


def study_in(folder: Path, split: TaskSplit, record: ModelRecord) -> Path:
    from depthprune.engine.session import split_record

    with StudyStore.open(folder, model=record) as study:
        key = study.add_split(split_record(split))
        for block in (None, *range(16)):
            removal = () if block is None else (block,)
            loss = 0.0 if block is None or block < 4 else block / 100
            scores = [1.0 - loss] * len(split.samples)
            study.add(key, "greedy dtype=float32", removal, scores, [""] * len(scores), 0.0)
    return folder


def test_it_prints_scores_and_says_how_to_get_the_drops(program: Program, tmp_path: Path) -> None:
    done = program("proxies", "demo", *RUN, "--dtype", "float32", "--output", tmp_path / "new")
    assert done.code == 0, done.err
    for name in PROXIES:
        assert name.split("_")[0] in done.out
        assert (tmp_path / "new" / "proxies" / "demo-tally-qa" / SPLIT / f"{name}.json").exists()
    assert "No drops of single blocks are measured" in done.out
    command = f"depthprune profile demo --task {TASK} --num-samples 4 --dtype float32 --output"
    assert command in " ".join(done.out.split())
    assert "angular distance" in done.out
    assert not (tmp_path / "new" / "study.db").exists()


def test_it_compares_with_measured_drops_and_leaves_the_study_alone(
    program: Program, measured: Path
) -> None:
    before = (measured / "study.db").read_bytes()
    done = program("proxies", "demo", *RUN, "--output", measured, "--proxy", "block_influence")
    assert done.code == 0, done.err
    assert "Drops: measured on the same samples (greedy dtype=float32)." in done.out
    assert "least important found" in done.out
    # Least important first: the four that cost nothing.
    assert [line.split()[0] for line in done.out.splitlines()[5:9]] == ["0", "1", "2", "3"]
    assert (measured / "study.db").read_bytes() == before


def test_json_holds_what_the_tables_show(
    program: Program, measured: Path, split: TaskSplit
) -> None:
    done = program("proxies", "demo", *RUN, "--output", measured, "--json")
    (one,) = json.loads(done.out)["splits"]
    assert (one["dataset"], one["split"]) == (TASK, SPLIT)
    assert one["measured"]["drops"]["15"] == pytest.approx(0.15, abs=1e-6)
    for name, found in one["proxies"].items():
        scores = {int(block): score for block, score in found["scores"].items()}
        drops = {int(block): drop for block, drop in one["measured"]["drops"].items()}
        expected = agreement_with_drops(scores, drops)
        assert expected is not None
        assert found["agreement"] == {
            "spearman_correlation": expected.rank.rho,
            "p_value": expected.rank.p_value,
            "num_blocks": 16,
            "least_important": 4,
            "found": expected.found,
        }, name
    runs = one["proxies"]["angular_distance"]["best_runs"]
    assert [len(runs[length]["blocks"]) for length in "1234"] == [1, 2, 3, 4]
    assert runs["2"]["blocks"][1] == runs["2"]["blocks"][0] + 1


def test_what_is_kept_is_not_computed_again(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("proxies", "demo", *RUN, "--output", tmp_path, "--proxy", "taylor")
    first = program(*arguments)
    assert first.code == 0, first.err

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("depthprune.cli.proxies.measure_proxies", refuse)
    assert program(*arguments).out == first.out
    with pytest.raises(AssertionError):
        program(*arguments, "--seed", 1)


def test_several_tasks_end_with_a_table_of_correlations(
    program: Program, tmp_path: Path, record: ModelRecord
) -> None:
    tasks = (TASK, "demo_okvqa")
    for each in load_splits([get_task(name) for name in tasks], (SPLIT,), 4, 0):
        study_in(tmp_path, each, record)
    done = program(
        *("proxies", "demo", "--task", *tasks, "--num-samples", 4, "--output", tmp_path),
        *("--proxies", "taylor", "relative_magnitude", "--lang", "zh"),
    )
    assert done.code == 0, done.err
    table = done.out.partition("秩相关")[2]
    assert all(name in table for name in tasks)
    assert "relative" in table


def test_other_samples_of_the_split_are_named_as_such(program: Program, measured: Path) -> None:
    done = program(
        *("proxies", "demo", "--task", TASK, "--num-samples", 5, "--output", measured),
        *("--proxy", "block_influence"),
    )
    assert "another sample of this split, n = 4" in done.out


def assert_refused(done: Any, *words: str) -> None:
    assert done.code == 2, done.err
    assert done.out == ""
    message = " ".join(done.err.split())
    assert "Traceback" not in message
    for word in words:
        assert word in message


def test_an_unknown_proxy_is_refused_before_anything_is_loaded(
    program: Program, tmp_path: Path
) -> None:
    done = program("proxies", "demo", *RUN, "--output", tmp_path / "new", "--proxy", "magic")
    assert_refused(done, "magic", "block_influence, angular_distance")
    assert not (tmp_path / "new").exists()


def test_the_study_of_another_model_is_refused(
    program: Program, tmp_path: Path, split: TaskSplit
) -> None:
    other = ModelRecord("other", "f" * 64, "Llama", 16, "model.layers")
    study_in(tmp_path, split, other)
    assert_refused(program("proxies", "demo", *RUN, "--output", tmp_path), "other")


def found_by(split: TaskSplit) -> ProxyScores:
    return ProxyScores("taylor", {0: 1.0, 1: 0.5}, {(0, 1): 2.0}, 4, 9)


def test_a_file_comes_back_as_it_was_written(
    tmp_path: Path, split: TaskSplit, record: ModelRecord
) -> None:
    found = found_by(split)
    path = write_proxy(tmp_path, found, split, record, "dtype=float32")
    assert path == proxy_file(tmp_path, "taylor", split)
    assert json.loads(path.read_text())["importance_scores"] == {"0": 1.0, "1": 0.5}
    assert kept_proxy(tmp_path, "taylor", split, record, "dtype=float32") == found
    assert kept_proxy(tmp_path, "taylor", split, record, "dtype=bfloat16") is None
    assert kept_proxy(tmp_path, "perplexity", split, record, "dtype=float32") is None


def spoiled(value: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield "[1]"
    yield json.dumps(value)[:-5]
    yield json.dumps(value | {"importance_scores": {}})
    yield json.dumps(value | {"importance_scores": {"0": "high"}})
    yield json.dumps(value | {"importance_scores": {"a": 1.0}})
    yield json.dumps(value | {"importance_scores": {"0": 1.0}, "runs": [1]})
    yield json.dumps(value).replace("1.0", "NaN")


def test_a_spoiled_file_holds_nothing(
    tmp_path: Path, split: TaskSplit, record: ModelRecord
) -> None:
    path = write_proxy(tmp_path, found_by(split), split, record, "dtype=float32")
    for text in spoiled(json.loads(path.read_text())):
        path.write_text(text)
        assert kept_proxy(tmp_path, "taylor", split, record, "dtype=float32") is None, text
        write_proxy(tmp_path, found_by(split), split, record, "dtype=float32")


def test_proxies_of_another_model_are_not_written_over(
    program: Program, tmp_path: Path, split: TaskSplit
) -> None:
    other = ModelRecord("other", "f" * 64, "Llama", 2, "model.layers")
    path = write_proxy(tmp_path, found_by(split), split, other, "dtype=float32")
    before = path.read_text()
    done = program("proxies", "demo", *RUN, "--output", tmp_path, "--proxy", "taylor")
    assert_refused(done, "another model, other")
    assert path.read_text() == before


def test_select_reads_the_file(program: Program, tmp_path: Path) -> None:
    done = program("proxies", "demo", *RUN, "--output", tmp_path, "--proxy", "taylor")
    assert done.code == 0, done.err
    path = tmp_path / "proxies" / "demo-tally-qa" / SPLIT / "taylor.json"
    chosen = program("select", "--importance_scores_file", path, "--num_active_blocks", 14)
    assert chosen.code == 0, chosen.err


def test_agreement_counts_equal_drops_as_equally_small() -> None:
    drops = {0: 0.5, 1: 0.0, 2: 0.0, 3: 0.0, 4: 0.1, 5: 0.2}
    found = agreement_with_drops({0: 9, 1: 8, 2: 7, 3: 1, 4: 2, 5: 3}, drops, first=2)
    assert found is not None
    # The proxy takes 3 and 4; the two smallest drops are 0, which block 3 has and block 4 has not.
    assert (found.num_blocks, found.first, found.found) == (6, 2, 1)


def test_agreement_is_over_the_blocks_that_have_both() -> None:
    found = agreement_with_drops({0: 1, 1: 2, 2: 3, 9: 0}, {0: 0.1, 1: 0.2, 2: 0.3, 7: 0.0})
    assert found is not None
    assert (found.rank.rho, found.num_blocks, found.first) == (pytest.approx(1.0), 3, 1)
    assert agreement_with_drops({0: 1, 1: 2}, {0: 1, 1: 2, 2: 3}) is None


def test_the_best_run_of_each_length_has_the_smallest_score() -> None:
    runs = {(0,): 0.3, (1,): 0.1, (2,): 0.1, (0, 1): 0.2, (1, 2): 0.4, (0, 1, 2): 0.5}
    assert best_runs(runs, 2) == {1: (1,), 2: (0, 1)}
