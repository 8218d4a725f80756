"""`depthprune evaluate` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pytest

from depthprune.tasks.lm_eval import catalogue
from tests.benchmark.cards import card, old_card
from tests.cli.program import Program
from tests.tasks import harness

QUICK = ("--prompt-tokens", 4, "--new-tokens", 3, "--repeats", 1)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    # The harness's own 15,000 definitions take seconds to read.
    monkeypatch.setattr(catalogue, "_shipped_index", dict)
    (tmp_path / "my.txt").write_text("what is the colour of the sky? " * 40)
    return tmp_path


def test_a_model_is_evaluated_and_a_second_run_measures_nothing(program: Program) -> None:
    asked = ("evaluate", "demo", "--metrics", "ppl,speed", "memory", "--ppl-texts", "my.txt")
    done = program(*asked, *QUICK)
    assert done.code == 0, done.err
    assert "demo: 16 blocks, 1.64 M parameters" in done.out
    assert "evaluation_results.json (5 parts measured now, 0 there already)" in done.out
    assert "reads 256 tokens at most" in done.err
    content = json.loads(Path("evaluation_results.json").read_text())
    assert content["ppl"]["my.txt"]["standard"]["window"] == 256
    again = program(*asked, *QUICK, "--json")
    assert json.loads(again.out) | {"config": {}} == content | {"config": {}}
    assert "5 项" in program(*asked, *QUICK, "--lang", "zh").out


def test_local_tasks_are_measured_with_blocks_skipped(program: Program, place: Path) -> None:
    pytest.importorskip("lm_eval")
    folder = harness.write_definitions(place / "definitions")
    asked = ("--metrics", "zeroshot", "--zeroshot-tasks", "tiny_choice", "--lm-eval-path", folder)
    done = program("evaluate", "demo", *asked, "--remove", "4,13", "--num_samples", 4, "--json")
    assert done.code == 0, done.err
    content = json.loads(done.out)
    assert content["model_info"]["removed"] == [4, 13]
    assert content["zeroshot"]["tasks"]["tiny_choice"]["n"] == 4


def test_a_task_is_scored_and_nothing_else_unless_it_is_asked_for(program: Program) -> None:
    given = ("evaluate", "demo", "--task", "demo_okvqa", "--num-samples", 4, "--remove", "4,13")
    done = program(*given)
    assert done.code == 0, done.err
    assert "== Scores ==" in done.out
    content = json.loads(Path("evaluation_results.json").read_text())
    assert content["scores"]["demo_okvqa"]["n"] == 4
    assert content["config"]["metrics"] == []
    both = program(*given, "--metrics", "ppl", "--ppl-texts", "my.txt", "--json")
    value = json.loads(both.out)
    assert (list(value["scores"]), list(value["ppl"])) == (["demo_okvqa"], ["my.txt"])


CHOSEN = """
chosen:
  task_type: Multiple Choice
  path: {validation: chosen.jsonl}
  prompt: "{question}\\n{choices}"
  metric: choice_likelihood
  answer: choose
