"""A whole evaluation: lm-eval's own numbers, part by part into a file, and on after a stop."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest

from depthprune.base.errors import (
    DepthpruneError,
    FileError,
    ModelError,
    RemovalError,
    TaskError,
)
from depthprune.base.removal import Removal
from depthprune.benchmark import measure
from depthprune.benchmark.cost import SpeedOptions
from depthprune.benchmark.measure import BenchmarkOutcome, run_benchmark
from depthprune.benchmark.options import BenchmarkPlan, check_metrics
from depthprune.benchmark.perplexity import Windows, perplexity, text_sets, text_tokens
from depthprune.benchmark.results_file import ResultsFile, check_results_path
from depthprune.benchmark.zero_shot import zero_shot_tasks
from depthprune.blocks.models import LoadedModel, load_model
from depthprune.blocks.stack import find_stack
from depthprune.engine.reference import ReferenceEvaluator
from depthprune.tasks.demo import DEMO, model_place
from depthprune.tasks.lm_eval import catalogue
from depthprune.tasks.load import load_split
from depthprune.tasks.registry import get_task
from depthprune.testing import tiny_models as tiny
from tests.tasks import harness

harness_metrics = pytest.importorskip("lm_eval.api.metrics")

SPEED = SpeedOptions(batch_sizes=(1, 4), prompt_tokens=5, new_tokens=3, repeats=2)
PARTS = (
    *("ppl.my.txt", "zeroshot.tiny_choice", "zeroshot.tiny_written"),
    *("speed.batch_size_1", "speed.batch_size_4", "memory.batch_size_1", "memory.batch_size_4"),
)


@pytest.fixture(scope="module", autouse=True)
def _a_small_harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Leave out what takes seconds: the harness's own 15,000 definitions, 1000 draws."""
    draw = harness_metrics.bootstrap_stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "_shipped_index", dict)
        patch.setattr(
            harness_metrics,
            "bootstrap_stderr",
            lambda metric, column, iters: draw(metric, column, harness.DRAWS),
        )
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        patch.setenv("DISABLE_MULTIPROC", "1")
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return harness.write_definitions(tmp_path_factory.mktemp("definitions"))


@pytest.fixture
def options(folder: Path, tmp_path: Path) -> BenchmarkPlan:
    text = tmp_path / "my.txt"
    text.write_text(" ".join(tiny.QUESTIONS * 8))
    return BenchmarkPlan(
        texts=text_sets((str(text),)),
        windows=Windows(32, 8),
        tasks=zero_shot_tasks(["tiny_choice", "tiny_written"], [folder]),
        speed=SPEED,
    )


def llama() -> LoadedModel:
    return tiny.loaded(tiny.llama(), tiny.word_tokenizer())


def run(loaded: LoadedModel, options: BenchmarkPlan, path: Path, **more: Any) -> BenchmarkOutcome:
    return run_benchmark(loaded, find_stack(loaded.model), options, path, **more)


def content(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text())
    return value


