"""`depthprune sweep` on the embedded model: a few samples, files, a second run, what is refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.errors import DepthpruneError
from depthprune.benchmark.sweep import SweepOptions
from depthprune.cli.app import main
from depthprune.engine.options import ModelOptions
from depthprune.report.documents.sweep import read_sweep_file
from depthprune.strategies import model as opening
from depthprune.study import StudyStore
from tests.cli.program import Finished, Program

TASK = "demo_okvqa"
FEW = ("--num-samples", 3, "--latency-samples", 2, "--warmup", 0, "--latency-tokens", 3)
CONFIGS = {"12": [4, 7, 13, 15], "14": [4, 13]}


@pytest.fixture(autouse=True, scope="module")
def _load_once() -> Any:
    """Load the embedded model once for all runs: it is not changed by them."""
    from depthprune.blocks import models

    real = models.load_model
    kept: dict[Any, Any] = {}

    def load(source: Any, **options: Any) -> Any:
        key = (str(source), options["device"])
        if key not in kept:
            kept[key] = real(source, **options)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "load_model", load)
        yield


def configs(folder: Path, value: dict[str, list[int]] = CONFIGS) -> Path:
    path = folder / "configs.json"
    entries = {count: {"removed_block_indices": gone} for count, gone in value.items()}
    path.write_text(json.dumps({"block_configs": entries}))
    return path


def scores(folder: Path, name: str = "scores.json", blocks: int = 16, **more: Any) -> Path:
    path = folder / name
    values = {str(block): abs(block - 7.4) for block in range(blocks)}
    path.write_text(json.dumps({"importance_scores": values} | more))
    return path


Sweep = Callable[..., Finished]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the study of a sweep of `CONFIGS` that has ended; beside it lies their file."""
    folder = tmp_path_factory.mktemp("finished")
    given = ("--block_configs", configs(folder), "--output", folder / "study")
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in ("sweep", "demo", "--task", TASK, *FEW, *given)])
    assert not ended.value.code
    return folder / "study"