"""


def test_damage_of_written_answers_stands_beside_their_scores(
    program: Program, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    (place / "tasks.yaml").write_text(CHOSEN)
    sample = {"id": 1, "question": "Which?", "choices": ["red", "blue"], "answer": 0}
    (place / "chosen.jsonl").write_text(json.dumps(sample))
    tasks = ("--task", "demo_okvqa", "chosen", "--task-file", "tasks.yaml", "--num-samples", 4)
    # Without its first blocks the demo writes rubbish.
    done = program("evaluate", "demo", *tasks, "--remove", "0,1,2,3")
    assert done.code == 0, done.err
    assert "== Damaged answers ==" in done.out
    assert "…" not in done.out
    assert done.out.count("No written answers are known of chosen") == 1
    scores = json.loads(Path("evaluation_results.json").read_text())["scores"]
    found, whole = scores["demo_okvqa"]["damage"], scores["demo_okvqa"]["whole"]
    assert (whole["accuracy"], whole["damage"]["any"], whole["damage"]["script"]) == (1, 0, None)
    assert found["any"] > 0.5
    assert found["script"] is not None
    assert (scores["chosen"]["damage"], "whole" in scores["chosen"]) == (None, False)


def test_a_model_by_itself_has_the_damage_that_needs_no_other(program: Program) -> None:
    done = program("evaluate", "demo", "--task", "demo_okvqa", "--num-samples", 4, "--json")
    entry = json.loads(done.out)["scores"]["demo_okvqa"]
    assert "whole" not in entry
    shares = dict.fromkeys(("empty", "repetitive", "cut", "any"), 0)
    assert entry["damage"] == {"num_answers": 4, "script": None} | shares


def test_what_would_be_scored_is_told_and_nothing_is_measured(program: Program) -> None:
    asked = ("evaluate", "demo", "--task", "demo_okvqa", "--num-samples", 12, "--remove", "4,13")
    value = json.loads(program(*asked, "--estimate", "--json").out)
    (split,) = value["searches"][0]["splits"]
    assert (split["num_samples"], split["most"], split["answers"]) == (12, 2, 24)
    assert value["seconds"] > 0
    done = program(*asked, "--metrics", "ppl", "--ppl-texts", "my.txt", "--dry-run")
    assert "What --metrics adds is not counted." in done.out
    assert "with --estimate, 8 samples" in done.out
    assert not Path("evaluation_results.json").exists()
    assert program(*asked, "--dry-run", "--data-dir", "nowhere").code == 2


def test_what_fails_is_told_and_the_exit_code_says_so(program: Program) -> None:
    done = program("evaluate", "demo", "--metrics", "ppl", "--ppl-texts", "my.txt,wikitext2")
    assert done.code == 1
    assert "Failed: ppl.wikitext2" in done.out
    assert "--download" in done.out
    content = json.loads(Path("evaluation_results.json").read_text())
    assert list(content["ppl"]) == ["my.txt"]
    assert list(content["errors"]) == ["ppl.wikitext2"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--metrics", "ppl,size"), "there is no metric 'size'"),
        (("--metrics", ","), "no metric was named"),
        (("--ppl-texts", "other.txt"), "neither a text set nor a file"),
        (("--metrics", "ppl", "--ppl-texts", ","), "nothing is named"),
        (("--window", 64, "--stride", 65), "would leave tokens out"),
        (("--window", 1, "--stride", 1), "cannot be read in windows"),
        (("--metrics", "speed", "--repeats", 0), "at least one"),
        (("--num-samples", -1), "--num-samples"),
        (("--metrics", "speed", "--batch-size", 0), "--batch-size"),
        (("--metrics", "speed", "--remove", "4-99"), "block 99 does not exist"),
        (("--metrics", "speed", "--remove", "99"), "99"),
        (("--metrics", "speed", "--device", "cuda:7"), "there is no device 'cuda:7'"),
        (("--metrics", "speed", "--output", "."), "this is a folder"),
        (("--metrics", "speed", "--output", "my.txt"), "not valid JSON"),
        (("--compare", "a.json,b.json"), "measures no model"),
        (("--metrics", "speed", "--dry-run"), "only the time of tasks can be estimated"),
    ],
)
def test_mistakes_are_told_before_anything_is_measured(
    program: Program, options: tuple[object, ...], complaint: str
) -> None:
    done = program("evaluate", "demo", *options)
    assert (done.code, done.out) == (2, "")
    assert complaint in done.err
    assert not Path("evaluation_results.json").exists()


def test_a_task_that_is_not_there(program: Program, place: Path) -> None:
    pytest.importorskip("lm_eval")
    folder = harness.write_definitions(place / "definitions")
    asked = ("--zeroshot-tasks", "tiny_choise", "--lm-eval-path", folder)
    done = program("evaluate", "demo", "--metrics", "zeroshot", *asked)
    assert (done.code, "did you mean" in done.err) == (2, True)


def test_a_model_must_be_named(program: Program) -> None:
    done = program("evaluate")
    assert (done.code, "no model was named" in done.err) == (2, True)


class TestCompare:
    def test_files_are_set_side_by_side_and_the_table_is_kept(self, program: Program) -> None:
        Path("a.json").write_text(json.dumps(card()))
        Path("b.json").write_text(json.dumps(old_card()))
        done = program("evaluate", "--compare", "a.json,b.json", "--output", "table.md")
        assert done.code == 0, done.err
        assert "HGSP_2000/pruned_model.bin" in done.out
        assert "|" not in done.out
        assert "| tiny | HGSP_2000/pruned_model.bin |" in Path("table.md").read_text()
        assert program("evaluate", "--compare", "a.json", "b.json").out == done.out
        value = json.loads(program("evaluate", "--compare", "a.json,b.json", "--json").out)
        assert value["models"][1]["name"] == "HGSP_2000/pruned_model.bin"
        assert value["rows"][0]["values"] == [1000, 6424219648]

    @pytest.mark.parametrize("given", ["a.json", "a.json,c.json", "my.txt,a.json"])
    def test_files_that_cannot_be_compared(self, program: Program, given: str) -> None:
        Path("a.json").write_text(json.dumps(card()))
        done = program("evaluate", "--compare", given)
        assert (done.code, done.out) == (2, "")
        assert "error:" in done.err
