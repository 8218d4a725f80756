"""Every model below a folder is analysed beside one original, whatever some of them hold."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from depthprune.base.errors import DepthpruneError, FileError, LayoutError
from depthprune.base.language import language
from depthprune.structure import batches
from depthprune.structure.analyses import ModelAnalysis, analyze
from depthprune.structure.batches import BatchOutcome, batch
from depthprune.structure.finding import find_model_folders
from depthprune.structure.layouts import read_anatomy, read_comparison
from depthprune.structure.summaries import facts_of
from tests.structure.llamas import keep_layers, make_state, prune_layer, save

SIX = make_state(6)
FULL = "model_structure.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an original and with pruned models of every kind."""
    root = tmp_path_factory.mktemp("made")
    save(root / "base", SIX)
    models = root / "models"
    save(models / "baselines" / "removed", keep_layers(SIX, [0, 1, 4, 5]))
    save(models / "own" / "smaller", prune_layer(SIX, 2, heads=2, inner=12))
    save(models / "own" / "inner" / "pruned_model", keep_layers(SIX, [0, 1, 2]))
    pickled = models / "own" / "pickled"
    pickled.mkdir()
    torch.save(prune_layer(SIX, 1, inner=24), pickled / "pruned_model.bin")
    several = models / "several"
    several.mkdir()
    torch.save(keep_layers(SIX, [0, 5]), several / "a_0.7.pt")
    torch.save(keep_layers(SIX, [0, 3, 5]), several / "b_0.5.pt")
    return root


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """Return a copy that a test may change."""
    shutil.copytree(made, tmp_path / "place")
    return tmp_path / "place"


def run(place: Path, **options: Any) -> BatchOutcome:
    return batch(place / "models", place / "base", place / "out", **options)


def statuses(outcome: BatchOutcome) -> dict[str, str]:
    return {one.name: one.status for one in outcome.results}


def analysed_now(outcome: BatchOutcome) -> list[str]:
    return [one.name for one in outcome.results if one.status == "success" and not one.reused]


def break_model(place: Path) -> Path:
    broken = place / "models" / "own" / "broken"
    broken.mkdir()
    (broken / "model.safetensors").write_bytes(b"x" * 40)
    return broken


NAMES = [
    "baselines/removed",
    "own/inner",
    "own/pickled",
    "own/smaller",
    "several/a_0.7",
    "several/b_0.5",
]


def test_models_of_every_kind_are_analysed_below_the_output_folder(place: Path) -> None:
    outcome = run(place)
    assert statuses(outcome) == dict.fromkeys(NAMES, "success")
    assert {one.name: one.kind for one in outcome.results} == {
        "baselines/removed": "huggingface",
        "own/inner": "pruned_model",
        "own/pickled": "bin",
        "own/smaller": "huggingface",
        "several/a_0.7": "bin",
        "several/b_0.5": "bin",
    }
    for name in NAMES:
        folder = place / "out" / name / "analysis"
        assert read_anatomy(folder / FULL).name == name.partition("/")[2]
        assert len(read_comparison(folder / "model_comparison.json").layers) == 6


def test_each_analysis_is_the_one_that_analyze_makes(place: Path) -> None:
    run(place)
    alone = analyze(place / "models" / "own" / "smaller", place / "base")
    kept = read_comparison(place / "out" / "own" / "smaller" / "analysis" / "model_comparison.json")
    assert kept == alone.comparison


def test_a_broken_model_stops_nothing_and_is_told(place: Path) -> None:
    broken = break_model(place)
    outcome = run(place)
    assert statuses(outcome) == dict.fromkeys(NAMES, "success") | {"own/broken": "failed"}
    (one,) = outcome.with_status("failed")
    assert one.error is not None
    assert str(broken) in one.error
    assert one.source == broken
    assert not one.folder.exists()