@pytest.fixture
def swept(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of it."""
    return Path(shutil.copytree(finished, tmp_path / "study"))


@pytest.fixture
def sweep(program: Program, tmp_path: Path) -> Sweep:
    def run(*arguments: object, output: Path = tmp_path / "study", few: Any = FEW) -> Finished:
        return program("sweep", "demo", "--task", TASK, *few, "--output", output, *arguments)

    return run


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "sweep").iterdir())


def test_files_table_and_figure_are_written(finished: Path) -> None:
    assert files(finished) == [
        f"{TASK}_blocks12.json",
        f"{TASK}_blocks14.json",
        "pareto_accuracy_latency.png",
        "sweep_summary.json",
        "sweep_summary.txt",
    ]
    assert "4, 7, 13, 15" in (finished / "sweep" / "sweep_summary.txt").read_text()


def test_a_file_agrees_with_the_study(finished: Path) -> None:
    file = read_sweep_file(finished / "sweep" / f"{TASK}_blocks14.json")
    with StudyStore.open(finished, read_only=True) as study:
        (split,) = study.splits()
        found = study.measurement(split.key, split.settings[0], (4, 13))
        model = study.model
    assert found is not None
    assert found.scores is not None
    assert file.aggregate_stats.accuracy == found.accuracy
    assert [one.score for one in file.per_sample_results] == found.scores.tolist()
    assert file.provenance.model_fingerprint == model.fingerprint
    assert file.removal == (4, 13)
    assert file.aggregate_stats.active_parameters is not None
    assert [one.latency is not None for one in file.per_sample_results] == [True, True, False]


def test_a_second_run_measures_nothing_anew(sweep: Sweep, swept: Path, finished: Path) -> None:
    paths = sorted((swept / "sweep").glob("*.json"))
    before = [path.read_bytes() for path in paths]
    again = sweep("--block_configs", finished.parent / "configs.json", "--json")
    value = json.loads(again.out)
    assert (value["measured"], value["timed"], value["reused"], value["kept"]) == (0, 0, 3, 2)
    assert [path.read_bytes() for path in paths] == before


def test_times_are_measured_again_when_asked(sweep: Sweep, swept: Path, tmp_path: Path) -> None:
    given = ("--block_configs", configs(tmp_path), "--remeasure-latency", "--json")
    value = json.loads(sweep(*given).out)
    assert (value["measured"], value["timed"]) == (0, 2)


def test_a_damaged_file_is_measured_anew(sweep: Sweep, swept: Path, tmp_path: Path) -> None:
    damaged = swept / "sweep" / f"{TASK}_blocks14.json"
    damaged.write_text("{")
    value = json.loads(sweep("--block_configs", configs(tmp_path), "--json").out)
    assert (value["timed"], value["kept"]) == (1, 1)
    assert read_sweep_file(damaged).num_active == 14


def test_a_sweep_that_was_killed_before_a_file_was_written_goes_on(
    sweep: Sweep, swept: Path, tmp_path: Path
) -> None:
    (swept / "sweep" / f"{TASK}_blocks12.json").unlink()
    value = json.loads(sweep("--block_configs", configs(tmp_path), "--json").out)
    assert (value["measured"], value["timed"], value["kept"]) == (0, 1, 1)


def test_scores_decide_with_both_ends_protected(sweep: Sweep, tmp_path: Path) -> None:
    given = ("--importance_scores_file", scores(tmp_path), "--num_active_blocks", 14)
    sweep(*given)
    assert removed(tmp_path, 14) == (7, 8)


def test_single_dataset_scores_take_the_place_of_merged_ones_with_a_note(
    sweep: Sweep, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    single = scores(tmp_path, "layer_importance_scores.json")
    merged = tmp_path / "merged.json"
    done = sweep("--importance_scores_file", merged, "--num_active_blocks", 15)
    assert done.code == 0
    assert removed(tmp_path, 15) == (7,)
    assert f"there is no {merged}; taking the scores of a single dataset, {single}" in done.err


def removed(folder: Path, count: int) -> tuple[int, ...]:
    path = folder / "study" / "sweep" / f"{TASK}_blocks{count}.json"
    return read_sweep_file(path).removal


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a study that recommends: a few single blocks and a pair, measured on two tasks."""
    from depthprune.engine.session import split_record
    from depthprune.strategies.pipeline import load_splits
    from depthprune.tasks.registry import find_tasks, list_tasks

    folder = tmp_path_factory.mktemp("profiled") / "study"
    model = opening.open_model(opening.ModelSource(source=_demo(), name="demo"))
    known = list_tasks()
    tasks = [task for name in (TASK, "demo_tally_qa") for task in find_tasks(name, known, ())]
    with StudyStore.open(folder, model=model.record) as study:
        for split in load_splits(tasks, ["train+validation"], 3, 0):
            key = study.add_split(split_record(split))
            measured = {(): 1.0, (4,): 1.0, (7,): 0.5, (4, 7): 0.5, (4, 9): 0.0, (4, 7, 9): 0.0}
            for removal, score in measured.items():
                values = [score] * len(split.samples)
                study.add(key, "greedy dtype=float32", removal, values, ["x"] * len(values), 1.0)
    return folder


def _demo() -> str:
    from depthprune.tasks.demo import MODEL_PATH

    return str(MODEL_PATH)


def test_a_study_says_itself_which_blocks_stay(sweep: Sweep, profiled: Path) -> None:
    done = sweep("--num_active_blocks", 14, 16, output=profiled)
    assert done.code == 0, done.err
    file = read_sweep_file(profiled / "sweep" / f"{TASK}_blocks14.json")
    assert (file.removal, file.is_recommended) == ((4, 7), True)
    assert "The blocks removed are the recommended ones." in done.out
    # What the study holds is taken, not measured again.
    assert file.aggregate_stats.accuracy == 0.5


def test_what_was_compared_with_nothing_is_not_recommended(sweep: Sweep, profiled: Path) -> None:
    done = sweep("--num_active_blocks", 13, output=profiled)
    assert done.code == 2
    assert "there is no configuration of 13 active blocks" in done.err


def test_other_blocks_than_the_recommended_ones_are_told(
    sweep: Sweep, profiled: Path, tmp_path: Path
) -> None:
    given = configs(tmp_path, {"14": [4, 13], "16": []})
    done = sweep("--block_configs", given, "--lang", "zh", output=profiled)
    assert "推荐移除：4, 7" in done.out
    file = read_sweep_file(profiled / "sweep" / f"{TASK}_blocks14.json")
    assert file.is_recommended is False
    # Files are the same in every language.
    assert not re.search("[一-鿿]", (profiled / "sweep" / "sweep_summary.txt").read_text("utf-8"))


def test_a_written_recommendation_decides(
    sweep: Sweep, program: Program, profiled: Path, tmp_path: Path
) -> None:
    written = tmp_path / "pruning_recommendations.json"
    assert program("recommend", profiled, "--output_file", written).code == 0
    sweep("--recommendation", written, "--num_active_blocks", 15)
    assert removed(tmp_path, 15) == (4,)


def test_the_unpruned_model_alone_needs_no_recommendation(sweep: Sweep, tmp_path: Path) -> None:
    assert sweep("--num_active_blocks", 16).code == 0
    assert removed(tmp_path, 16) == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--num_active_blocks", 17, "--block_configs", "CONFIGS"), "17 blocks cannot stay"),
        (("--num_active_blocks", 0, "--block_configs", "CONFIGS"), "0 blocks cannot stay"),
        (("--num_active_blocks", 17), "17 blocks cannot stay"),
        (("--num_active_blocks", 13, "--block_configs", "CONFIGS"), "no configuration of 13"),
        (("--num_active_blocks", 14), "nothing says which blocks stay"),
        ((), "nothing says which blocks stay"),
        (("--importance_scores_file", "SCORES"), "number of blocks that stay"),
        (("--importance_scores_file", "OTHER", "--num_active_blocks", 8), "model of 12 blocks"),
        (("--importance_scores_file", "FOREIGN", "--num_active_blocks", 8), "another model"),
        (("--block_configs", "UNKNOWN"), "block 99 does not exist"),
        (("--block_configs", "missing.json"), "no such file"),
        (("--block_configs", "CONFIGS", "--importance_scores_file", "SCORES"), "several files"),
        (("--block_configs", "CONFIGS", "--protect", 3), "there are no scores"),
        (("--block_configs", "CONFIGS", "--split", "train", "validation"), "one split"),
        (("--block_configs", "CONFIGS", "--max-memory", -1), "--max-memory must be more than 0"),
        (("--block_configs", "CONFIGS", "--max-memory", 8), "only the memory of a GPU"),
    ],
)
def test_what_makes_no_sense_is_refused(
    sweep: Sweep, tmp_path: Path, arguments: tuple[object, ...], message: str
) -> None:
    places = {
        "CONFIGS": configs(tmp_path),
        "SCORES": scores(tmp_path),
        "OTHER": scores(tmp_path, "other.json", 12, num_blocks=12),
        "FOREIGN": scores(tmp_path, "foreign.json", model={"fingerprint": "foreign"}),
        "UNKNOWN": tmp_path / "unknown.json",
        "missing.json": tmp_path / "missing.json",
    }
    places["UNKNOWN"].write_text('{"15": {"removed_block_indices": [99]}}')
    done = sweep(*(places.get(str(one), one) for one in arguments))
    assert done.code == 2
    assert message in done.err.replace("\n", " ")
    assert not (tmp_path / "study" / "sweep").exists()


