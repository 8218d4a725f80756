"""A model whose answers are no basis for drops stops the commands that measure them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from depthprune.study import StudyStore
from depthprune.tasks.demo import MODEL_PATH
from tests.cli.program import Finished, Program

TASKS = ("demo_okvqa", "demo_doc_qa")


@pytest.fixture(scope="module")
def mute(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the embedded model with a chat template that it was never trained on."""
    folder = tmp_path_factory.mktemp("mute") / "mute"
    shutil.copytree(MODEL_PATH, folder)
    template = (
        "{% for turn in messages %}{% for part in turn['content'] %}"
        "{% if part['type'] == 'image' %}<image>{% else %}"
        "{{ '\x1b' }}[31m{{ part['text'] }} {{ part['text'] }}{% endif %}"
        "{% endfor %}{% endfor %}"
    )
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return folder


def measure(program: Program, command: str, model: Path, study: Path, *options: object) -> Finished:
    return program(
        *(command, model, "--task", *TASKS, "--split", "validation", "--num-samples", 20),
        *("--output", study, "--protect", *range(3, 16), *options),
    )


def removals(study: Path) -> set[tuple[int, ...]]:
    with StudyStore.open(study, read_only=True) as opened:
        return {one.removal for one in opened.measurements(with_samples=False)}


def test_profile_and_search_stop_before_anything_is_removed(
    program: Program, mute: Path, tmp_path: Path
) -> None:
    study = tmp_path / "study"
    for command in ("profile", "search"):
        done = measure(program, command, mute, study)
        assert done.code == 2
        assert "no basis for drops on 2 of 2 tasks" in done.err
        for task in TASKS:
            assert f"{task}, validation: " in done.err
        assert done.err.count("prompt:    <image>\\x1b[31mw") == 6
        assert done.err.count("reference: ") == 6
        assert "\x1b[31m" not in done.err
        assert done.out == ""
        assert removals(study) == {()}
    with StudyStore.open(study, read_only=True) as opened:
        assert len(opened.measurements()) == 2, "the baselines are measured once and kept"

    going_on = measure(program, "profile", mute, study, "--allow_weak_baseline", "--json")
    assert going_on.code == 0, going_on.err
    assert "going on" in going_on.err
    value = json.loads(going_on.out)
    assert value["measured"] == 6
    assert [one["dataset"] for one in value["weak_baselines"]] == list(TASKS)
    assert removals(study) == {(), (0,), (1,), (2,)}
    summary = (study / "summary.txt").read_text()
    assert "Weak baseline: demo_doc_qa, validation: " in summary


def study_file(folder: Path, model: Path, *lines: str) -> Path:
    path = folder / "study.yaml"
    more = "\n".join(lines)
    path.write_text(
        f"model: {{source: {model}}}\ntasks: [{', '.join(TASKS)}]\nnum_samples: 20\n"
        "splits: [train]\noutput: study\n"
        "profile: {splits: [validation]}\n"
        "search: {protect: [3,4,5,6,7,8,9,10,11,12,13,14,15], max_blocks_to_remove: 1}\n"
        f"{more}\n"
    )
    return path


def test_run_looks_at_the_baselines_of_all_its_stages_at_once(
    program: Program, mute: Path, tmp_path: Path
) -> None:
    done = program("run", study_file(tmp_path, mute))
    assert done.code == 2
    assert "demo_okvqa, validation: " in done.err
    assert "demo_okvqa, train: " in done.err
    assert "run the same command again" not in done.err
    assert removals(tmp_path / "study") == {()}


def test_few_samples_are_a_warning(program: Program, mute: Path, tmp_path: Path) -> None:
    done = program(
        *("profile", mute, "--task", TASKS[0], "--split", "validation", "--num-samples", 4),
        *("--output", tmp_path, "--protect", *range(1, 16)),
    )
    assert done.code == 0
    assert "20 samples or more" in done.err
    assert removals(tmp_path) == {(), (0,)}