def test_what_nobody_foresaw_stops_nothing_either(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_for_pickles(source: Path, *rest: Any, **options: Any) -> ModelAnalysis:
        if source.name == "pickled":
            raise ZeroDivisionError("oh")
        return analyze(source, *rest, **options)

    monkeypatch.setattr(batches, "analyze", fail_for_pickles)
    outcome = run(place)
    (one,) = outcome.with_status("failed")
    assert one.error == "unexpected: ZeroDivisionError: oh"
    assert len(outcome.with_status("success")) == 5


def test_what_lies_beside_a_broken_model_stays(place: Path) -> None:
    folder = break_model(place) / "analysis"
    folder.mkdir()
    (folder / FULL).write_text("of an older script")
    outcome = batch(place / "models", place / "base", place / "models")
    assert [one.name for one in outcome.with_status("failed")] == ["own/broken"]
    assert (folder / FULL).read_text() == "of an older script"


def test_a_folder_with_results_of_a_model_that_is_not_there_is_listed(place: Path) -> None:
    (place / "models" / "gone" / "evaluation").mkdir(parents=True)
    outcome = run(place)
    (one,) = outcome.with_status("no model")
    assert (one.name, one.kind, one.error) == ("gone", None, None)


def test_its_own_output_is_no_folder_without_a_model(place: Path) -> None:
    again = [batch(place / "models", place / "base", place / "models" / "out") for _ in range(2)]
    assert [statuses(one) for one in again] == [dict.fromkeys(NAMES, "success")] * 2


def test_analyses_may_lie_beside_their_models(place: Path) -> None:
    batch(place / "models", place / "base", place / "models")
    assert (place / "models" / "own" / "inner" / "analysis" / FULL).is_file()
    assert (place / "models" / "several" / "b_0.5" / "analysis" / FULL).is_file()
    found = {folder.name: bool(folder.files) for folder in find_model_folders([place / "models"])}
    assert found == {f"models/{name}": True for name in NAMES}


def test_the_file_of_results_tells_status_and_error_of_each(place: Path) -> None:
    break_model(place)
    (place / "models" / "gone" / "evaluation").mkdir(parents=True)
    run(place)
    value = json.loads((place / "out" / "batch_analysis_results.json").read_text())
    assert (value["total_models"], value["successful"], value["failed"]) == (8, 6, 1)
    assert value["base_model"] == str(place / "base")
    told = {one["model_name"]: one for one in value["results"]}
    assert told["own/broken"]["status"] == "failed"
    assert "header" in told["own/broken"]["error"]
    assert told["gone"]["status"] == "no model"
    removed = told["baselines/removed"]
    assert (removed["status"], removed["error"]) == ("success", None)
    assert removed["output_dir"] == str(place / "out" / "baselines" / "removed" / "analysis")


def test_a_second_run_analyses_nothing(place: Path) -> None:
    first, second = run(place), run(place)
    assert analysed_now(first) == NAMES
    assert analysed_now(second) == []
    assert statuses(second) == statuses(first)


def _mend(place: Path) -> None:
    save(place / "models" / "own" / "broken", SIX)


def _change(place: Path) -> None:
    save(place / "models" / "own" / "smaller", prune_layer(SIX, 2, inner=3))


def _change_beside(place: Path) -> None:
    (place / "models" / "own" / "smaller" / "depthprune.json").write_text("{}")


def _lose(place: Path) -> None:
    shutil.rmtree(place / "out" / "own" / "pickled")


def _touch_inner(place: Path) -> None:
    os.utime(place / "models" / "own" / "inner" / "pruned_model" / "model.safetensors", (1, 1))


def _touch_one_of_several(place: Path) -> None:
    os.utime(place / "models" / "several" / "a_0.7.pt", (1, 1))


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (_mend, ["own/broken"]),
        (_change, ["own/smaller"]),
        (_change_beside, ["own/smaller"]),
        (_lose, ["own/pickled"]),
        (_touch_inner, ["own/inner"]),
        (_touch_one_of_several, ["several/a_0.7"]),
    ],
)
def test_a_second_run_analyses_what_failed_changed_or_was_lost(
    change: Callable[[Path], None], again: list[str], place: Path
) -> None:
    break_model(place)
    run(place)
    change(place)
    assert analysed_now(run(place)) == again


def test_another_original_or_question_analyses_all_again(place: Path) -> None:
    run(place)
    os.utime(place / "base" / "model.safetensors", (1, 1))
    assert analysed_now(run(place)) == NAMES
    assert analysed_now(run(place)) == []
    assert analysed_now(run(place, count_zeros=True)) == NAMES


def test_everything_can_be_analysed_again(place: Path) -> None:
    run(place)
    assert analysed_now(run(place, resume=False)) == NAMES


@pytest.mark.parametrize("content", ["{", "[]", '{"results": [{"model_name": 3}]}', "{}"])
def test_a_file_of_results_that_cannot_be_read_is_written_anew(content: str, place: Path) -> None:
    run(place)
    (place / "out" / "batch_analysis_results.json").write_text(content)
    assert analysed_now(run(place)) == NAMES