@pytest.mark.parametrize("asked", [("--device", "cuda"), ("--profile", "h100")])
def test_a_gpu_that_is_not_there_is_told(
    sweep: Sweep, tmp_path: Path, asked: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    done = sweep("--block_configs", configs(tmp_path), *asked)
    assert done.code == 2
    assert "there is no device 'cuda'" in done.err


def test_finished_tasks_are_kept_when_one_has_no_data(program: Program, tmp_path: Path) -> None:
    task = tmp_path / "tasks.yaml"
    task.write_text(
        "absent:\n  task_type: VQA\n  path: nowhere\n  prompt: '{question}'\n"
        "  metric: exact_match\n"
    )
    study = tmp_path / "study"
    given = ("--task-file", task, "--block_configs", configs(tmp_path), "--output", study)
    done = program("sweep", "demo", "--task", "absent", TASK, *FEW, *given)
    assert done.code == 2
    assert "not everything could be measured: absent" in done.err
    assert f"{TASK}_blocks14.json" in files(study)
    assert "absent" in json.loads((study / "sweep/sweep_summary.json").read_text())["failures"]


def test_a_preset_fills_what_is_not_given() -> None:
    preset = SweepOptions(profile="a100")
    assert preset.run(ModelOptions()) == ModelOptions(device="cuda", batch_size=32)
    assert preset.memory(ModelOptions()) == 38
    given = ModelOptions(device="cuda:1", batch_size=5)
    assert preset.run(given) == given
    assert preset.memory(given) == 38
    assert SweepOptions(profile="a100", max_memory=20).memory(given) == 20


def test_the_gpu_memory_of_a_preset_limits_no_cpu() -> None:
    assert SweepOptions(profile="h100").memory(ModelOptions(device="cpu")) is None


def test_without_a_preset_nothing_is_changed() -> None:
    assert SweepOptions().run(ModelOptions(batch_size=3)) == ModelOptions(batch_size=3)
    assert SweepOptions(profile="cpu").memory(ModelOptions()) is None


def test_no_memory_is_no_limit() -> None:
    with pytest.raises(DepthpruneError, match="max_memory must be a finite number"):
        SweepOptions(max_memory=float("nan"))


def test_without_matplotlib_only_the_figure_is_missing(
    sweep: Sweep, swept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(points: Any) -> Any:
        raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")

    monkeypatch.setattr("depthprune.report.figures.tradeoffs.pareto_accuracy_latency", fail)
    (swept / "sweep" / "sweep_summary.json").unlink()
    done = sweep("--block_configs", configs(tmp_path))
    assert done.code == 0
    assert "needs matplotlib" in done.err
    assert "sweep_summary.json" in files(swept)


def test_table_and_figure_of_a_sweep_stay_as_they_were_where_one_cannot_be_written(
    sweep: Sweep, swept: Path
) -> None:
    figure = swept / "sweep" / "pareto_accuracy_latency.png"
    figure.unlink()
    figure.mkdir()
    (swept / "sweep" / "sweep_summary.txt").write_text("old")
    assert sweep("--block_configs", configs(swept.parent), output=swept).code == 2
    assert (swept / "sweep" / "sweep_summary.txt").read_text() == "old"
