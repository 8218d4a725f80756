"""The main job, end to end, on the embedded model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from depthprune.study import StudyStore
from tests.cli.program import Program

TASKS = ("demo_okvqa", "demo_science_qa_img")


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("study.")
    }


def test_a_search_measures_prints_and_writes_and_does_nothing_twice(
    program: Program, tmp_path: Path
) -> None:
    study = tmp_path / "study"
    arguments = ("search", "demo", "--task", *TASKS, "--num-samples", 4, "--output", study)
    arguments += ("--max_blocks_to_remove", 2, "--beam-width", 1)

    first = program(*arguments)
    assert first.code == 0, first.err
    # The baseline, 16 single blocks and 15 pairs with the best of them, on each task.
    assert "Measured 64 removals" in first.out
    for heading in ("Datasets", "least important first", "Best combinations over the datasets"):
        assert heading in first.out
    summary = (study / "summary.txt").read_text()
    assert "demo_okvqa" in summary
    assert max(map(len, summary.splitlines())) <= 100

    written = files_below(study)
    folder = study / "results" / "demo-okvqa" / "train+validation"
    results = json.loads((folder / "exp3_accuracy_sensitivity_v2_results.json").read_text())
    assert (results["beam_width"], results["max_blocks_to_remove"]) == (1, 2)
    assert len(results["summary"]) == 31
    assert len(json.loads((folder / "layer_importance_scores.json").read_text())) == 16

    again = program(*arguments)
    assert again.code == 0
    assert "Nothing was measured anew: all 64 measurements were there already." in again.out
    assert files_below(study) == written


def test_a_search_uses_what_profile_measured(program: Program, tmp_path: Path) -> None:
    # Options as the old scripts write them.
    common = ("--model_path", "demo", "--dataset_name", "demo-okvqa", "--num_samples", 4)
    common += ("--output_dir", tmp_path / "study")
    profiled = json.loads(program("profile", *common, "--json").out)
    assert (profiled["measured"], profiled["reused"]) == (17, 0)
    assert profiled["splits"]["train+validation"]["datasets"][0]["metric"] == "vqa_accuracy"
    searched = json.loads(
        program("search", *common, "--max-blocks-to-remove", 2, "--beam-width", 1, "--json").out
    )
    assert (searched["measured"], searched["reused"]) == (15, 17)


def test_the_limits_of_the_ranking_are_options(program: Program, tmp_path: Path) -> None:
    arguments = ("search", "demo", "--task", *TASKS, "--num-samples", 4, "--json")
    arguments += ("--output", tmp_path / "study", "--protect", *range(3, 16))
    arguments += ("--max-blocks-to-remove", 1)
    usual = json.loads(program(*arguments).out)["splits"]["train+validation"]
    assert usual["min_coverage"] == 2
    wide = json.loads(program(*arguments, "--min-coverage", 1, "--min-drop", -1).out)
    assert wide["splits"]["train+validation"]["min_coverage"] == 1


def test_a_run_with_other_samples_keeps_the_files_of_the_first(
    program: Program, tmp_path: Path
) -> None:
    common = ("profile", "demo", "--task", TASKS[0], "--output", tmp_path, "--protect", "1,2,3,4,5")
    common += ("--split", "validation")
    assert program(*common, "--num-samples", 3).code == 0
    place = tmp_path / "results" / "demo-okvqa" / "validation" / "layer_importance_scores.json"
    first = place.read_bytes()
    done = program(*common, "--num-samples", 2)
    assert done.code == 0, done.err
    kept = [path.read_bytes() for path in place.parents[1].rglob(place.name)]
    assert len(kept) == 2
    assert first in kept
    assert program(*common, "--num-samples", 3).code == 0
    assert place.read_bytes() == first


def test_two_spellings_of_a_split_are_one(program: Program, tmp_path: Path) -> None:
    done = program(
        *("profile", "demo", "--task", TASKS[0], "--split", "validation", "validation"),
        *("--num-samples", 2, "--output", tmp_path / "study", "--protect", *range(1, 16)),
        "--json",
    )
    assert json.loads(done.out)["measured"] == 2


def test_train_and_validation_are_compared(program: Program, tmp_path: Path) -> None:
    study = tmp_path / "study"
    done = program(
        *("profile", "demo", "--task", TASKS[0], "--split", "train", "validation"),
        *("--num-samples", 6, "--output", study),
    )
    assert done.code == 0, done.err
    assert "Do train and validation order the blocks alike?" in done.out
    path = study / "importance_comparison" / TASKS[0] / f"importance_comparison_{TASKS[0]}.json"
    comparison = json.loads(path.read_text())
    assert comparison["dataset_name"] == TASKS[0]
    assert len(comparison["train_scores"]) == len(comparison["validation_scores"]) == 16


@pytest.mark.parametrize("protect", [("0", "1", "15"), ("0,1,15",)])
def test_protected_blocks_are_not_measured(
    program: Program, tmp_path: Path, protect: tuple[str, ...]
) -> None:
    study = tmp_path / "a study [/red]"
    done = program(
        *("profile", "demo", "--task", TASKS[0], "--num-samples", 2, "--output", study),
        *("--protect", *protect),
    )
    assert done.code == 0, done.err
    assert str(study / "study.db") in done.out
    with StudyStore.open(study, read_only=True) as opened:
        removals = {one.removal for one in opened.measurements()}
    assert removals == {()} | {(block,) for block in range(2, 15)}


def test_a_split_that_is_missing_is_a_warning_that_names_it(
    program: Program, tmp_path: Path
) -> None:
    done = program(
        *("profile", "demo", "--task", TASKS[0], "--split", "validation", "test"),
        *("--num-samples", 2, "--output", tmp_path / "study", "--protect", *range(1, 16)),
    )
    assert done.code == 0, done.err
    assert "demo_okvqa has no split test" in done.err


def test_the_demo_is_one_search_over_all_eight_tasks(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}

    def stop(requests):  # type: ignore[no-untyped-def]
        (seen["request"],) = requests
        raise KeyboardInterrupt

    monkeypatch.setattr("depthprune.workflow.run.get_ready", stop)
    stopped = program("demo", "--output", tmp_path / "demo")
    assert stopped.code == 130
    assert "run the same command again" in stopped.err
    assert len(seen["request"].tasks) == 8
    assert seen["request"].search.joint
    assert seen["request"].folder == tmp_path / "demo"


def test_tasks_lists_the_nine_and_the_eight(program: Program) -> None:
    listed = program("tasks").out
    for name in ("coco_2014_vqa", "tally_qa", "mmmu", "demo_coco_caption"):
        assert name in listed


def test_help_teaches_by_examples(program: Program) -> None:
    for command in ("demo", "init", "inspect", "profile", "run", "search", "tasks"):
        helped = program(command, "--help")
        assert helped.code == 0
        assert f"depthprune {command}" in helped.out.partition("For example")[2]


def test_inspect_shows_the_stack_and_what_can_go(program: Program) -> None:
    shown = program("inspect", "demo")
    assert shown.code == 0, shown.err
    assert "model.language_model.layers: 16 blocks" in shown.out
    assert "every block, 0 to 15" in shown.out
    found = json.loads(program("inspect", "demo", "--stack", "vision", "--json").out)
    assert (found["name"], found["stack"]["num_blocks"]) == ("demo", 3)


def test_inspect_tells_which_blocks_cannot_go_and_why(program: Program, tmp_path: Path) -> None:
    from transformers import JambaConfig

    JambaConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=8, vocab_size=64
    ).save_pretrained(tmp_path)
    shown = program("inspect", tmp_path)
    assert shown.code == 0, shown.err
    assert "cannot go alone, because" in shown.out
    assert "the configuration cannot express" in " ".join(shown.out.split())
