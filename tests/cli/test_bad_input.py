"""Bad input ends with a clear message and exit code 2, and nothing half-written."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from depthprune.study import StudyStore
from tests.cli.program import Finished, Program

TASK = """
my_task:
  task_type: Exact Match
  path: data
  metric: {metric}
"""


@pytest.fixture
def task_file(tmp_path: Path) -> Path:
    """Return a task of three good samples, which the tests break one by one."""
    (tmp_path / "data").mkdir()
    lines = (json.dumps({"question": f"{i} + 1 =", "answer": str(i + 1)}) for i in range(3))
    (tmp_path / "data" / "validation.jsonl").write_text("\n".join(lines) + "\n")
    path = tmp_path / "tasks.yaml"
    path.write_text(TASK.format(metric="exact_match"))
    return path


def profile(program: Program, task_file: Path, *extra: object, model: object = "demo") -> Finished:
    return program(
        *("profile", model, "--task", "my_task", "--task-file", task_file),
        *("--split", "validation", "--output", task_file.parent / "study", *extra),
    )


def assert_refused(done: Finished, *words: str) -> None:
    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    message = " ".join(done.err.split())
    for word in words:
        assert word in message


def nothing_made(task_file: Path) -> bool:
    return not (task_file.parent / "study").exists()


def test_no_such_model(program: Program, task_file: Path) -> None:
    done = profile(program, task_file, model=task_file.parent / "absent")
    assert_refused(done, "absent")
    assert nothing_made(task_file)


def test_a_hub_name_is_not_asked_for_on_the_network(
    program: Program, task_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def refuse(self: socket.socket, address: object) -> None:
        asked.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", refuse)
    done = profile(program, task_file, model="nobody/no-such-model")
    assert_refused(done, "nobody/no-such-model", "--download")
    assert not asked
    assert nothing_made(task_file)


def test_a_folder_that_is_no_model(program: Program, task_file: Path) -> None:
    assert_refused(profile(program, task_file, model=task_file.parent), "config.json")


def test_a_model_without_blocks(program: Program, task_file: Path) -> None:
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    folder = task_file.parent / "convolutions"
    MobileNetV2ForImageClassification(
        MobileNetV2Config(image_size=32, depth_multiplier=0.25)
    ).save_pretrained(folder)
    assert_refused(program("inspect", folder), "no stack")
    assert_refused(profile(program, task_file, model=folder), "convolutions")
    assert nothing_made(task_file)


def test_a_block_that_does_not_exist(program: Program, task_file: Path) -> None:
    assert_refused(profile(program, task_file, "--protect", 99), "block 99", "16 blocks")
    assert nothing_made(task_file)


def test_more_blocks_to_remove_than_there_are(program: Program, tmp_path: Path) -> None:
    done = program(
        *("search", "demo", "--task", "demo_okvqa", "--num-samples", 2),
        *("--output", tmp_path / "study", "--max-blocks-to-remove", 16),
    )
    assert_refused(done, "16 blocks cannot be removed from 16")


def test_an_empty_dataset(program: Program, task_file: Path) -> None:
    (task_file.parent / "data" / "validation.jsonl").write_text("")
    assert_refused(profile(program, task_file), "empty")


def test_a_line_that_is_not_json(program: Program, task_file: Path) -> None:
    path = task_file.parent / "data" / "validation.jsonl"
    path.write_text(path.read_text() + '{"question": "4 + 1 =", \n')
    assert_refused(profile(program, task_file), "validation.jsonl", "line 4")


def test_an_image_that_cannot_be_read(program: Program, task_file: Path) -> None:
    data = task_file.parent / "data"
    (data / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n not a picture")
    row = {"question": "what is it?", "answer": "a", "image": "broken.png"}
    (data / "validation.jsonl").write_text(json.dumps(row) + "\n")
    assert_refused(profile(program, task_file), "broken.png")
    assert nothing_made(task_file)


def test_a_bad_image_in_a_later_task_is_found_before_anything_is_measured(
    program: Program, task_file: Path
) -> None:
    other = task_file.parent / "other"
    other.mkdir()
    (other / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n not a picture")
    row = {"question": "what is it?", "answer": "a", "image": "broken.png"}
    (other / "validation.jsonl").write_text(json.dumps(row) + "\n")
    with task_file.open("a") as file:
        file.write("other_task:\n  task_type: VQA\n  path: other\n")
    done = profile(program, task_file, "--task", "my_task", "other_task")
    assert_refused(done, "broken.png")
    assert nothing_made(task_file)


def test_an_unknown_metric(program: Program, task_file: Path) -> None:
    task_file.write_text(TASK.format(metric="exact_mach"))
    assert_refused(profile(program, task_file), "exact_mach", "exact_match")


def test_an_unknown_task(program: Program, tmp_path: Path) -> None:
    done = program("profile", "demo", "--task", "demo_okvqua", "--output", tmp_path)
    assert_refused(done, "demo_okvqua", "demo_okvqa")


def test_no_task(program: Program, tmp_path: Path) -> None:
    assert_refused(program("profile", tmp_path), "no task was named", "--task")


def test_a_missing_split(program: Program, task_file: Path) -> None:
    done = program(
        *("profile", "demo", "--task", "my_task", "--task-file", task_file),
        *("--split", "test", "--output", task_file.parent / "study"),
    )
    assert_refused(done, "no split test", "validation")


@pytest.mark.parametrize("place", ["/proc/depthprune", "/dev/null/depthprune"])
def test_an_output_folder_that_cannot_be_written(
    program: Program, task_file: Path, place: str
) -> None:
    done = program(
        *("profile", "demo", "--task", "my_task", "--task-file", task_file),
        *("--split", "validation", "--output", place),
    )
    assert_refused(done, "cannot write", place)


def test_a_file_in_the_way_is_found_before_anything_is_measured(
    program: Program, task_file: Path
) -> None:
    folder = task_file.parent / "study" / "results" / "my-task" / "validation"
    folder.mkdir(parents=True)
    (folder / "layer_importance_scores.json").write_text("{}")
    assert_refused(profile(program, task_file), "layer_importance_scores.json")
    with StudyStore.open(task_file.parent / "study", read_only=True) as study:
        assert not study.measurements()


def test_a_study_of_another_model(program: Program, task_file: Path) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from depthprune.tasks.demo import MODEL_PATH

    assert profile(program, task_file, "--protect", *range(1, 16)).code == 0
    before = (task_file.parent / "study" / "summary.txt").read_bytes()
    other = task_file.parent / "other"
    model = AutoModelForImageTextToText.from_pretrained(MODEL_PATH)
    model.model.language_model.norm.weight.data.mul_(1.5)
    model.save_pretrained(other)
    AutoProcessor.from_pretrained(MODEL_PATH).save_pretrained(other)
    assert_refused(profile(program, task_file, model=other), "the study is about demo")
    assert (task_file.parent / "study" / "summary.txt").read_bytes() == before


def test_a_study_that_is_in_use(program: Program, task_file: Path) -> None:
    assert profile(program, task_file, "--protect", *range(1, 16)).code == 0
    with StudyStore.open(task_file.parent / "study"):
        assert_refused(profile(program, task_file), "is being written by process")


def test_a_damaged_study(program: Program, task_file: Path) -> None:
    folder = task_file.parent / "study"
    folder.mkdir()
    (folder / "study.db").write_bytes(b"no database at all" * 100)
    assert_refused(profile(program, task_file), "study.db")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("profile", "demo", "--no-such-option"), "--no-such-option"),
        (("no-such-command",), "no-such-command"),
        (("profile",), "requires an argument"),
        (("search", "demo", "--beam-width", "three"), "three"),
        (("search", "demo", "--beam-width", "0"), "--beam-width must be 1 or more, not 0"),
        (("profile", "demo", "--num-samples", "-1"), "--num-samples must be 0 or more, not -1"),
        (("profile", "demo", "--protect", "-1"), "-1"),
        (("profile", "demo", "--protect", "first"), "first"),
        (("profile", "demo", "--protect", "1-15"), "could be two blocks"),
        (("profile", "demo", "--dtype", "float12"), "float12"),
        (("profile", "demo", "--device", "cuda:99"), "cuda:99"),
        (("profile", "demo", "--batch-size", "0"), "batch"),
        (("inspect", "demo", "--stack", "audio"), "audio"),
    ],
)
def test_options_that_make_no_sense(
    program: Program,
    arguments: tuple[str, ...],
    word: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    fewer = ("--task", "demo_okvqa") if arguments[1:2] == ("demo",) else ()
    fewer = fewer if arguments[0] in {"profile", "search"} else ()
    assert_refused(program(*arguments, *fewer), word)
    assert not list(tmp_path.iterdir())


def test_a_traceback_is_shown_when_asked_for(tmp_path: Path) -> None:
    from depthprune.base.errors import DepthpruneError
    from depthprune.cli.app import main

    with pytest.raises(DepthpruneError):
        main(["--debug", "profile", "demo", "--task", "nothing", "--output", str(tmp_path)])


def test_a_package_that_is_not_installed(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("depthprune.cli.measure.search_model", _import_transformers)
    done = program("profile", "demo", "--task", "demo_okvqa", "--output", tmp_path)
    assert_refused(done, "transformers", "pip install 'depthprune[run]'")


def _import_transformers(request: object) -> None:
    raise ModuleNotFoundError("No module named 'transformers.models'", name="transformers.models")


def test_the_check_at_the_start_can_be_left_out(program: Program) -> None:
    done = program("profile", "./no-such-model", "--no-self-check", "--task", "no_such_task")
    assert done.code == 2
    assert "no_such_task" in done.err or "no-such-model" in done.err