def test_everything_is_in_the_file(options: BenchmarkPlan, tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    loaded = llama()
    done = run(loaded, options, path)
    card = content(path)
    assert card == done.content
    assert (done.measured, done.reused, dict(done.failed)) == (PARTS, (), {})
    assert card["errors"] == {}
    assert card["model_info"] == {
        "name": "tiny",
        "fingerprint": "fingerprint",
        "architecture": "LlamaForCausalLM",
        "dtype": "float32",
        "stack": "model.layers",
        "num_blocks": 4,
        "removed": [],
        "num_active_blocks": 4,
        "parameters": sum(tensor.numel() for tensor in loaded.model.parameters()),
        "module_parameters": card["model_info"]["module_parameters"],
    }
    tokens = text_tokens(loaded, options.texts[0].read().content)
    standard = perplexity(loaded, tokens, Windows(32, 8))
    assert card["ppl"]["my.txt"]["standard"] == {
        "ppl": standard.ppl,
        "nll": standard.nll,
        "tokens": len(tokens) - 1,
        "window": 32,
        "stride": 8,
        "window_asked": 32,
        "stride_asked": 8,
    }
    assert card["ppl"]["my.txt"]["quick"]["window"] == 128
    assert set(card["speed"]) == set(card["memory"]) == {"batch_size_1", "batch_size_4"}
    assert card["speed"]["batch_size_4"]["tokens_per_second"] > 0
    assert len(card["speed"]["batch_size_4"]["seconds"]) == 2
    assert card["speed"]["batch_size_4"]["device"] == card["config"]["device_name"]
    weights = sum(tensor.nbytes for tensor in loaded.model.parameters())
    assert card["memory"]["batch_size_1"]["weights_bytes"] >= weights
    assert card["memory"]["batch_size_1"]["skipped_bytes"] == 0
    assert card["config"]["zeroshot_tasks"] == ["tiny_choice", "tiny_written"]
    assert card["config"]["versions"]["torch"]


def test_every_field_is_documented(options: BenchmarkPlan, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "evaluate.md").read_text(encoding="utf-8")
    told = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", page))))
    names = {"my.txt", "tiny_choice", "tiny_written", "batch_size_1", "batch_size_4"}

    def fields(value: Any) -> Iterator[str]:
        for name, inner in value.items() if isinstance(value, dict) else ():
            if name not in names:
                yield name
            # What the harness and the installed packages are called is not ours.
            if name not in ("metrics", "versions"):
                yield from fields(inner)

    assert set(fields(run(llama(), options, tmp_path / "card.json").content)) - told == set()


@pytest.mark.parametrize("removal", [(), (1, 2)], ids=["whole", "without blocks"])
def test_zero_shot_numbers_are_the_harness_s_own(
    removal: Removal, options: BenchmarkPlan, folder: Path, tmp_path: Path
) -> None:
    """Accuracies and standard errors, to the last digit."""
    loaded = llama()
    asked = replace(options, metrics=("zeroshot",), removal=removal)
    zeroshot = run(loaded, asked, tmp_path / "card.json").content["zeroshot"]
    other = tiny.without_blocks(loaded.model, removal)
    for name in ("tiny_choice", "tiny_written"):
        own = harness.own_run(other, loaded.tokenizer, folder, name)
        theirs, ours = harness.own_metrics(own, name), zeroshot["tasks"][name]["metrics"]
        assert set(ours) == set(theirs)
        for metric in [key for key in theirs if key.startswith(("acc", "exact"))]:
            assert ours[metric] == theirs[metric], metric
    choice, written = zeroshot["tasks"].values()
    assert choice["metric"] == "acc_norm"
    assert choice["accuracy"] == choice["acc_norm"] == choice["metrics"]["acc_norm,none"]
    assert (
        choice["stderr"] == choice["acc_norm_stderr"] == choice["metrics"]["acc_norm_stderr,none"]
    )
    assert (choice["n"], written["metric"], written["acc"]) == (6, "exact_match", None)
    assert zeroshot["average"] == (choice["accuracy"] + written["accuracy"]) / 2
    assert zeroshot["average_of"] == ["tiny_choice", "tiny_written"]


def test_a_second_run_measures_nothing(
    options: BenchmarkPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "card.json"
    first = run(llama(), options, path)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("measured again")

    for name in ("perplexity", "task_accuracy", "measure_in_turns", "write_once"):
        monkeypatch.setattr(measure, name, refuse)
    again = run(llama(), options, path)
    assert (again.measured, again.reused) == ((), PARTS)
    assert {**again.content, "config": {}} == {**first.content, "config": {}}


@pytest.mark.parametrize("stopped_at", ["zeroshot.tiny_written", "memory.batch_size_1"])
def test_after_a_stop_the_same_command_goes_on(
    options: BenchmarkPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_at: str
) -> None:
    path = tmp_path / "card.json"
    place = PARTS.index(stopped_at)
    fail_at = {2: "task_accuracy", 5: "peak_while"}[place]
    whole, calls = getattr(measure, fail_at), []

    def stop(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == (2 if fail_at == "task_accuracy" else 1):
            raise KeyboardInterrupt
        return whole(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(measure, fail_at, stop)
        with pytest.raises(KeyboardInterrupt):
            run(llama(), options, path)
    done = run(llama(), options, path)
    assert (done.reused, done.measured) == (PARTS[:place], PARTS[place:])


def test_what_fails_is_told_and_the_rest_is_kept(
    options: BenchmarkPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "card.json"
    short = tmp_path / "short.txt"
    short.write_text("sky")
    loaded = tiny.loaded(tiny.llama(), tiny.word_tokenizer(start=False))
    texts = (*options.texts, *text_sets((str(short),)))

    def break_down(*_: Any, **__: Any) -> None:
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr(measure, "measure_in_turns", break_down)
    done = run(loaded, replace(options, texts=texts), path)
    assert set(done.failed) == {"ppl.short.txt", "speed.batch_size_1", "speed.batch_size_4"}
    card = content(path)
    assert card["errors"] == done.failed
    assert "too short" in card["errors"]["ppl.short.txt"]
    assert card["errors"]["speed.batch_size_4"] == "RuntimeError: out of memory"
    assert set(card["ppl"]) == {"my.txt"}
    assert (card["speed"], len(card["zeroshot"]["tasks"])) == ({}, 2)
    monkeypatch.undo()
    mended = run(loaded, options, path)
    assert set(content(path)["errors"]) == {"ppl.short.txt"}
    assert "speed.batch_size_1" in mended.measured


def test_the_average_is_over_what_could_be_measured(
    options: BenchmarkPlan, folder: Path, tmp_path: Path
) -> None:
    lost = harness.LAST_WORD.format(folder=tmp_path / "gone")
    harness.write_definition(folder, "lost", lost.replace("tiny_last_word", "tiny_lost"))
    tasks = zero_shot_tasks(["tiny_choice", "tiny_lost", "tiny_texts"], [folder])
    (folder / "lost.yaml").unlink()
    done = run(llama(), replace(options, metrics=("zeroshot",), tasks=tasks), tmp_path / "c.json")
    zeroshot = done.content["zeroshot"]
    assert set(done.failed) == {"zeroshot.tiny_lost"}
    assert zeroshot["tasks"]["tiny_texts"]["accuracy"] is None
    assert zeroshot["tasks"]["tiny_texts"]["metrics"]["word_perplexity,none"] > 1
    assert zeroshot["average_of"] == ["tiny_choice"]
    assert zeroshot["average"] == zeroshot["tasks"]["tiny_choice"]["accuracy"]


def test_other_settings_of_a_part_are_measured_anew(options: BenchmarkPlan, tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    run(llama(), options, path)
    options.texts[0].file.write_text("the sky is blue .")  # type: ignore[union-attr]
    changed = replace(options, num_samples=3, speed=replace(SPEED, new_tokens=2))
    done = run(llama(), changed, path)
    assert done.measured == PARTS
    assert done.content["zeroshot"]["tasks"]["tiny_choice"]["n"] == 3


def test_metrics_that_are_not_asked_for_stay(options: BenchmarkPlan, tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    run(llama(), replace(options, metrics=("ppl",)), path)
    done = run(llama(), replace(options, metrics=("speed",)), path)
    assert done.measured == PARTS[3:5]
    assert set(content(path)["ppl"]) == {"my.txt"}


def test_without_blocks_it_says_so(options: BenchmarkPlan, tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    asked = replace(options, removal=(1, 2), metrics=("memory",))
    card = run(llama(), asked, path).content
    assert (card["model_info"]["removed"], card["model_info"]["num_active_blocks"]) == ([1, 2], 2)
    one = card["memory"]["batch_size_1"]
    assert one["skipped_bytes"] > 0
    with pytest.raises(FileError, match="another model, or of other blocks"):
        run(llama(), replace(asked, removal=()), path)
    assert content(path) == card
    whole = run(llama(), replace(asked, removal=()), path, overwrite=True).content
    before = one["weights_bytes"] + one["skipped_bytes"]
    assert whole["memory"]["batch_size_1"]["weights_bytes"] == before


def test_the_same_numbers_of_another_stack_are_other_blocks(tmp_path: Path) -> None:
    text = {"fingerprint": "f", "stack": "model.layers", "removed": [1], "dtype": "float32"}
    ResultsFile(tmp_path / "c.json", text, overwrite=False).write()
    ResultsFile(tmp_path / "c.json", text, overwrite=False)
    with pytest.raises(FileError, match="of other blocks"):
        ResultsFile(tmp_path / "c.json", text | {"stack": "vision.layers"}, overwrite=False)


@pytest.mark.parametrize("other", [{"notes": "mine"}, {"x": [1, {"y": None}]}, {"\ud800": {}}])
def test_fields_of_others_are_kept_where_a_file_is_gone_on_with(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    path = tmp_path / "c.json"
    about = {"fingerprint": "f", "stack": "layers", "removed": [], "dtype": "float32"}
    ResultsFile(path, about, overwrite=False).write()
    path.write_text(json.dumps(json.loads(path.read_text()) | other))
    ResultsFile(path, about, overwrite=False).store(("ppl", "a"), {"ppl": 2.0}, "digest")
    written = json.loads(path.read_text())
    assert written == written | other
    assert written["ppl"]["a"]["ppl"] == 2.0


def test_a_window_beyond_the_positions_is_bounded_and_said(
    options: BenchmarkPlan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = replace(options, metrics=("ppl",), windows=Windows(2048, 512))
    entry = run(llama(), asked, tmp_path / "c.json").content["ppl"]["my.txt"]["standard"]
    assert [entry[name] for name in ("window", "stride", "window_asked")] == [128, 32, 2048]
    assert "reads 128 tokens at most" in caplog.text


def test_a_vision_language_model_is_measured_on_text(
    options: BenchmarkPlan, tmp_path: Path
) -> None:
    loaded = tiny.loaded(tiny.llava(), tiny.demo_processor())
    done = run(loaded, options, tmp_path / "c.json", name="mine")
    assert (dict(done.failed), done.measured) == ({}, PARTS)
    assert done.content["model_info"]["module_parameters"]["vision"] > 0
    assert done.content["model_info"]["name"] == "mine"


def test_a_model_that_writes_nothing_is_refused(options: BenchmarkPlan, tmp_path: Path) -> None:
    loaded = replace(llama(), kind="image")
    with pytest.raises(ModelError, match="writes no text"):
        run(loaded, options, tmp_path / "c.json")


def test_a_block_that_is_not_there(options: BenchmarkPlan, tmp_path: Path) -> None:
    with pytest.raises(RemovalError):
        run(llama(), replace(options, removal=(9,)), tmp_path / "c.json")
    assert not (tmp_path / "c.json").exists()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"metrics": {}}', "not written by this version"),
        ("[1]", "not written by this version"),
        ('{"schema_version": 1, "model_info": {}}', "not written by this version"),
        ('{"schema_version": 1', "not valid JSON"),
        ("", "not valid JSON"),
    ],
)
def test_a_file_of_something_else_is_not_overwritten(
    tmp_path: Path, text: str, complaint: str
) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(FileError, match=complaint):
        check_results_path(path, overwrite=False)
    check_results_path(path, overwrite=True)
    assert path.read_text() == text


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="this is a folder"):
        check_results_path(tmp_path, overwrite=True)


def test_metrics_that_are_not_there() -> None:
    assert check_metrics(("memory", "ppl", "ppl")) == ("ppl", "memory")
    for names in (("ppl", "speeed"), ()):
        with pytest.raises(DepthpruneError, match="metric"):
            check_metrics(names)


class TestTasks:
    def names(self, *given: str, paths: tuple[Path, ...] = ()) -> list[str]:
        return [task.name for task in zero_shot_tasks(given, paths)]

    def test_a_group_is_its_members_and_none_comes_twice(self, folder: Path) -> None:
        found = self.names("tiny_tag", "lm_eval:tiny_choice", paths=(folder,))
        assert found == ["tiny_choice", "tiny_written"]

    def test_a_definition_may_be_named_by_its_file(self, folder: Path) -> None:
        assert self.names(str(folder / "choice.yaml")) == ["tiny_choice"]
        assert "tiny_texts" in self.names(str(folder / "group.yaml"))

    @pytest.mark.parametrize("text", ["a: [", "- 1", "output_type: x", "task: [a]"])
    def test_a_definition_that_is_none(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "my.yaml").write_text(text)
        with pytest.raises(TaskError, match="definition"):
            self.names(str(tmp_path / "my.yaml"))

    def test_what_is_not_there(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(TaskError, match="no such definition"):
            self.names(str(tmp_path / "my.yaml"))
        with pytest.raises(TaskError, match="did you mean"):
            self.names("tiny_choise", paths=(folder,))
        with pytest.raises(TaskError, match="no task was named"):
            self.names()


def test_tasks_of_any_kind_are_scored_with_blocks_skipped_and_kept(tmp_path: Path) -> None:
    task = get_task("demo_okvqa")
    loaded = load_model(model_place(DEMO))
    options = BenchmarkPlan(
        metrics=(), scored=((task, "validation"),), num_samples=6, removal=(4, 13)
    )
    done = run(loaded, options, tmp_path / "card.json")
    assert done.measured == ("scores.demo_okvqa",)
    entry = done.content["scores"]["demo_okvqa"]
    split = load_split(task, "validation", 6)
    scores = ReferenceEvaluator(loaded).evaluate(split, [(4, 13)]).scores[0]
    assert entry["accuracy"] == pytest.approx(float(scores.mean()))
    assert (entry["n"], entry["metric"], entry["split"]) == (6, "vqa_accuracy", "validation")
    assert run(loaded, options, tmp_path / "card.json").reused == ("scores.demo_okvqa",)


def test_all_is_read_before_anything_is_measured_and_alike_failures_are_told_once(
    options: BenchmarkPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    picture = replace(get_task("demo_okvqa"), name="one")
    asked = replace(
        options,
        metrics=("speed",),
        scored=((picture, "validation"), (replace(picture, name="other"), "validation")),
        num_samples=2,
    )
    timed = measure.measure_in_turns

    def after_the_warning(*arguments: Any, **named: Any) -> Any:
        assert "will not be measured" in caplog.text
        return timed(*arguments, **named)

    monkeypatch.setattr(measure, "measure_in_turns", after_the_warning)
    with caplog.at_level("WARNING", logger="depthprune"):
        done = run(llama(), asked, tmp_path / "card.json")
    assert set(done.failed) == {"scores.one", "scores.other"}
    assert "speed.batch_size_1" in done.measured
    (line,) = (one for one in caplog.messages if "will not be measured" in one)
    assert line.startswith("scores.one, scores.other will not be measured: ")
    assert "reads text only" in line


def test_without_blocks_the_whole_model_takes_turns_and_the_ratio_has_an_interval(
    options: BenchmarkPlan, tmp_path: Path
) -> None:
    asked = replace(options, metrics=("speed",), removal=(1,))
    entry = run(llama(), asked, tmp_path / "card.json").content["speed"]["batch_size_1"]
    assert len(entry["whole_seconds"]) == len(entry["seconds"]) == SPEED.repeats
    ratio = entry["times_as_fast"]
    assert ratio["low"] <= ratio["value"] <= ratio["high"]
