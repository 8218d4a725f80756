"""Specification of the result files that are written from a study."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depthprune.base.errors import FileError, LayoutError, StudyError
from depthprune.base.files import write_json
from depthprune.base.log import logger
from depthprune.study import (
    ModelRecord,
    StudyStore,
    check_result_files,
    read_results,
    write_importance_comparison,
    write_result_files,
)
from depthprune.study import (
    result_files as views,
)
from tests.study.example import MODEL, SETTINGS, SPLIT, add, answers_of, filled_study, scores_of

DATA = Path(__file__).parent / "data"
MEASURED = [(), (0,), (1,), (2,), (3,), (4,), (5,), (0, 3), (1, 2, 5)]


@pytest.fixture
def study(tmp_path: Path) -> Iterator[StudyStore]:
    with filled_study(tmp_path / "study", MEASURED) as study:
        yield study


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def write(study: StudyStore, results: Path, **options: Any) -> list[Path]:
    return write_result_files(study, results, beam_width=3, max_blocks_to_remove=4, **options)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def other_sample(study: StudyStore) -> int:
    """Measure a baseline of the same split with other options, and return its key."""
    key = study.add_split(replace(SPLIT, fingerprint="task-2"))
    add(study, (), key=key)
    return key


def test_the_files_lie_under_dataset_with_hyphens_and_split(
    study: StudyStore, results: Path
) -> None:
    folder = results / "demo-okvqa" / "train+validation"
    names = [
        "sensitivity_baseline.json",
        *(f"sensitivity_block_{block}.json" for block in range(6)),
        "beam_search_step2_blocks4_removed0-3.json",
        "beam_search_step3_blocks3_removed1-2-5.json",
        "exp3_accuracy_sensitivity_v2_results.json",
        "layer_importance_scores.json",
        "provenance.json",
    ]
    written = write(study, results)
    assert written == [folder / name for name in names]
    assert sorted(written) == sorted(path for path in results.rglob("*") if path.is_file())


def test_the_summary_has_the_published_keys_in_the_published_order(
    study: StudyStore, results: Path
) -> None:
    write(study, results)
    here = read(results / "demo-okvqa/train+validation/exp3_accuracy_sensitivity_v2_results.json")
    there = read(DATA / "beam/okvqa/train+validation/exp3_accuracy_sensitivity_v2_results.json")
    assert list(here) == list(there)
    assert list(here["summary"][0]) == list(there["summary"][0])


def test_the_summary_lists_every_removal_but_the_baseline(study: StudyStore, results: Path) -> None:
    write(study, results)
    path = results / "demo-okvqa/train+validation/exp3_accuracy_sensitivity_v2_results.json"
    value = read(path)
    baseline = float(scores_of(()).astype(np.float64).mean())
    head = {name: value[name] for name in value if name != "summary"}
    assert head == {
        "dataset_name": "demo_okvqa",
        "split": "train+validation",
        "baseline_accuracy": baseline,
        "beam_width": 3,
        "max_blocks_to_remove": 4,
        "num_total_blocks": 6,
    }
    assert [tuple(one["removed_block_indices"]) for one in value["summary"]] == MEASURED[1:]
    exact = scores_of((0, 3)).astype(np.float64)
    assert value["summary"][6] == {
        "step": 2,
        "num_active_blocks": 4,
        "num_total_blocks": 6,
        "active_block_indices": [1, 2, 4, 5],
        "removed_block_indices": [0, 3],
        "accuracy": float(exact.mean()),
        "accuracy_drop": baseline - float(exact.mean()),
        "num_samples": 8,
        "std": float(exact.std()),
        "baseline_accuracy": baseline,
    }


def test_the_importance_file_gives_each_single_block_its_drop(
    study: StudyStore, results: Path
) -> None:
    write(study, results)
    value = read(results / "demo-okvqa/train+validation/layer_importance_scores.json")
    drops = study.drops(1, SETTINGS)
    assert value == {str(block): drops[(block,)] for block in range(6)}
    assert list(value) == ["0", "1", "2", "3", "4", "5"]


@pytest.mark.parametrize(
    ("name", "removal"),
    [
        ("sensitivity_baseline.json", ()),
        ("sensitivity_block_4.json", (4,)),
        ("beam_search_step3_blocks3_removed1-2-5.json", (1, 2, 5)),
    ],
)
def test_the_file_of_a_removal_is_its_summary_entry_with_every_sample(
    study: StudyStore, results: Path, name: str, removal: tuple[int, ...]
) -> None:
    write(study, results)
    folder = results / "demo-okvqa" / "train+validation"
    value = read(folder / name)
    assert (value.pop("dataset_name"), value.pop("split")) == ("demo_okvqa", "train+validation")
    assert value.pop("samples") == [
        {"sample_id": sample_id, "score": float(score), "answer": answer}
        for sample_id, score, answer in zip(
            SPLIT.sample_ids, scores_of(removal), answers_of(removal), strict=True
        )
    ]
    summary = read(folder / "exp3_accuracy_sensitivity_v2_results.json")["summary"]
    assert removal == () or value in summary


def test_writing_again_changes_no_file(study: StudyStore, results: Path) -> None:
    written = write(study, results)
    before = {path: (path.stat().st_ino, path.read_bytes()) for path in written}
    assert write(study, results) == written
    assert {path: (path.stat().st_ino, path.read_bytes()) for path in written} == before


def test_only_files_that_changed_are_written_again(study: StudyStore, results: Path) -> None:
    before = {path.name: path.stat().st_ino for path in write(study, results)}
    add(study, (0, 1))
    after = {path.name: path.stat().st_ino for path in write(study, results)}
    changed = {name for name in after if before.get(name) != after[name]}
    assert changed == {
        "beam_search_step2_blocks4_removed0-1.json",
        "exp3_accuracy_sensitivity_v2_results.json",
        "provenance.json",
    }


def test_a_spoiled_file_is_written_again(study: StudyStore, results: Path) -> None:
    path = write(study, results)[1]
    good = path.read_bytes()
    path.write_text("{")
    write(study, results)
    assert path.read_bytes() == good


def test_writing_that_was_cut_short_is_finished_by_writing_again(
    study: StudyStore, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def until_the_disk_is_full(path: Path, value: Any) -> None:
        if path.name == "sensitivity_block_3.json":
            raise FileError("no space left")
        write_json(path, value)

    with monkeypatch.context() as patch:
        patch.setattr(views, "write_json", until_the_disk_is_full)
        with pytest.raises(FileError, match="no space left"):
            write(study, results)
    assert all(path.exists() for path in write(study, results))


def test_a_split_without_a_baseline_is_left_out_with_a_warning(
    tmp_path: Path,
    results: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logger, "propagate", True)  # the command line may have turned it off
    with filled_study(tmp_path / "other", [(1,)]) as study:
        assert write(study, results) == []
    assert "demo_okvqa train+validation has no baseline yet" in caplog.text
    assert not results.exists()


def test_without_single_blocks_there_is_no_importance_file(tmp_path: Path, results: Path) -> None:
    with filled_study(tmp_path / "other", [(), (1, 2)]) as study:
        assert "layer_importance_scores.json" not in {path.name for path in write(study, results)}


def test_without_any_search_the_summary_names_none(study: StudyStore, results: Path) -> None:
    write_result_files(study, results)
    value = read(results / "demo-okvqa/train+validation/exp3_accuracy_sensitivity_v2_results.json")
    assert not {"beam_width", "max_blocks_to_remove"} & set(value)


def test_two_prompts_of_one_task_are_refused_until_one_is_chosen(
    study: StudyStore, results: Path
) -> None:
    key = study.add_split(replace(SPLIT, fingerprint="task-2"))
    add(study, (), key=key)
    with pytest.raises(StudyError, match="measured more than once"):
        write(study, results)
    assert not results.exists()
    assert len(write(study, results, selection=[(key, SETTINGS)])) == 3


def test_two_settings_are_refused_until_one_is_chosen(study: StudyStore, results: Path) -> None:
    add(study, (), settings="bfloat16")
    with pytest.raises(StudyError, match=r"'bfloat16'.*'greedy dtype=float32'"):
        write(study, results)
    assert len(write(study, results, selection=[(1, "bfloat16")])) == 3


def test_the_files_of_another_sample_are_set_aside_with_a_warning(
    study: StudyStore,
    results: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logger, "propagate", True)  # the command line may have turned it off
    write(study, results)
    folder = results / "demo-okvqa" / "train+validation"
    (folder / "notes.txt").write_text("mine")
    before = contents(folder)
    assert not caplog.text
    written = write(study, results, selection=[(other_sample(study), SETTINGS)])
    assert sorted(folder.iterdir()) == sorted(written)
    (aside,) = folder.parent.glob("train+validation@????????")
    assert contents(aside) == before
    assert f"they are now in {aside}" in caplog.text


def test_the_files_of_other_settings_are_set_aside(study: StudyStore, results: Path) -> None:
    folder = write(study, results)[0].parent
    before = contents(folder)
    add(study, (), settings="bfloat16")
    write(study, results, selection=[(1, "bfloat16")])
    (aside,) = folder.parent.glob("*@*")
    assert contents(aside) == before


def test_going_back_to_the_first_options_brings_their_files_back(
    study: StudyStore, results: Path
) -> None:
    folder = write(study, results)[0].parent
    before = {path.name: path.stat().st_ino for path in folder.iterdir()}
    second = [(other_sample(study), SETTINGS)]
    write(study, results, selection=second)
    trial = contents(folder)
    write(study, results, selection=[(1, SETTINGS)])
    assert {path.name: path.stat().st_ino for path in folder.iterdir()} == before
    (aside,) = folder.parent.glob("*@*")
    assert contents(aside) == trial
    write(study, results, selection=second)
    assert contents(folder) == trial


def test_a_swap_that_was_cut_short_is_finished_by_writing_again(
    study: StudyStore, results: Path
) -> None:
    folder = write(study, results)[0].parent
    before = contents(folder)
    second = [(other_sample(study), SETTINGS)]
    write(study, results, selection=second)
    folder.rename(folder.with_name("lost"))  # as if killed between the two renames
    write(study, results, selection=[(1, SETTINGS)])
    assert contents(folder) == before


def test_files_set_aside_are_never_overwritten(study: StudyStore, results: Path) -> None:
    folder = write(study, results)[0].parent
    second = [(other_sample(study), SETTINGS)]
    write(study, results, selection=second)
    (aside,) = folder.parent.glob("*@*")
    shutil.rmtree(folder)
    shutil.copytree(aside, folder)
    with pytest.raises(FileError, match="cannot be moved"):
        write(study, results, selection=second)
    assert contents(folder) == contents(aside)


def test_the_reader_takes_the_run_made_last_and_notes_the_other(
    study: StudyStore, results: Path
) -> None:
    write(study, results)
    write(study, results, selection=[(other_sample(study), SETTINGS)])
    reading = read_results(results)
    (dataset,) = reading.datasets
    assert [one.removal for one in dataset.results] == [()]
    (problem,) = reading.problems
    assert "demo_okvqa train+validation lies in" in problem.what
    assert "train+validation@" in problem.where


def test_files_that_a_study_begun_anew_lacks_are_removed(
    study: StudyStore, results: Path, tmp_path: Path
) -> None:
    folder = write(study, results)[0].parent
    (folder / "notes.json").write_text("{}")
    with filled_study(tmp_path / "anew", [(), (1,)]) as anew:
        written = write(anew, results)
    assert sorted(folder.iterdir()) == sorted([*written, folder / "notes.json"])


def test_the_provenance_says_how_many_samples_there_were(study: StudyStore, results: Path) -> None:
    assert read(write(study, results)[-1])["num_samples"] == len(SPLIT.sample_ids)


def test_a_profile_after_a_search_keeps_what_is_said_of_the_search(
    study: StudyStore, results: Path
) -> None:
    write(study, results)
    write_result_files(study, results)
    value = read(results / "demo-okvqa/train+validation/exp3_accuracy_sensitivity_v2_results.json")
    assert (value["beam_width"], value["max_blocks_to_remove"]) == (3, 4)


def test_a_search_of_another_sample_is_not_said_to_be_this_one(
    study: StudyStore, results: Path
) -> None:
    write(study, results)
    write_result_files(study, results, selection=[(other_sample(study), SETTINGS)])
    value = read(results / "demo-okvqa/train+validation/exp3_accuracy_sensitivity_v2_results.json")
    assert not {"beam_width", "max_blocks_to_remove"} & set(value)


@pytest.mark.parametrize("content", ["{", "[]", '{"beam_width": "wide"}'])
def test_a_spoiled_summary_says_nothing_of_the_search(
    study: StudyStore, results: Path, content: str
) -> None:
    write(study, results)
    path = results / "demo-okvqa/train+validation/exp3_accuracy_sensitivity_v2_results.json"
    path.write_text(content)
    write_result_files(study, results)
    assert "beam_width" not in read(path)


def test_nothing_is_in_the_way_of_a_first_run_or_of_the_next(
    study: StudyStore, results: Path
) -> None:
    key = study.add_split(replace(SPLIT, fingerprint="task-2"))
    check_result_files(study, results, [(1, SETTINGS)])
    assert not results.exists()
    folder = write(study, results, selection=[(1, SETTINGS)])[0].parent
    before = contents(folder)
    check_result_files(study, results, [(key, "never measured")])
    assert contents(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize(
    "name",
    [
        "sensitivity_baseline.json",
        "exp3_accuracy_sensitivity_v2_results.json",
        "layer_importance_scores.json",
    ],
)
def test_a_file_in_the_way_is_found_before_anything_is_measured(
    tmp_path: Path, results: Path, name: str
) -> None:
    path = results / "demo-okvqa" / "train+validation" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with StudyStore.open(tmp_path / "empty", model=MODEL) as study:
        key = study.add_split(SPLIT)
        with pytest.raises(FileError, match=f"{name} is in the way"):
            check_result_files(study, results, [(key, SETTINGS)])


def test_a_folder_of_another_model_is_found_before_anything_is_measured(
    study: StudyStore, results: Path, tmp_path: Path
) -> None:
    write(study, results)
    model = replace(MODEL, name="grown", fingerprint="model-2")
    with StudyStore.open(tmp_path / "grown", model=model) as grown:
        key = grown.add_split(SPLIT)
        with pytest.raises(StudyError, match="results of another model"):
            check_result_files(grown, results, [(key, SETTINGS)])


def test_a_file_where_the_folder_must_be_is_found_before_anything_is_measured(
    study: StudyStore, results: Path
) -> None:
    results.mkdir()
    (results / "demo-okvqa").write_text("mine")
    with pytest.raises(FileError, match="cannot write into the folder"):
        check_result_files(study, results, [(1, SETTINGS)])


def test_two_variants_of_one_split_are_refused_before_anything_is_measured(
    study: StudyStore, results: Path
) -> None:
    key = study.add_split(replace(SPLIT, fingerprint="task-2"))
    with pytest.raises(StudyError, match="measured more than once"):
        check_result_files(study, results, [(1, SETTINGS), (key, SETTINGS)])


def test_a_list_of_files_that_names_others_removes_none_of_them(
    study: StudyStore, results: Path, tmp_path: Path
) -> None:
    write(study, results)
    provenance = results / "demo-okvqa" / "train+validation" / "provenance.json"
    value = read(provenance)
    treasure = tmp_path / "sensitivity_block_1.json"
    treasure.write_text("mine")
    value["files"] += [f"../../../{treasure.name}", str(treasure), "notes.txt", 7]
    provenance.write_text(json.dumps(value))
    write(study, results)
    assert treasure.read_text() == "mine"


def test_results_of_another_model_are_not_overwritten(
    study: StudyStore, results: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in write(study, results)}
    model = replace(MODEL, name="grown", fingerprint="model-2")
    with StudyStore.open(tmp_path / "grown", model=model) as grown:
        add(grown, ())
        with pytest.raises(StudyError, match="results of another model, tiny, not of grown"):
            write(grown, results)
    assert {path: path.read_bytes() for path in before} == before


def test_a_file_that_depthprune_did_not_write_is_not_overwritten(
    study: StudyStore, results: Path
) -> None:
    path = results / "demo-okvqa" / "train+validation" / "layer_importance_scores.json"
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(FileError, match=r"layer_importance_scores.json is in the way"):
        write(study, results)
    assert path.read_text() == "mine"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", ["[]", "{}", '{"model": 1}'])
def test_a_strange_provenance_file_is_an_error(
    study: StudyStore, results: Path, content: str
) -> None:
    provenance = write(study, results)[-1]
    provenance.write_text(content)
    with pytest.raises(LayoutError, match="depthprune did not write it"):
        write(study, results)


def test_a_removal_too_long_for_a_file_name_gets_a_short_one(tmp_path: Path, results: Path) -> None:
    model = ModelRecord("deep", "deep", "A", 128, "layers")
    removal = tuple(range(120))
    with StudyStore.open(tmp_path / "deep", model=model) as study:
        add(study, ())
        add(study, removal)
        names = [path.name for path in write(study, results)]
    assert names[1].startswith("beam_search_step120_blocks8_removedsha")
    value = read(results / "demo-okvqa" / "train+validation" / names[1])
    assert tuple(value["removed_block_indices"]) == removal


def test_an_imported_result_leaves_out_what_it_lacks(tmp_path: Path, results: Path) -> None:
    with StudyStore.open(tmp_path / "imported", model=MODEL) as study:
        key = study.add_split(replace(SPLIT, sample_ids=()))
        study.add_imported(key, "imported", (), accuracy=0.9, origin="x")
        study.add_imported(key, "imported", (1,), accuracy=0.8, origin="x", stated_drop=0.1)
        write(study, results)
    value = read(results / "demo-okvqa" / "train+validation" / "sensitivity_block_1.json")
    assert not {"std", "num_samples", "samples"} & set(value)
    assert value["accuracy_drop"] == 0.1


def test_an_importance_comparison_has_the_published_layout(tmp_path: Path) -> None:
    published = DATA / "comparison/st_qa/importance_comparison_st_qa.json"
    value = read(published)
    train = {int(block): drop for block, drop in reversed(value["train_scores"].items())}
    validation = {int(block): drop for block, drop in value["validation_scores"].items()}
    path = write_importance_comparison(tmp_path, "st_qa", train, validation)
    assert path == tmp_path / "st_qa" / "importance_comparison_st_qa.json"
    assert path.read_text().rstrip() == published.read_text().rstrip()


def test_an_importance_comparison_may_hold_its_statistics(tmp_path: Path) -> None:
    path = write_importance_comparison(
        tmp_path, "st_qa", {0: 0.5}, {0: 0.4}, spearman_correlation=0.98, p_value=1e-9
    )
    value = read(path)
    assert (value["spearman_correlation"], value["p_value"]) == (0.98, 1e-9)