def test_what_was_done_before_an_interruption_is_kept(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt_at_pickles(source: Path, *rest: Any, **options: Any) -> ModelAnalysis:
        if source.name == "pickled":
            raise KeyboardInterrupt
        return analyze(source, *rest, **options)

    monkeypatch.setattr(batches, "analyze", interrupt_at_pickles)
    with pytest.raises(KeyboardInterrupt):
        run(place)
    monkeypatch.undo()
    assert analysed_now(run(place)) == NAMES[2:]


def test_an_interruption_forgets_nothing_of_earlier_runs(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(place)
    name = NAMES[0].split("/")
    os.utime(place.joinpath("models", *name, "model.safetensors"), (1, 1))

    def interrupt(*rest: Any, **options: Any) -> ModelAnalysis:
        raise KeyboardInterrupt

    monkeypatch.setattr(batches, "analyze", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(place)
    monkeypatch.undo()
    assert analysed_now(run(place)) == NAMES[:1]


def test_a_run_that_is_killed_loses_some_seconds_only(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be written at the end then."""
    monkeypatch.setattr(batches, "KEEP_SECONDS", 0.0)
    known: list[int] = []

    def count_known(*rest: Any, **options: Any) -> ModelAnalysis:
        file = place / "out" / batches.RESULTS_FILE
        known.append(json.loads(file.read_text())["successful"] if file.exists() else 0)
        return analyze(*rest, **options)

    monkeypatch.setattr(batches, "analyze", count_known)
    run(place)
    assert known == list(range(len(NAMES)))


def test_texts_in_another_language_are_written_again(place: Path) -> None:
    run(place)
    assert analysed_now(run(place)) == []
    with language("zh"):
        assert analysed_now(run(place)) == NAMES


def test_an_analysis_file_will_do_as_the_original(place: Path) -> None:
    analyze(place / "base", output_dir=place / "base" / "analysis")
    file = place / "base" / "analysis" / FULL
    outcome = batch(place / "models", file, place / "out")
    assert statuses(outcome) == dict.fromkeys(NAMES, "success")
    assert analysed_now(batch(place / "models", file, place / "out")) == []
    os.utime(file, (1, 1))
    assert analysed_now(batch(place / "models", file, place / "out")) == NAMES


def test_without_an_original_parameters_are_counted(place: Path) -> None:
    outcome = batch(place / "models", None, place / "out")
    (removed, *_) = outcome.summary().models
    assert removed.comparison is None
    assert facts_of(removed).num_layers == 4


def test_the_summary_has_what_was_lost_and_why_it_failed(place: Path) -> None:
    break_model(place)
    (place / "models" / "gone" / "evaluation").mkdir(parents=True)
    models = {one.name: one for one in run(place).summary().models}
    assert set(models) == {*NAMES, "own/broken"}
    assert facts_of(models["baselines/removed"]).removed == (2, 3)
    assert facts_of(models["several/a_0.7"]).num_removed == 4
    assert "header" in models["own/broken"].problems[0]


def test_texts_are_written_for_each_model(place: Path) -> None:
    def texts(analysis: ModelAnalysis) -> Mapping[str, str]:
        return {"name.txt": analysis.anatomy.name}

    run(place, texts=texts)
    assert (place / "out" / "own" / "inner" / "analysis" / "name.txt").read_text() == "inner"


def test_the_model_may_be_the_folder_itself(place: Path) -> None:
    outcome = batch(place / "models" / "own" / "smaller", place / "base", place / "out")
    assert statuses(outcome) == {"smaller": "success"}
    assert (place / "out" / "smaller" / "analysis" / FULL).is_file()


def test_two_models_of_one_name_get_folders_of_their_own(place: Path) -> None:
    save(place / "models" / "several" / "a_0.7", SIX)
    outcome = run(place)
    assert "several/a_0.7~2" in statuses(outcome)
    layers = {
        len(read_anatomy(one.folder / "analysis" / FULL).layers)
        for one in outcome.results
        if one.name.startswith("several/a_0.7")
    }
    assert layers == {2, 6}


@pytest.mark.parametrize(
    ("models_dir", "base", "error", "what"),
    [
        ("nowhere", "base", FileError, "no such folder"),
        ("empty", "base", LayoutError, "no model in this folder"),
        ("models", "nowhere", DepthpruneError, "nowhere"),
    ],
)
def test_bad_input_is_told_before_anything_is_written(
    models_dir: str, base: str, error: type[Exception], what: str, place: Path
) -> None:
    (place / "empty").mkdir()
    with pytest.raises(error, match=what):
        batch(place / models_dir, place / base, place / "out")
    assert not (place / "out").exists()


def test_an_analysis_is_written_as_a_whole_or_not_at_all(place: Path) -> None:
    (place / "out" / "baselines" / "removed" / "analysis" / "model_comparison.json").mkdir(
        parents=True
    )
    assert statuses(run(place))["baselines/removed"] == "failed"
    folder = place / "out" / "baselines" / "removed" / "analysis"
    assert [one.name for one in folder.iterdir()] == ["model_comparison.json"]
